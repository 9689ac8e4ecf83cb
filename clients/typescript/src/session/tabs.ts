/**
 * Tabs of one browser that share one stream: one of them leads and has it, the others make of its events what it does.
 *
 * Who holds the lock leads. When it goes, by closing or by a crash, the next one goes on from its own positions, so that
 * each tab is told every event once. A tab that comes later is told the leader's state as a stream would tell it.
 */

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";

import type { Connection, ConnectionState } from "../connection.js";
import { ChatkitError, fromPlain, type PlainError, toPlain } from "../errors.js";
import type { SyncEvent } from "../proto/chatkit/sync/v1/sync_event_pb.js";
import { SubscribeResponseSchema, UpdateSubscriptionRequestSchema } from "../proto/chatkit/sync/v1/sync_service_pb.js";
import type { Device, Relay, Tell } from "./device.js";
import type { State, Update } from "./state.js";

// Tabs of another release that say something else must have another channel.
const PROTOCOL = "chatkit-client 1";

type PlainState =
  | Extract<ConnectionState, { status: "live" }>
  | { readonly status: "connecting"; readonly why: PlainError | undefined }
  | { readonly status: "lost"; readonly why: PlainError; readonly retryInMs: number };

/** What tabs say to one another. */
type Said =
  // A tab wants to be told the state, and is.
  | { readonly kind: "hello"; readonly from: string }
  | { readonly kind: "state"; readonly to: string; readonly frame: Uint8Array; readonly connection: PlainState }
  // Another one leads.
  | { readonly kind: "lead" }
  // What the leader's stream tells.
  | { readonly kind: "begin" }
  | { readonly kind: "event"; readonly frame: Uint8Array }
  | { readonly kind: "connection"; readonly connection: PlainState }
  // What a tab wants from now on, which all of them keep, and what became of it.
  | { readonly kind: "ask"; readonly from: string; readonly id: number; readonly update: Uint8Array }
  | { readonly kind: "answer"; readonly to: string; readonly id: number; readonly error: PlainError | undefined };

/** Tell whether tabs can share here. */
export function canShare(): boolean {
  const isThere = typeof BroadcastChannel !== "undefined" && typeof navigator !== "undefined" && "locks" in navigator;
  return isThere && mayKeep();
}

/** Whether a page may keep anything: in a frame of another site's page often not, and then it may have no locks either. */
function mayKeep(): boolean {
  try {
    // Reading it throws where it is forbidden, and only there.
    void globalThis.sessionStorage;
    return true;
  } catch {
    return false;
  }
}

/** A tab, which leads or follows. */
export class Tabs {
  readonly #name: string;
  readonly #device: Device;
  readonly #state: State;
  readonly #channel: BroadcastChannel;
  readonly #id = crypto.randomUUID();
  // What was asked of the leader, and has no answer yet.
  readonly #asked = new Map<number, { resolve: () => void; reject: (error: ChatkitError) => void }>();
  #lastAsked = 0;
  #isLeading = false;
  #isClosed = false;
  // Whether everything was told once.
  #isTold = false;
  // Tabs that are told the state as soon as it is whole.
  readonly #waiting = new Set<string>();

  constructor(share: string, device: Device, state: State) {
    this.#name = `${PROTOCOL} ${share}`;
    this.#device = device;
    this.#state = state;
    this.#channel = new BroadcastChannel(this.#name);
  }

  /** How it stands with the leader's stream. */
  get connection(): Connection {
    return this.#device.connection;
  }

  /** Tell changes until the signal is aborted; throws the ChatkitError that was final, if it leads. */
  async run(tell: Tell, signal: AbortSignal): Promise<void> {
    this.#channel.onmessage = ({ data }: MessageEvent<Said>) => this.#hear(data, tell);
    this.#say({ kind: "hello", from: this.#id });
    try {
      await navigator.locks.request(this.#name, { signal }, () => this.#lead(tell, signal));
    } catch (error) {
      if (!signal.aborted) {
        throw error;
      }
    } finally {
      this.#isClosed = true;
      this.#channel.close();
      this.#settle();
      this.connection.become({ status: "closed", why: undefined });
    }
  }

  /** Change what the stream follows; throws ChatkitError. */
  async update(wanted: Update): Promise<void> {
    try {
      const answer = this.#ask(wanted);
      await (this.#isLeading ? this.#device.update(wanted) : answer);
    } catch (error) {
      if (wanted.watchUserIds !== undefined) {
        // The others want it no longer, either: with one who does not exist their next stream would be told of nobody.
        void this.#ask({ unwatchUserIds: wanted.watchUserIds });
      }
      throw error;
    }
  }

  /** Tell all tabs what is wanted, and resolve when the leader has answered. */
  #ask(wanted: Update): Promise<void> {
    this.#lastAsked += 1;
    const id = this.#lastAsked;
    const update = toBinary(UpdateSubscriptionRequestSchema, create(UpdateSubscriptionRequestSchema, wanted));
    this.#say({ kind: "ask", from: this.#id, id, update });
    return this.#isLeading || this.#isClosed
      ? Promise.resolve()
      : new Promise((resolve, reject) => this.#asked.set(id, { resolve, reject }));
  }

  async #lead(tell: Tell, signal: AbortSignal): Promise<void> {
    this.#isLeading = true;
    this.#say({ kind: "lead" });
    // What was asked of the one before is in this one's first request.
    this.#settle();
    const forget = this.connection.onChange((state) => this.#say({ kind: "connection", connection: plain(state) }));
    const relay: Relay = {
      begin: () => this.#say({ kind: "begin" }),
      took: (event) => this.#relay(event),
    };
    try {
      await this.#device.run(tell, signal, relay);
    } finally {
      forget();
      this.#isLeading = false;
    }
  }

  #relay(event: SyncEvent): void {
    this.#say({ kind: "event", frame: frameOf([event]) });
    this.#isTold ||= event.event.case === "caughtUp";
    this.#tellWaiting();
  }

  /** Tell the state to those who have asked for it. */
  #tellWaiting(): void {
    if (this.#waiting.size === 0 || !this.#isTold || !this.#state.isWhole) {
      return;
    }
    const frame = frameOf(this.#state.replay());
    for (const to of this.#waiting) {
      this.#say({ kind: "state", to, frame, connection: plain(this.connection.state) });
    }
    this.#waiting.clear();
  }

  #hear(said: Said, tell: Tell): void {
    if (said.kind === "ask") {
      const update = fromBinary(UpdateSubscriptionRequestSchema, said.update);
      tell(this.#state.want(update));
      if (this.#isLeading) {
        void this.#answer(said.from, said.id, update);
      }
    } else if (this.#isLeading) {
      if (said.kind === "hello") {
        this.#waiting.add(said.from);
        this.#tellWaiting();
      }
    } else {
      this.#follow(said, tell);
    }
  }

  #follow(said: Exclude<Said, { kind: "ask" }>, tell: Tell): void {
    switch (said.kind) {
      case "lead":
        this.#settle();
        if (!this.#isTold) {
          this.#say({ kind: "hello", from: this.#id });
        }
        break;
      case "state":
        if (said.to === this.#id && !this.#isTold) {
          this.#isTold = true;
          this.#state.begin();
          this.#take(said.frame, tell);
          this.connection.become(unplain(said.connection));
        }
        break;
      case "begin":
        this.#state.begin();
        break;
      case "event":
        if (this.#isTold) {
          this.#take(said.frame, tell);
        }
        break;
      case "connection":
        this.connection.become(unplain(said.connection));
        break;
      case "answer":
        if (said.to === this.#id) {
          this.#settle(said);
        }
        break;
      default:
    }
  }

  #take(frame: Uint8Array, tell: Tell): void {
    try {
      for (const event of fromBinary(SubscribeResponseSchema, frame).events) {
        tell(this.#state.take(event));
      }
    } catch (error) {
      if (!(error instanceof ChatkitError)) {
        throw error;
      }
      // What the leader told does not fit to what this tab has: it is told anew.
      this.#isTold = false;
      this.#say({ kind: "hello", from: this.#id });
    }
  }

  async #answer(to: string, id: number, update: Update): Promise<void> {
    let error: PlainError | undefined;
    try {
      await this.#device.update(update);
    } catch (thrown) {
      error = thrown instanceof ChatkitError ? toPlain(thrown) : undefined;
    }
    if (this.#isLeading) {
      this.#say({ kind: "answer", to, id, error });
    }
  }

  /** Answer those who wait for what they asked for: one of them, or all of them. */
  #settle(answer?: Extract<Said, { kind: "answer" }>): void {
    for (const [id, { resolve, reject }] of this.#asked) {
      if (answer === undefined || answer.id === id) {
        this.#asked.delete(id);
        if (answer?.error === undefined) {
          resolve();
        } else {
          reject(fromPlain(answer.error));
        }
      }
    }
  }

  #say(said: Said): void {
    if (!this.#isClosed) {
      this.#channel.postMessage(said);
    }
  }
}

function frameOf(events: SyncEvent[]): Uint8Array {
  return toBinary(SubscribeResponseSchema, create(SubscribeResponseSchema, { events }));
}

/** Return how it stands as what can be copied; a leader that closes leaves others without a stream for a moment. */
function plain(state: ConnectionState): PlainState {
  switch (state.status) {
    case "live":
      return state;
    case "lost":
      return { ...state, why: toPlain(state.why) };
    default:
      return { status: "connecting", why: state.why && toPlain(state.why) };
  }
}

function unplain(state: PlainState): ConnectionState {
  switch (state.status) {
    case "live":
      return state;
    case "lost":
      return { ...state, why: fromPlain(state.why) };
    default:
      return { ...state, why: state.why && fromPlain(state.why) };
  }
}
