/** A session: one device of one user, and all that it knows, for as long as it is open. */

import { create } from "@bufbuild/protobuf";
import { type Client as ServiceClient, Code, createClient } from "@connectrpc/connect";

import { type Calls, newId } from "../calls.js";
import type { Connection } from "../connection.js";
import { ChatkitError } from "../errors.js";
import { Listeners } from "../listeners.js";
import type { Message } from "../proto/chatkit/messages/v1/message_pb.js";
import {
  Direction,
  MessagesService,
  type SendMessageRequest,
  SendMessageRequestSchema,
} from "../proto/chatkit/messages/v1/messages_service_pb.js";
import { ReadStatesService } from "../proto/chatkit/messages/v1/read_states_service_pb.js";
import { RoomDetail } from "../proto/chatkit/sync/v1/room_to_follow_pb.js";
import type { Presence } from "../proto/chatkit/users/v1/presence_event_pb.js";
import type { User } from "../proto/chatkit/users/v1/user_pb.js";
import { UsersService } from "../proto/chatkit/users/v1/users_service_pb.js";
import { partsOf, type Says } from "../sending.js";
import { abortWith } from "../signals.js";
import { Device, type Wish } from "./device.js";
import type { Room } from "./room.js";
import { State } from "./state.js";
import { canShare, Tabs } from "./tabs.js";
import type { Change, RoomView } from "./views.js";

const MOST_CHANGES = 10_000;
const USERS_AT_ONCE = 100;
// More often nobody sees it.
const TYPING_MS = 1_000;

/** What a session asks for. */
export interface SessionOptions {
  /** The user whose device it is: oneself, unless it is said. */
  readonly userId?: string;
  /** Follow the rooms of which the user is, or becomes, a member. This is so unless it is said. */
  readonly followMemberships?: boolean;
  /** How much of rooms is sent for which nothing else is said: all events, unless it is said. */
  readonly defaultDetail?: RoomDetail;
  /** With how many messages rooms begin: 20. */
  readonly last?: number;
  /** How many messages are kept of each room: 200. */
  readonly window?: number;
  /** Tell how far others have read. This is so unless it is said. */
  readonly includeCursors?: boolean;
  /** Tell how much is unread. This is so unless it is said. */
  readonly includeReadStates?: boolean;
  /** Be online as long as the session lasts. This is so unless it is said. */
  readonly online?: boolean;
  /** Whose presence is told. */
  readonly watch?: Iterable<string>;
  /**
   * Share one stream with the other tabs of the browser whose sessions say the same text here, which must be another
   * one for each user. They should ask for the same: what one follows or watches, all do. Where the browser can't (it
   * needs Web Locks, and they a secure context) each tab has its own stream.
   */
  readonly share?: string;
}

/**
 * What a device shows, kept current by one stream from `client.session()` to `close()`.
 *
 * Everything is read as it was told so far, also while the connection is lost: `connection` says how it stands. What is
 * shown is never changed, and stays the same object as long as nothing is another way. Methods that ask the suite throw
 * ChatkitError.
 */
export class Session {
  readonly #calls: Calls;
  readonly #messages: ServiceClient<typeof MessagesService>;
  readonly #readStates: ServiceClient<typeof ReadStatesService>;
  readonly #users: ServiceClient<typeof UsersService>;
  readonly #wish: Wish;
  readonly #state: State;
  readonly #device: Pick<Device, "connection" | "run" | "update">;
  readonly #listeners = new Listeners<Change>();
  readonly #closing = new AbortController();
  readonly #caughtUp: Promise<void>;
  readonly #running: Promise<void>;
  readonly #typed = new Map<string, number>();
  #beCaughtUp: () => void = () => {};
  #ending: Extract<Change, { kind: "closed" }> | undefined;

  /** Use `client.session()`. */
  constructor(calls: Calls, options: SessionOptions) {
    this.#calls = calls;
    this.#messages = createClient(MessagesService, calls);
    this.#readStates = createClient(ReadStatesService, calls);
    this.#users = createClient(UsersService, calls);
    this.#wish = {
      userId: options.userId ?? "",
      followMemberships: options.followMemberships ?? true,
      defaultDetail: options.defaultDetail ?? RoomDetail.UNSPECIFIED,
      last: options.last ?? 20,
      includeCursors: options.includeCursors ?? true,
      includeReadStates: options.includeReadStates ?? true,
      online: options.online ?? true,
    };
    this.#state = new State(options.window ?? 200, calls.clock, options.watch ?? []);
    const device = new Device(calls, this.#wish, this.#state, (work) => void this.#watchOver(work));
    this.#device = options.share !== undefined && canShare() ? new Tabs(options.share, device, this.#state) : device;
    this.#caughtUp = new Promise((resolve) => {
      this.#beCaughtUp = resolve;
    });
    this.#running = this.#run();
  }

  // How it stands.

  /** How it stands with the stream, and of which parts not everything was told. */
  get connection(): Connection {
    return this.#device.connection;
  }

  /** The user's own id; empty before it was told. */
  get userId(): string {
    return this.#state.userId;
  }

  /** Return the rooms that the user is in, or that are followed, as they are now. */
  rooms(): readonly RoomView[] {
    return this.#state.views();
  }

  /** Return a room as it is now; undefined for one that the user is not in and that is not followed. */
  room(roomId: string): RoomView | undefined {
    const room = this.#state.rooms.get(roomId);
    return room?.isShown || room?.pending.size ? room.view() : undefined;
  }

  /** Return a user as told or read last; undefined for one of whom nothing is known, see `readUsers`. */
  user(userId: string): User | undefined {
    return this.#state.users.get(userId);
  }

  /** Return whether a user is there; undefined for one who is not watched, or was not told yet. */
  presence(userId: string): Presence | undefined {
    return this.#state.presence.get(userId);
  }

  /** Call a function with every change from the next one on; returns what ends that. */
  onChange(callback: (change: Change) => void): () => void {
    return this.#listeners.add(callback);
  }

  /** Iterate over the changes from now on, up to `closed`; whoever is very slow finds `missed` in place of many. */
  changes(): AsyncIterableIterator<Change> {
    return this.#listeners.items(this.#ending === undefined ? [] : [this.#ending], {
      most: MOST_CHANGES,
      missed: { kind: "missed" },
      isLast: ({ kind }) => kind === "closed",
    });
  }

  /** Resolve when everything was told once, however long that takes; rejects when it never will be. */
  async caughtUp(): Promise<void> {
    await this.#caughtUp;
    if (this.#ending !== undefined) {
      throw this.#ending.error ?? new ChatkitError(Code.Canceled, "", "the session was closed");
    }
  }

  /** End the stream; what is known stays as it is. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
  }

  // What is followed.

  /** Follow a room, or with another detail than before; whether it may be is told by `roomReset` or `roomClosed`. */
  async follow(roomId: string, detail = RoomDetail.UNSPECIFIED): Promise<void> {
    const room = this.#state.room(roomId);
    room.follow(detail);
    await this.#device.update({ followRooms: [room.request(this.#wish.last)] });
  }

  /** Follow a room no longer, though the user may be a member; what is known of it grows old. */
  async unfollow(roomId: string): Promise<void> {
    this.#tell(this.#state.room(roomId).unfollow());
    await this.#device.update({ unfollowRoomIds: [roomId] });
  }

  /** Be told the presence of more users; throws USER_NOT_FOUND. */
  async watch(userIds: Iterable<string>): Promise<void> {
    const { watched } = this.#state;
    const watchUserIds = [...new Set(userIds)].filter((userId) => !watched.has(userId)).sort();
    this.#state.want({ watchUserIds });
    try {
      await this.#device.update({ watchUserIds });
    } catch (error) {
      this.#state.want({ unwatchUserIds: watchUserIds });
      throw error;
    }
  }

  /** Be told the presence of users no longer. */
  async unwatch(userIds: Iterable<string>): Promise<void> {
    const { watched } = this.#state;
    const unwatchUserIds = [...new Set(userIds)].filter((userId) => watched.has(userId)).sort();
    this.#state.want({ unwatchUserIds });
    await this.#device.update({ unwatchUserIds });
  }

  /** Read those users of whom nothing is known; from then on their changes are told to whom shares a room. */
  async readUsers(userIds: Iterable<string>): Promise<void> {
    const unknown = [...new Set(userIds)].filter((userId) => !this.#state.users.has(userId)).sort();
    while (unknown.length > 0) {
      const asked = unknown.splice(0, USERS_AT_ONCE);
      const [answer, doubtful] = await this.#state.reading(() => this.#users.batchGetUsers({ userIds: asked }));
      this.#tell(this.#state.know(answer.users.filter(({ id }) => !doubtful.has(id))));
      unknown.push(...asked.filter((userId) => doubtful.has(userId)));
    }
  }

  // What is done.

  /**
   * Send a message, a text or parts, and return it as it is stored.
   *
   * It is `pending` in the room until its event has come. Where sending fails it stays there with the error, until it is
   * sent again, `resend`, or taken away, `discard`. Messages of a room are sent one after the other.
   */
  async send(roomId: string, says: Says, requestId = newId()): Promise<Message> {
    const senderId = this.#wish.userId || this.userId;
    const request = create(SendMessageRequestSchema, { roomId, senderId, parts: partsOf(says), requestId });
    return this.#deliver(this.#state.room(roomId), request);
  }

  /** Send again what has failed: it is stored once, even if it was stored before. Throws RangeError. */
  async resend(roomId: string, requestId: string): Promise<Message> {
    const room = this.#state.room(roomId);
    const pending = room.pending.get(requestId);
    if (pending === undefined) {
      throw new RangeError(`nothing that is pending in ${roomId} has the request id ${requestId}`);
    }
    return this.#deliver(room, pending.request);
  }

  /** Show a message that has failed no longer. */
  discard(roomId: string, requestId: string): void {
    this.#tell(this.#state.room(roomId).dropPending(requestId));
  }

  /** Show to others that the user is typing; call it with every key, for it asks the suite once a second. */
  async typing(roomId: string): Promise<void> {
    const now = this.#calls.clock.now();
    if (now - (this.#typed.get(roomId) ?? -Infinity) >= TYPING_MS) {
      this.#typed.set(roomId, now);
      // What comes late is no longer so.
      await this.#messages.sendTyping({ roomId, userId: this.#wish.userId }, { timeoutMs: TYPING_MS });
    }
  }

  /** Say that the user has read a room up to a message, or up to the last one that is here. */
  async setReadCursor(roomId: string, seq?: bigint): Promise<void> {
    const last = seq ?? this.room(roomId)?.messages.at(-1)?.seq ?? 0n;
    await this.#readStates.setReadCursor({ roomId, seq: last, userId: this.#wish.userId });
  }

  /**
   * Read messages before the first one that is here, at most so many; returns how many came.
   *
   * Throws RangeError where the room's messages are not followed.
   */
  async loadOlder(roomId: string, count = 50): Promise<number> {
    const room = this.#state.rooms.get(roomId);
    if (room?.position === undefined) {
      throw new RangeError(`the messages of ${roomId} are not followed`);
    }
    const { window } = room;
    if (!window.hasOlder) {
      return 0;
    }
    const added = await window.loading(async () => {
      const page = await this.#messages.listMessages({
        roomId,
        direction: Direction.OLDER,
        fromSeq: window.firstSeq,
        pageSize: count,
      });
      return window.putOlder(page.messages, page.nextPageToken === "");
    });
    this.#tell([room.change({ kind: "historyLoaded" })]);
    return added;
  }

  async #deliver(room: Room, request: SendMessageRequest): Promise<Message> {
    this.#tell([room.addPending(request)]);
    const sending = room.sending.then(() => this.#messages.sendMessage(request));
    room.sending = sending.catch(() => {});
    try {
      const { message } = await sending;
      if (message === undefined) {
        throw new ChatkitError(Code.Internal, "", "the suite has answered without the message");
      }
      this.#tell(room.answerPending(request.requestId, message, undefined));
      return message;
    } catch (error) {
      const failure = error instanceof ChatkitError ? error : new ChatkitError(Code.Unknown, "", String(error));
      this.#tell(room.answerPending(request.requestId, undefined, failure));
      throw error;
    }
  }

  // How it goes on.

  async #run(): Promise<void> {
    let failure: ChatkitError | undefined;
    const letGo = abortWith(this.#closing, this.#calls.line.closed);
    try {
      await this.#device.run((changes) => this.#tell(changes), this.#closing.signal);
    } catch (cause) {
      // What is no ChatkitError is nobody's who would hear of it: whoever waits is told, instead of waiting for ever.
      failure =
        cause instanceof ChatkitError
          ? cause
          : new ChatkitError(Code.Internal, "", `the session has failed: ${String(cause)}`, { cause });
    }
    letGo();
    this.#closing.abort();
    this.#ending = { kind: "closed", error: failure };
    this.#listeners.tell(this.#ending);
    this.#beCaughtUp();
  }

  #tell(changes: readonly Change[]): void {
    for (const change of changes) {
      if (change.kind === "caughtUp") {
        this.#beCaughtUp();
      } else if (change.kind === "typing") {
        void this.#watchOver(this.#endTyping(this.#state.room(change.roomId), change.userId));
      }
      this.#listeners.tell(change);
    }
  }

  async #endTyping(room: Room, userId: string): Promise<void> {
    for (let left = room.typingLeftMs(userId); left !== undefined && left > 0; left = room.typingLeftMs(userId)) {
      await this.#calls.clock.sleep(left, this.#closing.signal);
    }
    this.#tell(room.endTyping(userId));
  }

  /** Wait for what happens beside the stream, and say when it was refused: nobody else hears of it. */
  async #watchOver(work: Promise<void>): Promise<void> {
    try {
      await work;
    } catch (error) {
      // A connection that was lost is said by `connection`.
      if (!this.#closing.signal.aborted && !(error instanceof ChatkitError && error.reason === "")) {
        console.warn("chatkit: what a session wanted beside its stream was refused", error);
      }
    }
  }
}
