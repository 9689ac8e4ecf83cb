/** How users and rooms are called, and who is there. */

import type { RoomView, Session } from "chatkit-client";
import { PresenceState } from "chatkit-client/types";
import { useCallback, useEffect, useReducer } from "preact/hooks";

/** Return what a user is called. */
export type Name = (userId: string) => string;

/** Of so many of a room's members the presence is watched. */
const MOST_WATCHED = 50;

/** Return what users are called; renders again when one is called another way. */
export function useNames(session: Session | undefined): Name {
  const [, renderAgain] = useReducer((count: number) => count + 1, 0);
  useEffect(
    () =>
      session?.onChange(({ kind }) => {
        if (kind === "user" || kind === "presence") {
          renderAgain(undefined);
        }
      }),
    [session],
  );
  return useCallback((userId: string) => session?.user(userId)?.name || userId, [session]);
}

/** Learn the names of whom a room shows, and watch who of its members is there, as long as it is shown. */
export function usePeople(session: Session, view: RoomView): void {
  const { memberIds, messages } = view;
  const asked = [...new Set([...memberIds, ...messages.map(({ senderId }) => senderId)])].sort();
  const watched = [...memberIds].sort().slice(0, MOST_WATCHED);
  useEffect(() => {
    // What is refused leaves ids in the place of names.
    session.readUsers(asked).catch(() => {});
  }, [session, asked.join("\n")]);
  useEffect(() => {
    session.watch(watched).catch(() => {});
    return () => {
      session.unwatch(watched).catch(() => {});
    };
  }, [session, watched.join("\n")]);
}

/** Whether a user is there; undefined where nobody knows. */
export function isThere(session: Session, userId: string): boolean | undefined {
  const state = session.presence(userId)?.state;
  return state === undefined ? undefined : state === PresenceState.ONLINE;
}

/** Return what a room is called: a direct one without a name by the other user. */
export function titleOf(view: RoomView, ownId: string, name: Name): string {
  const others = view.room?.directUserIds.filter((userId) => userId !== ownId) ?? [];
  return view.room?.name || others.map(name).join(", ") || view.id;
}

/** Return who is typing, as a sentence; empty where nobody is. */
export function typingOf(view: RoomView, ownId: string, name: Name): string {
  const names = [...view.typingIds].filter((userId) => userId !== ownId).map(name);
  if (names.length > 2) {
    return "Several people are typing …";
  }
  return names.length === 0 ? "" : `${names.join(" and ")} ${names.length === 1 ? "is" : "are"} typing …`;
}
