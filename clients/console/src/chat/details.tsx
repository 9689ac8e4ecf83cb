/** Who is in a room, and how one comes into it and out of it. */

import type { Client, RoomView, Session } from "chatkit-client";
import { useContext, useState } from "preact/hooks";

import { go } from "../route.js";
import { said } from "../said.js";
import { Dialog } from "./dialog.js";
import { Face } from "./face.js";
import { Say } from "./notices.js";
import { isThere, type Name } from "./people.js";

interface DetailsProps {
  readonly client: Client;
  readonly session: Session;
  readonly view: RoomView;
  readonly ownId: string;
  readonly name: Name;
  readonly title: string;
  readonly onClose: () => void;
}

/** Show a room's members. */
export function Details({ client, session, view, ownId, name, title, onClose }: DetailsProps) {
  const say = useContext(Say);
  const [userId, setUserId] = useState("");
  const roomId = view.id;
  const add = (event: Event): void => {
    event.preventDefault();
    client.memberships.addMembers({ roomId, userIds: [userId.trim()] }).then(
      () => {
        setUserId("");
      },
      (error: unknown) => {
        say(said(error));
      },
    );
  };
  const leave = (): void => {
    client.memberships.leaveRoom({ roomId, userId: ownId }).then(
      () => {
        onClose();
        go([]);
      },
      (error: unknown) => {
        say(said(error));
      },
    );
  };
  return (
    <Dialog title={title} onClose={onClose}>
      <ul class="people">
        {[...view.memberIds].sort().map((memberId) => (
          <li key={memberId}>
            <Face session={session} userId={memberId} name={name(memberId)} />
            <span dir="auto">{name(memberId)}</span>
            <span class="faint">{isThere(session, memberId) ? "here" : ""}</span>
          </li>
        ))}
      </ul>
      <form class="form" onSubmit={add}>
        <label>
          Add somebody, by their id
          <input
            value={userId}
            dir="auto"
            required
            onInput={({ currentTarget }) => {
              setUserId(currentTarget.value);
            }}
          />
        </label>
        <div class="row">
          <button type="button" class="quiet" onClick={leave}>
            Leave the room
          </button>
          <button type="submit">Add</button>
        </div>
      </form>
    </Dialog>
  );
}
