/** A room's stream that goes on by itself: after each ending another one is opened, from where the log stands. */

import { ChatkitError, type Client, Code } from "chatkit-client";
import type { Position, RoomEvent } from "chatkit-client/types";

// Two heartbeats, and what a slow network needs.
const DEAD_MS = 35_000;
const FIRST_RETRY_MS = 500;
const MOST_RETRY_MS = 10_000;

/** How it stands with the stream. */
export type Status =
  | { readonly status: "connecting" }
  | { readonly status: "live" }
  | { readonly status: "lost"; readonly why: ChatkitError; readonly retryInMs: number }
  | { readonly status: "closed"; readonly why: ChatkitError };

/** Who follows the room. */
export interface Follower {
  /** After which event the next stream begins; undefined for the end of the log. */
  position(): Position | undefined;
  /** Take what a frame brings; what it throws ends this stream. */
  take(events: readonly RoomEvent[]): void;
  become(status: Status): void;
}

export type Streams = Pick<Client["messages"], "subscribeRoom">;

/** Follow a room until the signal is aborted, or until another stream would not help. */
export async function follow(streams: Streams, roomId: string, follower: Follower, signal: AbortSignal): Promise<void> {
  let failures = 0;
  while (!signal.aborted) {
    follower.become({ status: "connecting" });
    const { why, wasLive } = await followOnce(streams, roomId, follower, signal);
    failures = wasLive ? 0 : failures + 1;
    if (signal.aborted) {
      return;
    }
    if (!(why.isResumable || (why.wantsAnotherToken && wasLive))) {
      follower.become({ status: "closed", why });
      return;
    }
    const retryInMs = delayMs(failures) + (why.retryAfterMs ?? 0);
    follower.become({ status: "lost", why, retryInMs });
    await sleep(retryInMs, signal);
  }
}

async function followOnce(
  streams: Streams,
  roomId: string,
  follower: Follower,
  signal: AbortSignal,
): Promise<{ why: ChatkitError; wasLive: boolean }> {
  const silence = new Silence();
  let wasLive = false;
  let why = ENDED;
  try {
    const options = { signal: AbortSignal.any([signal, silence.signal]) };
    for await (const { events } of streams.subscribeRoom(request(roomId, follower.position()), options)) {
      silence.begin();
      if (!wasLive && events.some(({ event }) => event.case === "opened")) {
        wasLive = true;
        follower.become({ status: "live" });
      }
      follower.take(events);
    }
  } catch (error) {
    why = silence.signal.aborted ? SILENT : errorOf(error);
  } finally {
    // Also where it was not the suite that has ended the stream.
    silence.over();
  }
  return { why, wasLive };
}

const ENDED = lost("the stream ended without a reason");
const SILENT = lost(`nothing was heard for ${DEAD_MS / 1_000} seconds`);

function lost(message: string): ChatkitError {
  return new ChatkitError(Code.Unavailable, "", message);
}

function errorOf(error: unknown): ChatkitError {
  return error instanceof ChatkitError ? error : lost(String(error));
}

/** The log's rows are read by pages, so no snapshot is wanted. */
function request(roomId: string, after: Position | undefined) {
  return after === undefined
    ? { roomId, start: { case: "last", value: 0 } as const }
    : { roomId, start: { case: "after", value: after } as const, maxSnapshotMessages: 0 };
}

/** What ends a stream of which nothing was heard for too long. */
class Silence {
  readonly #ending = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    this.begin();
  }

  get signal(): AbortSignal {
    return this.#ending.signal;
  }

  begin(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#ending.abort();
    }, DEAD_MS);
  }

  over(): void {
    clearTimeout(this.#timer);
    this.#ending.abort();
  }
}

function delayMs(failures: number): number {
  const longest = Math.min(MOST_RETRY_MS, FIRST_RETRY_MS * 2 ** failures);
  return (longest * (1 + Math.random())) / 2;
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const wake = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", wake);
      resolve();
    };
    const timer = setTimeout(wake, ms);
    signal.addEventListener("abort", wake);
  });
}
