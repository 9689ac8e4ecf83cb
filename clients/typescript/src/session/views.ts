/** What a session shows. These are never changed: what is another way now is another object. */

import type { StreamPart } from "../connection.js";
import type { ChatkitError } from "../errors.js";
import type { Message } from "../proto/chatkit/messages/v1/message_pb.js";
import type { SendMessageRequest } from "../proto/chatkit/messages/v1/messages_service_pb.js";
import type { ReadCursor } from "../proto/chatkit/messages/v1/read_cursor_pb.js";
import type { ReadState } from "../proto/chatkit/messages/v1/read_state_pb.js";
import type { Room } from "../proto/chatkit/rooms/v1/room_pb.js";

/** Something of a room is another way now than it was. */
export type RoomChange = { readonly roomId: string } & (
  | /** An event of a room's log: each comes once and in order, or a `roomReset` says that some do not. */
  { readonly kind: "messageCreated"; readonly seq: bigint; readonly userId: string; readonly message: Message }
  | /** `message` is undefined where it is gone, or where only a later release knows what has happened. */
  {
      readonly kind: "messageChanged" | "messageDeleted";
      readonly seq: bigint;
      readonly userId: string;
      readonly message: Message | undefined;
    }
  | /** The room's messages begin anew: at first, and when more was missed than the suite replays. `seq` is the log's end. */
  { readonly kind: "roomReset"; readonly seq: bigint }
  | /** Older messages were loaded, or some of the oldest are there no longer. */
  { readonly kind: "historyLoaded" }
  | /** A message of one's own that is not in the log yet: it was added, has failed, or is there no longer. */
  { readonly kind: "pending"; readonly error: ChatkitError | undefined }
  | /** How much is unread, and how far the user has read. */
  { readonly kind: "readState" }
  | /** How far another one has read. */
  { readonly kind: "cursor"; readonly userId: string; readonly seq: bigint }
  | /** Somebody begins to type, or stops. */
  { readonly kind: "typing"; readonly userId: string }
  | /** Nothing more of the room's messages comes. */
  { readonly kind: "roomClosed"; readonly error: ChatkitError }
  | /** The user became a member of a room, or is none any more; the room's description was changed. */
  { readonly kind: "roomAdded" | "roomChanged" | "roomRemoved" }
  | { readonly kind: "memberJoined" | "memberLeft"; readonly userId: string }
);

/** Something is another way now than it was. */
export type Change =
  | RoomChange
  | /** A user was changed or deleted; came or went. */
  { readonly kind: "user" | "presence"; readonly userId: string }
  | /** A part of the stream was refused: what it has told stays as it was. */
  { readonly kind: "partClosed"; readonly part: StreamPart | undefined; readonly error: ChatkitError }
  | /** Everything that was asked for has been told; on every stream once. */
  { readonly kind: "caughtUp" }
  | /** Changes that nobody has read in time were dropped: look at the session as it is. */
  { readonly kind: "missed" }
  | /** The last one. `error` says why, unless the program itself has closed the session. */
  { readonly kind: "closed"; readonly error: ChatkitError | undefined };

export type ChangeKind = Change["kind"];

/**
 * A message of one's own that is not in the room's log as it was told so far.
 *
 * With a `message` it is stored. With an `error` it is not, as far as is known, and is sent again by nobody.
 */
export interface Pending {
  readonly request: SendMessageRequest;
  readonly message: Message | undefined;
  readonly error: ChatkitError | undefined;
}

/** A room as it is now. */
export interface RoomView {
  readonly id: string;
  /** Undefined where the user is no member, as far as is known. */
  readonly room: Room | undefined;
  readonly memberIds: ReadonlySet<string>;
  /** The newest ones that are there, from older to newer. */
  readonly messages: readonly Message[];
  readonly hasOlder: boolean;
  /** In the order in which they were sent. */
  readonly pending: readonly Pending[];
  /** Undefined where it was not told, or not asked for. */
  readonly readState: ReadState | undefined;
  /** How far others have read, by their ids. */
  readonly cursors: ReadonlyMap<string, ReadCursor>;
  readonly typingIds: ReadonlySet<string>;
  /** Why its messages are not followed; undefined as long as they are. */
  readonly closed: ChatkitError | undefined;
}
