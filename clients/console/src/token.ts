/**
 * Where the console has its token from: the link that was followed, a person who pastes one, or the page that hosts it.
 *
 * A host is a page of an origin that the deployment names. It hands over the first token and every next one, when it is
 * asked for it. A token is kept for as long as the tab is there, and is sent to nobody but the suite.
 */

import { SignedOut } from "chatkit-client";

const KEPT = "chatkit.token";
const WANTED = "chatkit.token.wanted";
const GIVEN = "chatkit.token";
// As long as the client waits for a token.
const HOST_MS = 10_000;

/** What the console reads of a token; only the suite verifies it. */
export interface Claims {
  readonly userId: string;
  readonly isSuperuser: boolean;
}

/** Return what a token says; undefined for what is none. */
export function claimsOf(token: string): Claims | undefined {
  try {
    const payload = (token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(payload), (character) => character.charCodeAt(0));
    const claims: unknown = JSON.parse(new TextDecoder().decode(bytes));
    if (typeof claims !== "object" || claims === null) {
      return undefined;
    }
    const { sub, su } = claims as Record<string, unknown>;
    return { userId: typeof sub === "string" ? sub : "", isSuperuser: su === true };
  } catch {
    return undefined;
  }
}

/** Return the token of the link that was followed, if one was; the link loses it. */
export function tokenOfLink(): string | undefined {
  const given = /^#token=([^&]+)$/.exec(location.hash)?.[1];
  if (given !== undefined) {
    history.replaceState(undefined, "", location.pathname);
    keep(given);
  }
  return given;
}

/** Return the token of the link that was followed, or of this tab's earlier life. */
export function tokenOfTab(): string | undefined {
  return tokenOfLink() ?? storage()?.getItem(KEPT) ?? undefined;
}

/** Keep a token for as long as the tab is there. */
export function keep(token: string): void {
  storage()?.setItem(KEPT, token);
}

/** Forget the token. */
export function forget(): void {
  storage()?.removeItem(KEPT);
}

/** Whether a page is there that may hand over tokens. */
export function hasHost(): boolean {
  return hosts().length > 0 && hostWindow() !== undefined;
}

/** Ask the host for a token; rejects where it gives none in time. */
export async function tokenOfHost(): Promise<string> {
  const host = hostWindow();
  if (host === undefined) {
    throw new Error("no page hosts the console");
  }
  const listening = new AbortController();
  try {
    return await new Promise((resolve, reject) => {
      const hear = ({ source, origin, data }: MessageEvent<unknown>): void => {
        const token = givenBy(data);
        if (source === host && hosts().includes(origin) && token !== undefined) {
          keep(token);
          resolve(token);
        }
      };
      addEventListener("message", hear, { signal: listening.signal });
      setTimeout(() => {
        reject(new Error("the page that hosts the console has given no token"));
      }, HOST_MS);
      for (const origin of hosts()) {
        host.postMessage({ type: WANTED }, origin);
      }
    });
  } finally {
    listening.abort();
  }
}

/** Return what the client asks for tokens: the one that there is while it is good, then the host's. */
export function renewing(first: string): () => string | Promise<string> {
  let next: string | undefined = first;
  return () => {
    const token = next;
    next = undefined;
    if (token !== undefined) {
      return token;
    }
    if (hasHost()) {
      return tokenOfHost();
    }
    throw new SignedOut("the token has ended");
  };
}

/** Return where a token is kept; undefined where browsers keep nothing, as in a frame of a page of another site. */
function storage(): Storage | undefined {
  try {
    return sessionStorage;
  } catch {
    return undefined;
  }
}

function givenBy(data: unknown): string | undefined {
  if (typeof data !== "object" || data === null) {
    return undefined;
  }
  const { type, token } = data as Record<string, unknown>;
  return type === GIVEN && typeof token === "string" ? token : undefined;
}

function hosts(): readonly string[] {
  const named = document.querySelector<HTMLMetaElement>('meta[name="chatkit-hosts"]')?.content ?? "";
  return named.split(" ").filter(Boolean);
}

function hostWindow(): Window | undefined {
  const host: unknown = window.parent === window ? window.opener : window.parent;
  return (host ?? undefined) as Window | undefined;
}
