/** The stream of a device: what it asks for, how it is changed while it is open, and how it outlives its token. */

import { create } from "@bufbuild/protobuf";
import { type Client as ServiceClient, Code, createClient } from "@connectrpc/connect";

import type { Calls } from "../calls.js";
import { Connection, type StreamPart } from "../connection.js";
import { ChatkitError, fromClosed, SignedOut } from "../errors.js";
import type { RoomDetail } from "../proto/chatkit/sync/v1/room_to_follow_pb.js";
import type { SyncEvent } from "../proto/chatkit/sync/v1/sync_event_pb.js";
import { type SubscribeRequest, SubscribeRequestSchema, SyncService } from "../proto/chatkit/sync/v1/sync_service_pb.js";
import { Backoff } from "../retry.js";
import { abortWith, unlessAborted } from "../signals.js";
import { ALL_PARTS, partOf, type State, type Update } from "./state.js";
import { eventsOf } from "./stream.js";
import type { Change } from "./views.js";

/** What every stream asks for alike. */
export interface Wish {
  readonly userId: string;
  readonly followMemberships: boolean;
  readonly defaultDetail: RoomDetail;
  readonly last: number;
  readonly includeCursors: boolean;
  readonly includeReadStates: boolean;
  readonly online: boolean;
}

/** Tells what changes. */
export type Tell = (changes: readonly Change[]) => void;

/** What others are told who make of a stream what this device does. */
export interface Relay {
  /** Another stream begins. */
  begin(): void;
  /** An event was taken. */
  took(event: SyncEvent): void;
}

/** Tells what changes in a state, stream after stream. */
export class Device {
  readonly connection = new Connection();
  readonly #calls: Calls;
  readonly #sync: ServiceClient<typeof SyncService>;
  readonly #state: State;
  readonly #wish: Wish;
  readonly #spawn: (work: Promise<void>) => void;
  // What ends the open stream, if there is one.
  #ending = new AbortController();
  // The open stream's name; empty as long as there is none.
  #streamId = "";
  // The token of the stream, and whether it is good no longer.
  #token: string | undefined;
  #hasExpired = false;
  // What was wanted since the stream was asked for, and before it was open.
  #late: Update[] = [];
  #updating: Promise<unknown> = Promise.resolve();
  // Whether the open stream has told everything once.
  #hasCaughtUp = false;

  constructor(calls: Calls, wish: Wish, state: State, spawn: (work: Promise<void>) => void) {
    this.#calls = calls;
    this.#sync = createClient(SyncService, calls);
    this.#wish = wish;
    this.#state = state;
    this.#spawn = spawn;
  }

  /** Tell changes until the signal is aborted; throws the ChatkitError that was final. */
  async run(tell: Tell, signal: AbortSignal, relay?: Relay): Promise<void> {
    const backoff = new Backoff();
    let why: ChatkitError | undefined;
    try {
      while (!signal.aborted) {
        this.connection.become({ status: "connecting", why });
        why = await this.#followOnce(signal, relay, (changes) => {
          tell(changes);
          backoff.succeeded();
        });
        if (!signal.aborted) {
          await this.#beforeTheNext(why, backoff, signal);
        }
      }
    } catch (ending) {
      if (!signal.aborted) {
        this.connection.become({ status: "closed", why: ending instanceof ChatkitError ? ending : undefined });
        throw ending;
      }
    } finally {
      this.connection.become({ status: "closed", why: undefined });
    }
  }

  /**
   * Change what the open stream follows; throws ChatkitError. The next stream asks for it by itself.
   *
   * What is wanted is said in the order in which it was, also where a call has to be repeated.
   */
  async update(update: Update): Promise<void> {
    const updating = this.#updating.then(() => this.#update(update));
    this.#updating = updating.catch(() => {});
    await updating;
  }

  async #update(update: Update): Promise<void> {
    const streamId = this.#streamId;
    if (!streamId) {
      this.#late.push(update);
      return;
    }
    try {
      await this.#sync.updateSubscription({ ...update, streamId, userId: this.#wish.userId });
    } catch (error) {
      if (!(error instanceof ChatkitError && error.reason === "STREAM_NOT_FOUND")) {
        throw error;
      }
      if (streamId === this.#streamId) {
        // Its replica may be there, and not have answered.
        this.#ending.abort(new ChatkitError(Code.Unavailable, "", "the stream was not found"));
      }
    }
  }

  /** Follow one stream to its end, and return why it has ended. */
  async #followOnce(signal: AbortSignal, relay: Relay | undefined, tell: Tell): Promise<ChatkitError> {
    const ending = new AbortController();
    const letGo = abortWith(ending, signal);
    try {
      const token = await unlessAborted(this.#goodToken(), signal);
      this.#begin(token, ending);
      relay?.begin();
      this.#spawn(this.#keepToken(ending.signal));
      for await (const event of eventsOf(this.#calls, this.#request(), token, ending)) {
        this.#see(event);
        const changes = this.#state.take(event);
        relay?.took(event);
        if (changes.length > 0) {
          tell(changes);
        }
      }
    } catch (error) {
      if (!(error instanceof ChatkitError)) {
        throw error;
      }
      return error;
    } finally {
      letGo();
      this.#streamId = "";
    }
    return new ChatkitError(Code.Unavailable, "", "the stream ended without a reason");
  }

  /** Return when another stream is to be opened; throws the ending if it is final. */
  async #beforeTheNext(why: ChatkitError, backoff: Backoff, signal: AbortSignal): Promise<void> {
    if (this.#calls.tokens.canReplace(this.#token, why)) {
      this.#hasExpired = true;
      if (this.connection.isLive) {
        return;
      }
    } else if (!why.isResumable) {
      throw why;
    }
    const retryInMs = backoff.nextDelayMs(why.retryAfterMs);
    this.connection.become({ status: "lost", why, retryInMs });
    await this.#calls.clock.sleep(retryInMs, signal);
  }

  async #goodToken(): Promise<string> {
    const { tokens } = this.#calls;
    const token = await (this.#hasExpired ? tokens.renewed(this.#token) : tokens.current());
    this.#hasExpired = false;
    return token;
  }

  #begin(token: string, ending: AbortController): void {
    this.#state.begin();
    this.#token = token;
    this.#ending = ending;
    this.#hasCaughtUp = false;
    this.#late = [];
  }

  #request(): SubscribeRequest {
    const { userId, followMemberships, defaultDetail, last, includeCursors, includeReadStates, online } = this.#wish;
    const followed = [...this.#state.rooms.values()].filter((room) => room.isFollowed);
    const { userPosition, watched } = this.#state;
    return create(SubscribeRequestSchema, {
      userId,
      followMemberships,
      defaultDetail,
      includeCursors,
      includeReadStates,
      rooms: followed.map((room) => room.request(last)),
      defaultStart: { case: "defaultLast", value: last },
      user: userPosition === undefined ? {} : { after: userPosition },
      presence: { online, watchUserIds: [...watched].sort() },
    });
  }

  // What the stream tells.

  /** Learn how it stands; throws ChatkitError when the stream is over. */
  #see({ event }: SyncEvent): void {
    switch (event.case) {
      case "opened":
        this.#streamId = event.value.streamId;
        this.#calls.tokens.accept(this.#token);
        // Until everything was told nothing is known to be as it is.
        this.#beLive(ALL_PARTS);
        this.#catchUpWithWishes();
        this.#spawn(this.#useToken());
        break;
      case "caughtUp":
        this.#hasCaughtUp = true;
        this.#beLive([]);
        break;
      case "heartbeat":
        if (this.#hasCaughtUp) {
          this.#beLive(event.value.behind.flatMap((part) => partOf(part) ?? []));
        }
        break;
      case "user":
      case "presence":
        if (this.#hasCaughtUp) {
          this.#seePart(event.case, event.value.event.case);
        }
        break;
      case "tokenExpiring":
        this.#spawn(this.#renew());
        break;
      case "closed":
        throw fromClosed(event.value);
      default:
    }
  }

  #beLive(behind: Iterable<StreamPart>): void {
    this.connection.become({ status: "live", behind: new Set(behind) });
  }

  /** Learn that a part is opened anew on the stream, or has told how it stands. */
  #seePart(part: StreamPart, kind: string | undefined): void {
    const { state } = this.connection;
    const behind = new Set(state.status === "live" ? state.behind : []);
    if (kind === "opened") {
      this.#beLive(behind.add(part));
    } else if (kind === "caughtUp") {
      behind.delete(part);
      this.#beLive(behind);
    }
  }

  // What is wanted on the open stream.

  #catchUpWithWishes(): void {
    const unwanted = [...this.#state.rooms.values()].filter((room) => room.isUnwanted).map((room) => room.id);
    if (unwanted.length > 0 && this.#wish.followMemberships) {
      this.#late.push({ unfollowRoomIds: unwanted });
    }
    const late = this.#late;
    this.#late = [];
    this.#spawn(this.#updateAll(late));
  }

  async #updateAll(updates: readonly Update[]): Promise<void> {
    for (const update of updates) {
      await this.update(update);
    }
  }

  // How the stream outlives its token.

  async #keepToken(signal: AbortSignal): Promise<void> {
    try {
      await this.#calls.tokens.keep(() => this.#useToken(), signal);
    } catch (error) {
      if (!(signal.aborted || error instanceof SignedOut)) {
        throw error;
      }
    }
  }

  /** Let the stream live by the latest token: where little was left of its own the warning may come too late. */
  async #useToken(): Promise<void> {
    if (this.#streamId && this.#calls.tokens.latest !== this.#token) {
      await this.#renew();
    }
  }

  /** Let the stream live as long as another token, for which the function is asked until the stream ends. */
  async #renew(): Promise<void> {
    const streamId = this.#streamId;
    const { clock, tokens } = this.#calls;
    const backoff = new Backoff();
    while (tokens.canRenew && this.#streamId === streamId) {
      try {
        const token = await tokens.renewed(this.#token);
        await this.#sync.renewToken({ streamId, userId: this.#wish.userId });
        this.#token = token;
        return;
      } catch (error) {
        if (!(error instanceof ChatkitError) || error instanceof SignedOut || !error.isResumable) {
          return;
        }
        await clock.sleep(backoff.nextDelayMs(error.retryAfterMs), this.#ending.signal);
      }
    }
  }
}
