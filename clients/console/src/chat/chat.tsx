/** The chat: a user's rooms, and one of them open. */

import "./chat.css";

import type { Client, ConnectionState, RoomView, Session } from "chatkit-client";
import { useConnection, useRooms, useSession } from "chatkit-client/react";
import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";

import { go, href, isAtNoRoom } from "../route.js";
import { said } from "../said.js";
import { Files } from "./files.js";
import { Notices } from "./notices.js";
import { type Name, useNames } from "./people.js";
import { Room } from "./room.js";
import { inOrder, lastOf, Rooms } from "./rooms.js";
import { Start } from "./start.js";

// As in chat.css: so wide a window shows the rooms and the open one side by side.
const WIDE = "(min-width: 48rem)";

interface ChatProps {
  readonly client: Client;
  readonly userId: string;
  /** The room that is open; none on a phone that shows the list. */
  readonly roomId: string | undefined;
  /** Called when the suite has ended the session for good. */
  readonly onEnd: (why: string) => void;
  /** What else there is to go to. */
  readonly children: ComponentChildren;
}

/** Be a device of the user's, and show what it knows. */
export function Chat({ client, userId, roomId, onEnd, children }: ChatProps) {
  const session = useSession(client, { share: userId });
  const connection = useConnection(session);
  const views = inOrder(useRooms(session));
  const name = useNames(session);
  const files = useMemo(() => new Files(client), [client]);
  const refused = useRefused(session);
  const [isStarting, setIsStarting] = useState(false);
  useEnd(connection, onEnd);
  useOpenRoom(views, roomId);
  useShortcuts(views, roomId);
  useOthers(session, views, userId);
  useTitle(views);
  return (
    <Notices>
      <div class={`chat ${roomId === undefined ? "at-list" : "at-room"}`}>
        <nav class="rooms" aria-label="Rooms">
          <header>
            <strong dir="auto">{name(userId)}</strong>
            <button
              type="button"
              class="quiet"
              aria-label="New conversation"
              onClick={() => {
                setIsStarting(true);
              }}
            >
              New
            </button>
          </header>
          {refused !== "" && (
            <p role="alert" class="bad-text refused">
              {refused}
            </p>
          )}
          <Rooms session={session} views={views} openId={roomId} ownId={userId} name={name} />
          <footer>{children}</footer>
        </nav>
        <Pane {...{ client, session, files, roomId, name }} ownId={userId} connection={connection} />
        <Status connection={connection} />
      </div>
      {isStarting && (
        <Start
          client={client}
          userId={userId}
          onClose={() => {
            setIsStarting(false);
          }}
        />
      )}
    </Notices>
  );
}

interface PaneProps {
  readonly client: Client;
  readonly session: Session | undefined;
  readonly files: Files;
  readonly roomId: string | undefined;
  readonly ownId: string;
  readonly name: Name;
  readonly connection: ConnectionState;
}

function Pane({ session, roomId, connection, ...rest }: PaneProps) {
  const isKnown = connection.status === "live" && !connection.behind.has("user");
  if (session !== undefined && roomId !== undefined && (isKnown || session.room(roomId) !== undefined)) {
    return <Room key={roomId} {...rest} session={session} roomId={roomId} />;
  }
  return (
    <main class="room nothing">
      <h1 class="faint">{isKnown ? "Choose a room, or start one." : "Chatkit"}</h1>
    </main>
  );
}

/** Say that nothing comes, once it has lasted. */
function Status({ connection }: { readonly connection: ConnectionState }) {
  const isAway = connection.status === "lost" || connection.status === "connecting";
  return (
    <p class="connection" role="status">
      {isAway && <span>Connecting …</span>}
    </p>
  );
}

function useEnd(connection: ConnectionState, onEnd: (why: string) => void): void {
  const why = connection.status === "closed" ? connection.why : undefined;
  useEffect(() => {
    if (why !== undefined) {
      onEnd(said(why));
    }
  }, [why, onEnd]);
}

/** Return why a part of the stream was refused; empty where none was. */
function useRefused(session: Session | undefined): string {
  const [refused, setRefused] = useState("");
  useEffect(
    () =>
      session?.onChange((change) => {
        if (change.kind === "partClosed") {
          setRefused(said(change.error));
        }
      }),
    [session],
  );
  return refused;
}

/** Open the first room where there is place for one and none is. */
function useOpenRoom(views: readonly RoomView[], roomId: string | undefined): void {
  const first = views[0]?.id;
  useEffect(() => {
    const hasPlace = roomId === undefined && matchMedia(WIDE).matches;
    if (hasPlace && first !== undefined && isAtNoRoom()) {
      location.replace(href(["rooms", first]));
    }
  }, [roomId, first]);
}

/** Let Alt with the arrows up and down open the room above and below. */
function useShortcuts(views: readonly RoomView[], roomId: string | undefined): void {
  useEffect(() => {
    const press = (event: KeyboardEvent): void => {
      const by = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
      if (event.altKey && by !== 0 && views.length > 0) {
        event.preventDefault();
        const here = views.findIndex(({ id }) => id === roomId);
        go(["rooms", views.at((here + by) % views.length)?.id ?? ""]);
      }
    };
    addEventListener("keydown", press);
    return () => {
      removeEventListener("keydown", press);
    };
  }, [views, roomId]);
}

/** Learn who the others of direct rooms are, and who has said the last words. */
function useOthers(session: Session | undefined, views: readonly RoomView[], ownId: string): void {
  const shown = views.flatMap((view) => [...(view.room?.directUserIds ?? []), lastOf(view)?.senderId ?? ownId]);
  const asked = [...new Set([ownId, ...shown])].sort();
  useEffect(() => {
    // What is refused leaves ids in the place of names.
    session?.readUsers(asked).catch(() => {});
  }, [session, asked.join("\n")]);
}

/** Show in the tab how much is unread. */
function useTitle(views: readonly RoomView[]): void {
  const unread = views.reduce((sum, { readState }) => sum + (readState?.unreadCount ?? 0), 0);
  useEffect(() => {
    document.title = unread > 0 ? `(${unread}) Chatkit` : "Chatkit";
  }, [unread]);
}
