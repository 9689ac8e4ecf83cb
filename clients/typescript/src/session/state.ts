/** Everything that a session knows, folded from the events of its streams. */

import { create, equals, type MessageInitShape } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";

import type { StreamPart } from "../connection.js";
import { fromClosed } from "../errors.js";
import { StreamClosedSchema } from "../proto/chatkit/contract/v1/stream_pb.js";
import type { RoomEvent } from "../proto/chatkit/messages/v1/room_event_pb.js";
import { type Room as Description, RoomSchema } from "../proto/chatkit/rooms/v1/room_pb.js";
import {
  type MemberMoved,
  type RoomOfUser,
  type UserEvent,
  UserEventSchema,
  type UserOpened,
} from "../proto/chatkit/rooms/v1/user_event_pb.js";
import type { UserPosition } from "../proto/chatkit/rooms/v1/user_position_pb.js";
import { RoomDetail } from "../proto/chatkit/sync/v1/room_to_follow_pb.js";
import { type SyncEvent, SyncEventSchema, SyncPart } from "../proto/chatkit/sync/v1/sync_event_pb.js";
import type { UpdateSubscriptionRequestSchema } from "../proto/chatkit/sync/v1/sync_service_pb.js";
import { type Presence, type PresenceEvent, PresenceSchema } from "../proto/chatkit/users/v1/presence_event_pb.js";
import type { User } from "../proto/chatkit/users/v1/user_pb.js";
import type { Clock } from "../retry.js";
import { Room } from "./room.js";
import type { Change, RoomView } from "./views.js";

const PARTS: ReadonlyMap<SyncPart, StreamPart> = new Map([
  [SyncPart.ROOMS, "rooms"],
  [SyncPart.USER, "user"],
  [SyncPart.PRESENCE, "presence"],
]);
export const ALL_PARTS = [...PARTS.values()];

/** What is followed and watched from now on. */
export type Update = MessageInitShape<typeof UpdateSubscriptionRequestSchema>;

/** Rooms, users, and who is there. */
export class State {
  readonly rooms = new Map<string, Room>();
  /** Those that were told or read; who is in a room is not told with it. */
  readonly users = new Map<string, User>();
  readonly presence = new Map<string, Presence>();
  readonly watched: Set<string>;
  /** The user's own id; empty before it was told. */
  userId = "";
  /** After the last event of the user's part that was taken. */
  userPosition: UserPosition | undefined;
  // The rooms of the state that is being told, if one is: the others are the user's no longer.
  #told: Set<string> | undefined;
  #views: readonly RoomView[] = [];
  // For each reading of users: those whose changes may have been missed meanwhile.
  readonly #readings = new Set<Set<string>>();

  constructor(
    readonly mostMessages: number,
    readonly clock: Clock,
    watched: Iterable<string>,
  ) {
    this.watched = new Set(watched);
  }

  /** Return a room, which may be one of which nothing is known yet. */
  room(roomId: string): Room {
    const known = this.rooms.get(roomId) ?? new Room(roomId, this.mostMessages, this.clock);
    this.rooms.set(roomId, known);
    return known;
  }

  /** Return the rooms that the user is in, or that are followed: the same array for as long as nothing has changed. */
  views(): readonly RoomView[] {
    const views = [...this.rooms.values()].filter((room) => room.isShown).map((room) => room.view());
    const isSame = views.length === this.#views.length && views.every((view, place) => view === this.#views[place]);
    this.#views = isSame ? this.#views : views;
    return this.#views;
  }

  /** Go on with another stream. */
  begin(): void {
    this.#told = undefined;
    for (const room of this.rooms.values()) {
      room.begin();
    }
  }

  /** Keep what is followed and watched from now on. */
  want(update: Update): Change[] {
    update.followRooms?.forEach(({ roomId = "", detail }) => this.room(roomId).follow(detail ?? RoomDetail.UNSPECIFIED));
    update.watchUserIds?.forEach((userId) => this.watched.add(userId));
    update.unwatchUserIds?.forEach((userId) => {
      this.watched.delete(userId);
      this.presence.delete(userId);
    });
    return (update.unfollowRoomIds ?? []).flatMap((roomId) => this.room(roomId).unfollow());
  }

  /** Read users; also returns those of whom the copies that were read may be old by now. */
  async reading<Answer>(read: () => Promise<Answer>): Promise<[Answer, ReadonlySet<string>]> {
    const doubtful = new Set<string>();
    this.#readings.add(doubtful);
    try {
      return [await read(), doubtful];
    } finally {
      this.#readings.delete(doubtful);
    }
  }

  /** Whether nothing is being told that is known in part. */
  get isWhole(): boolean {
    return this.#told === undefined && [...this.rooms.values()].every((room) => room.isWhole);
  }

  /** Return events that make another state like this one, as a stream would tell it. */
  replay(): SyncEvent[] {
    const rooms = [...this.rooms.values()];
    const user = this.users.get(this.userId) ?? { id: this.userId };
    const own = rooms.flatMap(({ id: roomId, description: room, memberIds }) =>
      room === undefined ? [] : [{ room, membership: { roomId, userIds: [...memberIds] } }],
    );
    const userEvents: MessageInitShape<typeof UserEventSchema>[] = [
      { event: { case: "opened", value: { user } } },
      ...own.map((value) => ({ event: { case: "room" as const, value } })),
      ...[...this.users.values()].map((value) => ({ event: { case: "userUpdated" as const, value } })),
      {
        event: { case: "caughtUp", value: { roomCount: own.length } },
        ...(this.userPosition === undefined ? {} : { position: this.userPosition }),
      },
    ];
    const presence = [...this.presence.values()].map((value) => ({ event: { case: "presence" as const, value } }));
    return [
      ...userEvents.map((value) => ({ case: "user" as const, value })),
      ...rooms.flatMap((room) => room.replay()).map((value) => ({ case: "room" as const, value })),
      ...presence.map((value) => ({ case: "presence" as const, value })),
      { case: "caughtUp" as const, value: {} },
    ].map((event) => create(SyncEventSchema, { event }));
  }

  /** Keep copies of users, but where there are newer ones. */
  know(users: Iterable<User | undefined>): Change[] {
    const changes: Change[] = [];
    for (const user of users) {
      if (user !== undefined && isOlder(this.users.get(user.id), user)) {
        this.users.set(user.id, user);
        changes.push({ kind: "user", userId: user.id });
      }
    }
    return changes;
  }

  /** Take an event of any part; throws ChatkitError when the stream is over by it. */
  take({ event }: SyncEvent): Change[] {
    switch (event.case) {
      case "room":
        return this.#takeRoom(event.value);
      case "user": {
        const changes = this.#takeUser(event.value);
        this.userPosition = event.value.position ?? this.userPosition;
        return changes;
      }
      case "presence":
        return this.#takePresence(event.value);
      case "heartbeat":
        this.userPosition = event.value.userPosition ?? this.userPosition;
        return [];
      case "caughtUp":
        return [{ kind: "caughtUp" }];
      case "partClosed": {
        const { part, closed = create(StreamClosedSchema) } = event.value;
        return [{ kind: "partClosed", part: partOf(part), error: fromClosed(closed) }];
      }
      default:
        return [];
    }
  }

  #takeRoom(event: RoomEvent): Change[] {
    const room = this.room(event.roomId);
    if (room.isUnwanted) {
      return [];
    }
    const changes = room.take(event);
    this.#forgetIfOver(room);
    return changes;
  }

  #takeUser({ event }: UserEvent): Change[] {
    switch (event.case) {
      case "opened":
        return this.#openUser(event.value);
      case "room":
        this.#told?.add(event.value.room?.id ?? "");
        return this.#describe(event.value);
      case "caughtUp":
        return this.#endState();
      case "addedToRoom":
        return this.#describe(event.value);
      case "removedFromRoom":
      case "roomDeleted":
        return this.#leave(event.value.roomId);
      case "roomUpdated":
        return this.#update(event.value);
      case "userUpdated":
        return this.know([event.value]);
      case "userDeleted":
        return this.#forget([event.value.userId]);
      case "memberJoined":
      case "memberLeft":
        return this.#move(event.value, event.case);
      default:
        return [];
    }
  }

  #openUser({ user, resumed }: UserOpened): Change[] {
    this.userId = user?.id ?? "";
    if (resumed) {
      return this.know([user]);
    }
    this.#told = new Set();
    // What became of others meanwhile is not told.
    for (const room of this.rooms.values()) {
      this.#doubt(room.memberIds);
    }
    const others = [...this.users.keys()].filter((userId) => userId !== this.userId);
    return [...this.#forget(others), ...this.know([user])];
  }

  #forget(userIds: readonly string[]): Change[] {
    userIds.forEach((userId) => this.users.delete(userId));
    return userIds.toSorted().map((userId) => ({ kind: "user", userId }));
  }

  /** Forget those with whom no room was shared so far, for their changes were not told. */
  #meet(userIds: readonly string[]): Change[] {
    this.#doubt(userIds);
    const rooms = [...this.rooms.values()];
    const known = userIds.filter((userId) => this.users.has(userId) && userId !== this.userId);
    return this.#forget(known.filter((userId) => !rooms.some((room) => room.memberIds.has(userId))));
  }

  #doubt(userIds: Iterable<string>): void {
    const ids = [...userIds];
    this.#readings.forEach((doubtful) => ids.forEach((userId) => doubtful.add(userId)));
  }

  #endState(): Change[] {
    const told = this.#told;
    this.#told = undefined;
    const gone = told === undefined ? [] : [...this.rooms.keys()].filter((roomId) => !told.has(roomId));
    return gone.flatMap((roomId) => this.#leave(roomId));
  }

  #describe({ room: description, membership }: RoomOfUser): Change[] {
    if (description === undefined) {
      return [];
    }
    const room = this.room(description.id);
    const known = room.description;
    const knownIds = room.memberIds;
    const memberIds = new Set(membership?.userIds);
    const isSame = memberIds.size === knownIds.size && [...memberIds].every((id) => knownIds.has(id));
    const told = { ...description, memberCount: memberIds.size };
    if (known !== undefined && isSame && equals(RoomSchema, known, told)) {
      return [];
    }
    const changes = this.#meet([...memberIds].filter((userId) => !knownIds.has(userId)));
    room.describe(description, memberIds);
    return [...changes, room.change({ kind: known === undefined ? "roomAdded" : "roomChanged" })];
  }

  #update(description: Description): Change[] {
    const room = this.#own(description.id);
    room?.describe(description);
    return room === undefined ? [] : [room.change({ kind: "roomChanged" })];
  }

  #move({ roomId, userId }: MemberMoved, kind: "memberJoined" | "memberLeft"): Change[] {
    const room = this.#own(roomId);
    if (room === undefined) {
      return [];
    }
    const isMet = kind === "memberJoined" && !room.memberIds.has(userId);
    const changes = isMet ? this.#meet([userId]) : [];
    const others = [...room.memberIds].filter((id) => id !== userId);
    room.describe(room.description, kind === "memberJoined" ? [...others, userId] : others);
    return [...changes, room.change({ kind, userId })];
  }

  #leave(roomId: string): Change[] {
    const room = this.#own(roomId);
    if (room === undefined) {
      return [];
    }
    room.describe(undefined, []);
    this.#forgetIfOver(room);
    return [room.change({ kind: "roomRemoved" })];
  }

  /** Return a room that the user is in as far as is known. */
  #own(roomId: string): Room | undefined {
    const room = this.rooms.get(roomId);
    return room?.description === undefined ? undefined : room;
  }

  #forgetIfOver(room: Room): void {
    if (room.description === undefined && !room.isFollowed && room.pending.size === 0) {
      this.rooms.delete(room.id);
      if (room.isUnwanted || room.detail !== RoomDetail.UNSPECIFIED) {
        // This holds when the user comes back to the room, as it does on the open stream.
        const again = this.room(room.id);
        again.isUnwanted = room.isUnwanted;
        again.detail = room.detail;
      }
    }
  }

  #takePresence({ event }: PresenceEvent): Change[] {
    if (event.case !== "presence" && event.case !== "presenceChanged") {
      return [];
    }
    const { userId } = event.value;
    const known = this.presence.get(userId);
    if (!this.watched.has(userId) || (known !== undefined && equals(PresenceSchema, known, event.value))) {
      return [];
    }
    this.presence.set(userId, event.value);
    return [{ kind: "presence", userId }];
  }
}

/** Return a part of a stream; undefined for one that only a later release knows. */
export function partOf(part: SyncPart): StreamPart | undefined {
  return PARTS.get(part);
}

function isOlder(known: User | undefined, user: User): boolean {
  return known === undefined || compare(known.updateTime, user.updateTime) < 0;
}

function compare(one: Timestamp | undefined, other: Timestamp | undefined): number {
  const seconds = (one?.seconds ?? 0n) - (other?.seconds ?? 0n);
  return seconds === 0n ? (one?.nanos ?? 0) - (other?.nanos ?? 0) : Number(seconds);
}
