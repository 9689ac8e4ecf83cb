/** A user's picture, or the first letters of their name in a colour of their own. */

import type { User } from "chatkit-client/types";

const HUES = 8;

interface FaceProps {
  readonly userId: string;
  readonly name: string;
  readonly user: User | undefined;
  readonly isThere: boolean | undefined;
}

/** Show a user, and whether they are there; what they are called stands beside it. */
export function Face({ userId, name, user, isThere }: FaceProps) {
  const presence = isThere === undefined ? "" : isThere ? "there" : "away";
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
