/** Which part of the console is shown: it stands in the URL's fragment, so that "back" works and nothing is loaded. */

import { useLayoutEffect, useState } from "preact/hooks";

/** Return the link to a part: `#/rooms/lobby` for rooms and lobby. */
export function href(path: readonly string[]): string {
  return `#/${path.map(encodeURIComponent).join("/")}`;
}

/** Show another part. */
export function go(path: readonly string[]): void {
  location.hash = href(path);
}

/** Return the part that a fragment names; none where it names nothing. */
export function pathOf(hash: string): readonly string[] {
  if (!hash.startsWith("#/")) {
    return [];
  }
  try {
    return hash.slice(2).split("/").filter(Boolean).map(decodeURIComponent);
  } catch {
    // Somebody's own percent signs.
    return [];
  }
}

/** Return the room that a part of the console is; undefined where it is none. */
export function roomOf([part, roomId]: readonly string[]): string | undefined {
  return part === "rooms" ? roomId : undefined;
}

/** Whether the URL names no part but the chat, and no room: whoever renders may know an earlier one only. */
export function isAtNoRoom(): boolean {
  const path = pathOf(location.hash);
  return path[0] !== "inspector" && roomOf(path) === undefined;
}

/** Return the part that is to be shown. */
export function usePath(): readonly string[] {
  const [path, setPath] = useState(() => pathOf(location.hash));
  // At once, so that nobody goes elsewhere between.
  useLayoutEffect(() => {
    const change = (): void => {
      setPath(pathOf(location.hash));
    };
    addEventListener("hashchange", change);
    return () => {
      removeEventListener("hashchange", change);
    };
  }, []);
  return path;
}
