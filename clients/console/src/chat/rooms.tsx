/** The user's rooms: the one with the latest message first, with what is unread. */

import { type RoomView, type Session, textOf } from "chatkit-client";
import type { Message } from "chatkit-client/types";

import { href } from "../route.js";
import { Face } from "./face.js";
import { type Name, titleOf, typingOf } from "./people.js";
import { dateOf, shortTimeOf } from "./times.js";

interface RoomsProps {
  readonly session: Session | undefined;
  readonly views: readonly RoomView[];
  readonly openId: string | undefined;
  readonly ownId: string;
  readonly name: Name;
}

/** Return rooms in the order in which they are listed. */
export function inOrder(views: readonly RoomView[]): readonly RoomView[] {
  return [...views].sort((one, other) => lastTimeOf(other) - lastTimeOf(one) || (one.id < other.id ? -1 : 1));
}

/** List rooms, which are in order. */
export function Rooms({ session, views, openId, ownId, name }: RoomsProps) {
  return (
    <ul>
      {views.map((view) => (
        <li key={view.id}>
          <Line {...{ session, view, ownId, name }} isOpen={view.id === openId} />
        </li>
      ))}
    </ul>
  );
}

type LineProps = Omit<RoomsProps, "views" | "openId"> & { readonly view: RoomView; readonly isOpen: boolean };

function Line({ session, view, ownId, name, isOpen }: LineProps) {
  const title = titleOf(view, ownId, name);
  const unread = view.readState?.unreadCount ?? 0;
  const last = lastOf(view);
  const [otherId] = view.room?.directUserIds.filter((userId) => userId !== ownId) ?? [];
  const typing = typingOf(view, ownId, name);
  return (
    <a href={href(["rooms", view.id])} aria-current={isOpen ? "page" : undefined}>
      <Face session={otherId === undefined ? undefined : session} userId={otherId ?? view.id} name={title} />
      <span class="title" dir="auto">
        {title}
      </span>
      {last?.createTime && <span class="when faint">{shortTimeOf(dateOf(last.createTime), new Date())}</span>}
      <span class="last faint" dir="auto">
        {typing || (last && `${name(last.senderId)}: ${sayingOf(last)}`)}
      </span>
      {unread > 0 && (
        <span class="unread">
          {view.readState?.unreadCapped ? `${unread}+` : unread}
          <span class="unseen"> unread</span>
        </span>
      )}
    </a>
  );
}

/** Return the last message of a room, as far as it is known. */
export function lastOf(view: RoomView): Message | undefined {
  return view.messages.at(-1) ?? view.readState?.lastMessage;
}

function lastTimeOf(view: RoomView): number {
  const time = lastOf(view)?.createTime ?? view.room?.createTime;
  return time === undefined ? 0 : dateOf(time).getTime();
}

function sayingOf(message: Message): string {
  return textOf(message) || message.parts.map(({ file, contentType }) => file?.name ?? contentType).join(", ");
}
