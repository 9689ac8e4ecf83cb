/** A user's picture, or the first letters of their name in a colour of their own. */

import type { Session } from "chatkit-client";

import { isThere } from "./people.js";

const HUES = 8;

interface FaceProps {
  /** Who knows the user; undefined for what is no user, and for as long as nobody does. */
  readonly session: Session | undefined;
  readonly userId: string;
  readonly name: string;
}

/** Show a user, and whether they are there; what they are called stands beside it. */
export function Face({ session, userId, name }: FaceProps) {
  const user = session?.user(userId);
  const there = session && isThere(session, userId);
  const presence = there === undefined ? "" : there ? "there" : "away";
  return (
    <span class={`face hue-${hueOf(userId)} ${presence}`} aria-hidden="true">
      {user?.avatarUrl ? <img src={user.avatarUrl} alt="" referrerpolicy="no-referrer" /> : initialsOf(name)}
    </span>
  );
}

function initialsOf(name: string): string {
  const [first = "", second = ""] = name.trim().split(/\s+/u);
  return `${[...first][0] ?? ""}${[...second][0] ?? ""}`.toUpperCase();
}

function hueOf(userId: string): number {
  let hash = 0;
  for (const character of userId) {
    hash = (hash * 31 + (character.codePointAt(0) ?? 0)) % 1_000_003;
  }
  return hash % HUES;
}
