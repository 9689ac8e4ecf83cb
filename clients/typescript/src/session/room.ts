/**
 * One room of a session: what its stream tells, folded.
 *
 * Each event of the log is taken once and in order. What does not fit ends the stream, for the next one resumes from here.
 */

import { create } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";

import { ChatkitError, fromClosed } from "../errors.js";
import { messageOf } from "../messages.js";
import type { Message } from "../proto/chatkit/messages/v1/message_pb.js";
import type { SendMessageRequest } from "../proto/chatkit/messages/v1/messages_service_pb.js";
import { type Position, PositionSchema } from "../proto/chatkit/messages/v1/position_pb.js";
import type { ReadCursor } from "../proto/chatkit/messages/v1/read_cursor_pb.js";
import type { ReadState } from "../proto/chatkit/messages/v1/read_state_pb.js";
import {
  CaughtUpSchema,
  type Closed,
  type Opened,
  OpenedSchema,
  Outcome,
  type RoomEvent,
  RoomEventSchema,
} from "../proto/chatkit/messages/v1/room_event_pb.js";
import type { Room as Description } from "../proto/chatkit/rooms/v1/room_pb.js";
import { RoomDetail, type RoomToFollow, RoomToFollowSchema } from "../proto/chatkit/sync/v1/room_to_follow_pb.js";
import { Backoff, type Clock } from "../retry.js";
import type { Pending, RoomChange, RoomView } from "./views.js";
import { Window } from "./window.js";

const TYPING_MS = 1_500;

/** A room that the user is in, or that is followed, or both. */
export class Room {
  isFollowed = false;
  /** The program has said so: memberships are followed without this room. */
  isUnwanted = false;
  detail = RoomDetail.UNSPECIFIED;
  /** After the last event that was taken; undefined where the next stream starts with a snapshot. */
  position: Position | undefined;
  window: Window;
  readonly pending = new Map<string, Pending>();
  /** Messages of a room are sent one after the other: the last one's end. */
  sending: Promise<unknown> = Promise.resolve();
  readonly #typing = new Map<string, number>();
  readonly #memberIds = new Set<string>();
  readonly #cursors = new Map<string, ReadCursor>();
  readonly #backoff = new Backoff();
  #description: Description | undefined;
  // The snapshot that is being told, and the log that it is of.
  #snapshot: Window | undefined;
  #epoch = "";
  #readState: ReadState | undefined;
  #closed: ChatkitError | undefined;
  // After which seq the suite has left events out.
  #holeAfter = -1n;
  #view: RoomView | undefined;

  constructor(
    readonly id: string,
    readonly most: number,
    readonly clock: Clock,
  ) {
    this.window = new Window(most);
  }

  /** Return the room as it is now, the same object for as long as nothing has changed. */
  view(): RoomView {
    this.#view ??= {
      id: this.id,
      room: this.#description,
      memberIds: new Set(this.#memberIds),
      messages: this.window.list(),
      hasOlder: this.window.hasOlder,
      pending: [...this.pending.values()],
      readState: this.#readState,
      cursors: new Map(this.#cursors),
      typingIds: new Set(this.#typing.keys()),
      closed: this.#closed,
    };
    return this.#view;
  }

  /** Return what follows the room from where it stands, with so many messages where it can't be resumed. */
  request(last: number): RoomToFollow {
    const { id: roomId, detail, position } = this;
    return position === undefined
      ? create(RoomToFollowSchema, { roomId, detail, start: { case: "last", value: last } })
      : create(RoomToFollowSchema, {
          roomId,
          detail,
          start: { case: "after", value: position },
          maxSnapshotMessages: last,
        });
  }

  /** Go on with another stream: what the one before has not told to its end counts for nothing. */
  begin(): void {
    this.#snapshot = undefined;
  }

  /** Follow it from now on, or another part of it. */
  follow(detail: RoomDetail): void {
    this.isFollowed = true;
    this.isUnwanted = false;
    this.detail = detail;
    this.#view = undefined;
  }

  /** Follow it no longer, though the user may be a member. */
  unfollow(): RoomChange[] {
    this.isFollowed = false;
    this.isUnwanted = true;
    return this.#dropStored();
  }

  /** Whether the user is in it, or it is followed. */
  get isShown(): boolean {
    return this.#description !== undefined || this.isFollowed;
  }

  /** Whether no snapshot of it is being told. */
  get isWhole(): boolean {
    return this.#snapshot === undefined;
  }

  /** Return events that make another room, of which nothing is known, like this one. */
  replay(): RoomEvent[] {
    const event = (one: RoomEvent["event"], seq = 0n): RoomEvent =>
      create(RoomEventSchema, { roomId: this.id, seq, event: one });
    const events = this.isFollowed ? this.#replayLog(event) : [];
    events.push(...[...this.#cursors.values()].map((value) => event({ case: "cursorSet", value })));
    return this.#readState === undefined ? events : [...events, event({ case: "readState", value: this.#readState })];
  }

  #replayLog(event: (one: RoomEvent["event"], seq?: bigint) => RoomEvent): RoomEvent[] {
    const { position, window } = this;
    if (position === undefined) {
      return [event({ case: "opened", value: create(OpenedSchema) })];
    }
    const { firstSeq, oldestSeq } = window;
    const opened = create(OpenedSchema, { position, outcome: Outcome.SNAPSHOT, firstSeq, oldestSeq });
    return [
      event({ case: "opened", value: opened }),
      ...window.list().map((value) => event({ case: "messageCreated", value }, value.seq)),
      event({ case: "caughtUp", value: create(CaughtUpSchema, { seq: position.seq }) }),
    ];
  }

  // What the user's part tells.

  /** As the user's part tells it; undefined where the user is no member. */
  get description(): Description | undefined {
    return this.#description;
  }

  get memberIds(): ReadonlySet<string> {
    return this.#memberIds;
  }

  /** Keep how a room is described, and who is in it. */
  describe(description: Description | undefined, memberIds: Iterable<string> = this.#memberIds): void {
    const ids = new Set(memberIds);
    this.#description = description && { ...description, memberCount: ids.size };
    this.#memberIds.clear();
    for (const id of ids) {
      this.#memberIds.add(id);
    }
  }

  // What the stream tells.

  /** Take an event; throws ChatkitError when the stream is over by it. */
  take(roomEvent: RoomEvent): RoomChange[] {
    const { event } = roomEvent;
    switch (event.case) {
      case "opened":
        return this.#open(event.value, roomEvent);
      case "caughtUp":
        return this.#catchUp(event.value.seq);
      case "heartbeat":
        this.#expect(event.value.headSeq);
        return [];
      case "closed":
        return this.#close(event.value);
      case "readState":
        this.#readState = event.value;
        return [this.change({ kind: "readState" })];
      case "cursorSet":
        return this.#setCursor(event.value);
      case "typing":
        return this.#type(event.value.userId);
      default:
        // Events of other kinds have a place in the log, or are of a later release.
        return this.#takeEntry(roomEvent);
    }
  }

  #open(opened: Opened, event: RoomEvent): RoomChange[] {
    this.isFollowed = true;
    this.#closed = undefined;
    this.#epoch = opened.position?.epoch ?? "";
    this.#view = undefined;
    if (opened.outcome === Outcome.SNAPSHOT) {
      const firstSeq = opened.firstSeq || (opened.position?.seq ?? 0n) + 1n;
      this.#snapshot = new Window(this.most, firstSeq, opened.oldestSeq);
      this.#snapshot.see(event);
      return [];
    }
    if (opened.outcome === Outcome.RESUMED) {
      return this.window.resume(event) ? [this.change({ kind: "historyLoaded" })] : [];
    }
    // Only the read state comes from now on: messages would grow old.
    const hadMessages = this.position !== undefined;
    this.position = undefined;
    this.window = new Window(this.most);
    return [...(hadMessages ? [this.change({ kind: "roomReset", seq: 0n })] : []), ...this.#dropStored()];
  }

  #catchUp(seq: bigint): RoomChange[] {
    if (this.#snapshot === undefined) {
      this.#expect(seq);
      return [];
    }
    this.window = this.#snapshot;
    this.#snapshot = undefined;
    this.position = create(PositionSchema, { epoch: this.#epoch, seq });
    for (const message of this.window.list()) {
      this.#settle(message);
    }
    this.#dropStored(seq);
    return [this.change({ kind: "roomReset", seq })];
  }

  #takeEntry(event: RoomEvent): RoomChange[] {
    if (this.#snapshot !== undefined) {
      this.#snapshot.see(event);
      return [];
    }
    if (this.position === undefined || event.seq <= this.position.seq) {
      return [];
    }
    const { seq } = event;
    this.#expect(seq - 1n);
    this.position = create(PositionSchema, { epoch: this.position.epoch, seq });
    this.window.see(event);
    this.#backoff.succeeded();
    const message = messageOf(event);
    const userId = message?.senderId ?? "";
    if (message !== undefined && event.event.case === "messageCreated") {
      this.#settle(message);
      this.#typing.delete(userId);
    }
    // It may be gone by now, and is not shown then.
    this.#dropStored(seq);
    switch (event.event.case) {
      case "messageCreated":
        return [this.change({ kind: "messageCreated", seq, userId, message: event.event.value })];
      case "messageDeleted":
      case "messageGone":
        return [this.change({ kind: "messageDeleted", seq, userId, message })];
      default:
        return [this.change({ kind: "messageChanged", seq, userId, message })];
    }
  }

  /** Throw when the suite has left out events up to a seq: it is asked once more, and then begun with anew. */
  #expect(seq: bigint): void {
    if (this.position === undefined || this.#snapshot !== undefined || seq <= this.position.seq) {
      return;
    }
    const after = this.position.seq;
    if (this.#holeAfter === after) {
      this.position = undefined;
    }
    this.#holeAfter = after;
    throw new ChatkitError(Code.Unavailable, "", `the events ${after + 1n} to ${seq} did not come`);
  }

  #close(closed: Closed): RoomChange[] {
    const ending = fromClosed(closed);
    // A place is made by leaving another room, and never by asking again.
    if (ending.isResumable && ending.reason !== "QUOTA_EXCEEDED") {
      throw fromClosed(closed, this.#backoff.nextDelayMs(ending.retryAfterMs));
    }
    this.isFollowed = false;
    this.#closed = ending;
    this.#snapshot = undefined;
    return [this.change({ kind: "roomClosed", error: ending }), ...this.#dropStored()];
  }

  #setCursor(cursor: ReadCursor): RoomChange[] {
    const { userId, seq } = cursor;
    const known = this.#cursors.get(userId);
    if (known !== undefined && known.revision >= cursor.revision) {
      return [];
    }
    this.#cursors.set(userId, cursor);
    return [this.change({ kind: "cursor", userId, seq })];
  }

  #type(userId: string): RoomChange[] {
    const isNew = !this.#typing.has(userId);
    this.#typing.set(userId, this.clock.now() + TYPING_MS);
    return isNew ? [this.change({ kind: "typing", userId })] : [];
  }

  /** Return for how long somebody is typing as far as is known; undefined for somebody who is not. */
  typingLeftMs(userId: string): number | undefined {
    const until = this.#typing.get(userId);
    return until && until - this.clock.now();
  }

  /** Take somebody for typing no longer. */
  endTyping(userId: string): RoomChange[] {
    return this.#typing.delete(userId) ? [this.change({ kind: "typing", userId })] : [];
  }

  // What is sent.

  /** Show a message that is about to be sent; one that has failed is sent again in its old place. */
  addPending(request: SendMessageRequest): RoomChange {
    this.pending.set(request.requestId, { request, message: undefined, error: undefined });
    return this.change({ kind: "pending", error: undefined });
  }

  /** Keep what became of a message, unless its event has come before. */
  answerPending(requestId: string, message: Message | undefined, error: ChatkitError | undefined): RoomChange[] {
    const pending = this.pending.get(requestId);
    if (pending === undefined) {
      return [];
    }
    const told = this.isFollowed ? this.position : undefined;
    if (message !== undefined && (told === undefined || message.seq <= told.seq)) {
      this.pending.delete(requestId);
    } else {
      this.pending.set(requestId, { ...pending, message, error });
    }
    return [this.change({ kind: "pending", error })];
  }

  /** Show a message no longer. */
  dropPending(requestId: string): RoomChange[] {
    return this.pending.delete(requestId) ? [this.change({ kind: "pending", error: undefined })] : [];
  }

  /** Show messages that are stored as pending no longer: up to a seq, or all because their events do not come. */
  #dropStored(seq?: bigint): RoomChange[] {
    const stored = [...this.pending.values()].filter(({ message }) => message && (seq === undefined || message.seq <= seq));
    return stored.flatMap(({ request }) => this.dropPending(request.requestId));
  }

  #settle(message: Message): void {
    const sender = this.pending.get(message.requestId)?.request.senderId;
    // Everybody who reads a message sees its request id, and may send with the same.
    if (sender === "" || sender === message.senderId) {
      this.pending.delete(message.requestId);
    }
  }

  /** Return a change of this room, which is shown from now on. */
  change<const Facts extends RoomFacts>(facts: Facts): Facts & { readonly roomId: string } {
    this.#view = undefined;
    return { ...facts, roomId: this.id };
  }
}

type RoomFacts = RoomChange extends infer Kind ? (Kind extends unknown ? Omit<Kind, "roomId"> : never) : never;
