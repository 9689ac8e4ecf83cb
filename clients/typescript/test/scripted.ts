/** A suite that plays a script in memory: what each stream sends, what it was asked, and how its calls are answered. */

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createRouterTransport, type HandlerContext, type Transport } from "@connectrpc/connect";

import { type Client, connectOver } from "../src/client.js";
import { MessagesService } from "../src/proto/chatkit/messages/v1/messages_service_pb.js";
import type { Message } from "../src/proto/chatkit/messages/v1/message_pb.js";
import { MessageSchema } from "../src/proto/chatkit/messages/v1/message_pb.js";
import { Outcome, type RoomEventSchema, SnapshotReason } from "../src/proto/chatkit/messages/v1/room_event_pb.js";
import type { SyncEventSchema } from "../src/proto/chatkit/sync/v1/sync_event_pb.js";
import { type SubscribeRequest, SyncService, type UpdateSubscriptionRequest } from "../src/proto/chatkit/sync/v1/sync_service_pb.js";
import { PresenceState } from "../src/proto/chatkit/users/v1/presence_event_pb.js";
import { ErrorInfoSchema, RetryInfoSchema } from "../src/proto/google/rpc/error_details_pb.js";
import type { Clock } from "../src/retry.js";
import type { Token } from "../src/tokens.js";

export type Event = MessageInitShape<typeof SyncEventSchema>;
type RoomEvent = MessageInitShape<typeof RoomEventSchema>;

const EPOCH = "epoch";

/** The opening of every stream. */
export const OPENED: Event = { event: { case: "opened", value: { streamId: "stream" } } };
export const CAUGHT_UP: Event = { event: { case: "caughtUp", value: {} } };
export const EXPIRING: Event = { event: { case: "tokenExpiring", value: {} } };

/** Return an event of a room. */
export function inRoom(event: RoomEvent["event"], seq = 0n, roomId = "lobby"): Event {
  return { event: { case: "room", value: { roomId, seq, ...(event === undefined ? {} : { event }) } } };
}

/** Return what opens a room with a snapshot of these messages, up to the end of its log. */
export function snapshot(seq: bigint, messages: readonly Event[] = [], firstSeq = 0n, oldestSeq = 1n): Event[] {
  const position = { epoch: EPOCH, seq };
  const reason = SnapshotReason.NEW;
  const opened = { position, firstSeq, oldestSeq, reason, outcome: Outcome.SNAPSHOT };
  return [inRoom({ case: "opened", value: opened }), ...messages, caughtUpTo(seq)];
}

/** Return what opens a room that goes on after a position. */
export function resumed(seq: bigint): Event {
  const opened = { position: { epoch: EPOCH, seq }, outcome: Outcome.RESUMED, oldestSeq: 1n };
  return inRoom({ case: "opened", value: opened });
}

/** Return that everything up to a seq was told. */
export function caughtUpTo(seq: bigint): Event {
  return inRoom({ case: "caughtUp", value: { seq } });
}

/** Return a message as it is stored. */
export function stored(seq: bigint, facts: MessageInitShape<typeof MessageSchema> = {}): Message {
  return create(MessageSchema, { roomId: "lobby", seq, revision: seq, senderId: "bob", ...facts });
}

/** Return all that is told one after the other. */
export async function all<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const found: Item[] = [];
  for await (const item of items) {
    found.push(item);
  }
  return found;
}

/** Return the event of a message. */
export function message(seq: bigint, facts: MessageInitShape<typeof MessageSchema> = {}): Event {
  return inRoom({ case: "messageCreated", value: stored(seq, facts) }, seq);
}

/** Return the opening of the user's part. */
export function userOpened(isResumed = false): Event {
  const opened = { case: "opened", value: { user: { id: "alice" }, resumed: isResumed } } as const;
  return { event: { case: "user", value: { event: opened } } };
}

/** Return a room of the user. */
export function userRoom(roomId: string, ...userIds: string[]): Event {
  const room = { case: "room", value: { room: { id: roomId }, membership: { roomId, userIds } } } as const;
  return { event: { case: "user", value: { event: room } } };
}

/** Return the end of the user's state, or of what was missed. */
export function userCaughtUp(roomsVersion: bigint): Event {
  const caughtUp = { case: "caughtUp", value: {} } as const;
  return { event: { case: "user", value: { event: caughtUp, position: { roomsVersion } } } };
}

/** Return that somebody is there. */
export function online(userId: string): Event {
  const there = { case: "presenceChanged", value: { userId, state: PresenceState.ONLINE } } as const;
  return { event: { case: "presence", value: { event: there } } };
}

/** Return an error as the suite says it. */
export function refusal(code: Code, reason: string, retryAfterMs?: number): ConnectError {
  const info = { desc: ErrorInfoSchema, value: { domain: "chatkit", reason, metadata: { fact: "true" } } };
  const retry = { desc: RetryInfoSchema, value: { retryDelay: { nanos: (retryAfterMs ?? 0) * 1e6 } } };
  return new ConnectError("scripted", code, undefined, retryAfterMs === undefined ? [info] : [info, retry]);
}

/** The streams to play, one per call: each breaks off when it was played, unless it is the last. */
export class Suite {
  readonly requests: SubscribeRequest[] = [];
  readonly updates: UpdateSubscriptionRequest[] = [];
  readonly renewals: string[] = [];
  readonly tokens: string[] = [];
  /** The request ids of messages, attempt by attempt. */
  readonly sent: string[] = [];
  /** What the next calls are refused with. */
  readonly refusals: ConnectError[] = [];
  /** Answers a message that is sent. */
  answer: (requestId: string) => Promise<Message> = async (requestId) => stored(1n, { requestId, senderId: "alice" });
  /** The pages that are read. */
  history: Message[] = [];
  /** How many streams are open. */
  open = 0;
  /** Whether each stream goes on when it was played, as the last one does. */
  hangs = false;
  /** How often a stream that is named is not found. */
  lost = 0;
  readonly #more: Event[] = [];
  #wake: () => void = () => {};

  constructor(readonly streams: readonly Event[][] = [[OPENED, CAUGHT_UP]]) {}

  /** Send more on the last stream. */
  send(...events: Event[]): void {
    this.#more.push(...events);
    this.#wake();
  }

  /** Return a client of this suite. */
  client(token: Token = "token", clock?: Clock): Client {
    return connectOver(this.transport(), token, clock === undefined ? {} : { clock });
  }

  transport(): Transport {
    return createRouterTransport(({ service }) => {
      service(SyncService, {
        subscribe: (request, context) => this.#subscribe(request, context),
        updateSubscription: (request) => {
          if (this.lost > 0) {
            this.lost -= 1;
            throw refusal(Code.NotFound, "STREAM_NOT_FOUND");
          }
          this.#refuse();
          this.updates.push(request);
          return {};
        },
        renewToken: (_, context) => {
          this.renewals.push(tokenOf(context));
          return {};
        },
      });
      service(MessagesService, {
        sendMessage: async ({ requestId }, context) => {
          this.sent.push(requestId);
          this.tokens.push(tokenOf(context));
          this.#refuse();
          return { message: await this.answer(requestId) };
        },
        listMessages: () => ({ messages: this.history }),
      });
    });
  }

  #refuse(): void {
    const refused = this.refusals.shift();
    if (refused !== undefined) {
      throw refused;
    }
  }

  async *#subscribe(request: SubscribeRequest, context: HandlerContext): AsyncGenerator<{ events: Event[] }> {
    this.requests.push(request);
    this.tokens.push(tokenOf(context));
    this.#refuse();
    for (const event of this.streams[Math.min(this.requests.length, this.streams.length) - 1] ?? []) {
      yield { events: [event] };
    }
    if (this.requests.length < this.streams.length && !this.hangs) {
      throw new ConnectError("scripted", Code.Unavailable);
    }
    this.open += 1;
    try {
      yield* this.#rest(context.signal);
    } finally {
      this.open -= 1;
    }
  }

  async *#rest(ended: AbortSignal): AsyncGenerator<{ events: Event[] }> {
    for (;;) {
      yield { events: this.#more.splice(0) };
      if (this.#more.length === 0) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
          ended.addEventListener("abort", () => resolve());
        });
      }
      ended.throwIfAborted();
    }
  }
}

function tokenOf({ requestHeader }: HandlerContext): string {
  return (requestHeader.get("authorization") ?? "").replace("Bearer ", "");
}

/** A clock that goes on by itself when somebody sleeps, to where the first one wakes. */
export class ManualClock implements Clock {
  readonly slept: number[] = [];
  #now = 1_000_000;
  #sleepers: { readonly end: number; readonly wake: () => void }[] = [];

  now(): number {
    return this.#now;
  }

  time(): number {
    return this.#now;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    this.slept.push(ms);
    return new Promise((resolve, reject) => {
      const sleeper = { end: this.#now + ms, wake: resolve };
      this.#sleepers.push(sleeper);
      signal?.addEventListener("abort", () => {
        this.#sleepers = this.#sleepers.filter((other) => other !== sleeper);
        reject(signal.reason);
      });
    });
  }

  /** Let time pass, and wake those for whom it is time. */
  async pass(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      await settled();
      const [next] = this.#sleepers.filter((sleeper) => sleeper.end <= end).sort((one, other) => one.end - other.end);
      if (next === undefined) {
        break;
      }
      this.#sleepers = this.#sleepers.filter((sleeper) => sleeper !== next);
      this.#now = Math.max(this.#now, next.end);
      next.wake();
    }
    this.#now = end;
  }
}

/** Let everything happen that waits for nothing. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Wait until something holds; it is looked at again whenever something has happened. */
export async function until(holds: () => unknown): Promise<void> {
  const end = performance.now() + 10_000;
  while (!holds()) {
    if (performance.now() > end) {
      throw new Error(`it never came to be: ${holds.toString()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
