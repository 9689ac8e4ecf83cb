/** How a conversation begins: with one person, in a room that there is, or in a new one. */

import type { Client } from "chatkit-client";
import { type Room, type User, Visibility } from "chatkit-client/types";
import { useEffect, useState } from "preact/hooks";

import { go } from "../route.js";
import { said } from "../said.js";
import { Dialog } from "./dialog.js";

const SEARCH_MS = 250;

interface StartProps {
  readonly client: Client;
  readonly userId: string;
  readonly onClose: () => void;
}

/** Offer what there is. */
export function Start({ client, userId, onClose }: StartProps) {
  const [failure, setFailure] = useState("");
  const open = (opening: Promise<string | undefined>): void => {
    opening.then(
      (roomId) => {
        onClose();
        go(["rooms", roomId ?? ""]);
      },
      (error: unknown) => {
        setFailure(said(error));
      },
    );
  };
  return (
    <Dialog title="Start a conversation" onClose={onClose}>
      {failure !== "" && (
        <p role="alert" class="bad-text">
          {failure}
        </p>
      )}
      <WithPerson {...{ client, userId, open }} />
      <InRoom {...{ client, userId, open }} />
      <NewRoom {...{ client, open }} />
    </Dialog>
  );
}

interface PartProps {
  readonly client: Client;
  readonly userId: string;
  readonly open: (opening: Promise<string | undefined>) => void;
}

function WithPerson({ client, userId, open }: PartProps) {
  const [query, setQuery] = useState("");
  const [found, setFound] = useState<readonly User[]>([]);
  useEffect(() => {
    if (query.trim() === "") {
      setFound([]);
      return;
    }
    const late = new AbortController();
    const asking = setTimeout(() => {
      find(client, query.trim(), late.signal).then(
        (users) => {
          setFound(users.filter(({ id }) => id !== userId));
        },
        // Nothing is found.
        () => {},
      );
    }, SEARCH_MS);
    return () => {
      clearTimeout(asking);
      late.abort();
    };
  }, [client, userId, query]);
  return (
    <section class="form">
      <label>
        With somebody
        <input
          type="search"
          dir="auto"
          placeholder="Name or id"
          value={query}
          onInput={({ currentTarget }) => {
            setQuery(currentTarget.value);
          }}
        />
      </label>
      <ul class="choices">
        {found.map(({ id, name }) => (
          <li key={id}>
            <button
              type="button"
              class="quiet"
              onClick={() => {
                const direct = client.rooms.getOrCreateDirectRoom({ userId, otherUserId: id });
                open(direct.then(({ room }) => room?.id));
              }}
            >
              <span dir="auto">{name || id}</span> <span class="faint">{id}</span>
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** Find users by the beginning of their name or id; who may not search finds those whose id they know. */
async function find(client: Client, prefix: string, signal: AbortSignal): Promise<readonly User[]> {
  try {
    return (await client.users.searchUsers({ prefix }, { signal })).users;
  } catch {
    return (await client.users.batchGetUsers({ userIds: [prefix] }, { signal })).users;
  }
}

function InRoom({ client, userId, open }: PartProps) {
  const [rooms, setRooms] = useState<readonly Room[]>([]);
  const [next, setNext] = useState<string>();
  const load = (pageToken: string): void => {
    client.rooms.listJoinableRooms({ userId, pageToken }).then(
      (page) => {
        setRooms((before) => [...before, ...page.rooms]);
        setNext(page.nextPageToken || undefined);
      },
      // None is offered.
      () => {},
    );
  };
  useEffect(() => {
    load("");
  }, []);
  if (rooms.length === 0) {
    return null;
  }
  return (
    <section class="form">
      <h3>In a public room</h3>
      <ul class="choices">
        {rooms.map(({ id, name }) => (
          <li key={id}>
            <button
              type="button"
              class="quiet"
              onClick={() => {
                open(client.memberships.joinRoom({ roomId: id, userId }).then(() => id));
              }}
            >
              <span dir="auto">{name || id}</span>
            </button>
          </li>
        ))}
      </ul>
      {next !== undefined && (
        <button
          type="button"
          class="quiet"
          onClick={() => {
            load(next);
          }}
        >
          More rooms
        </button>
      )}
    </section>
  );
}

function NewRoom({ client, open }: Omit<PartProps, "userId">) {
  const [name, setName] = useState("");
  const [isPrivate, setIsPrivate] = useState(false);
  const make = (event: Event): void => {
    event.preventDefault();
    const visibility = isPrivate ? Visibility.PRIVATE : Visibility.PUBLIC;
    open(client.rooms.createRoom({ name: name.trim(), visibility }).then(({ room }) => room?.id));
  };
  return (
    <form class="form" onSubmit={make}>
      <label>
        In a new room
        <input
          required
          dir="auto"
          placeholder="Name of the room"
          value={name}
          onInput={({ currentTarget }) => {
            setName(currentTarget.value);
          }}
        />
      </label>
      <label class="check">
        <input
          type="checkbox"
          checked={isPrivate}
          onChange={({ currentTarget }) => {
            setIsPrivate(currentTarget.checked);
          }}
        />
        Only members can see it
      </label>
      <div class="row">
        <button type="submit">Make the room</button>
      </div>
    </form>
  );
}
