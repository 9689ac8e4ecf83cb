/** How it stands with a stream that goes on by itself: connecting, live, lost or closed, and why. */

import type { ChatkitError } from "./errors.js";
import { Listeners } from "./listeners.js";

// What a reader who is slow finds of the past.
const MOST_CHANGES = 100;

/** What the stream of a device carries. */
export type StreamPart = "rooms" | "user" | "presence";

/**
 * How it stands. `why` is what ended the last stream, or the last attempt at one, until the next one is live.
 *
 * A TokenError among them is not the suite's: the application's function has failed. When it is closed, `why` is the
 * ending that was final, or undefined where the program itself has closed it.
 */
export type ConnectionState =
  /** A stream is being opened. */
  | { readonly status: "connecting"; readonly why: ChatkitError | undefined }
  /**
   * The suite has opened it, and was heard within two heartbeats and five seconds. `behind` are the parts of which not
   * everything was told, at first and while a service is away.
   */
  | { readonly status: "live"; readonly behind: ReadonlySet<StreamPart> }
  /** There is none, and another one will be opened after `retryInMs`, from the moment when this began. */
  | { readonly status: "lost"; readonly why: ChatkitError; readonly retryInMs: number }
  /** There will be none any more. */
  | { readonly status: "closed"; readonly why: ChatkitError | undefined };

/** The state of a stream, and everyone who wants to be told of it. */
export class Connection {
  #state: ConnectionState = { status: "connecting", why: undefined };
  readonly #listeners = new Listeners<ConnectionState>();

  get state(): ConnectionState {
    return this.#state;
  }

  /** Whether the stream is open. */
  get isLive(): boolean {
    return this.#state.status === "live";
  }

  /** Call a function with every state from the next one on; returns what ends that. */
  onChange(callback: (state: ConnectionState) => void): () => void {
    return this.#listeners.add(callback);
  }

  /** Iterate over the state as it is, then every other one, until it is closed. */
  changes(): AsyncIterableIterator<ConnectionState> {
    return this.#listeners.items([this.#state], {
      most: MOST_CHANGES,
      isLast: ({ status }) => status === "closed",
    });
  }

  /** Tell everyone of another state; after `closed` there is none. */
  become(state: ConnectionState): void {
    if (this.#state.status !== "closed" && !isSame(this.#state, state)) {
      this.#state = state;
      this.#listeners.tell(state);
    }
  }
}

function isSame(one: ConnectionState, other: ConnectionState): boolean {
  if (one.status === "live" && other.status === "live") {
    return one.behind.size === other.behind.size && [...one.behind].every((part) => other.behind.has(part));
  }
  return one.status === "connecting" && other.status === "connecting" && one.why === other.why;
}
