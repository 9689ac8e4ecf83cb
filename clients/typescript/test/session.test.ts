import assert from "node:assert/strict";
import { test } from "node:test";

import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";

import { ChatkitError } from "../src/errors.js";
import { SyncPart } from "../src/proto/chatkit/sync/v1/sync_event_pb.js";
import type { UserEventSchema } from "../src/proto/chatkit/rooms/v1/user_event_pb.js";
import { Outcome } from "../src/proto/chatkit/messages/v1/room_event_pb.js";
import type { Session, SessionOptions } from "../src/session/session.js";
import type { Change } from "../src/session/views.js";
import type { Token } from "../src/tokens.js";
import {
  CAUGHT_UP,
  caughtUpTo,
  type Event,
  EXPIRING,
  inRoom,
  ManualClock,
  message,
  OPENED,
  online,
  refusal,
  resumed,
  settled,
  snapshot,
  stored,
  Suite,
  until,
  userCaughtUp,
  userOpened,
  userRoom,
} from "./scripted.js";

const RETRY_MS = 8_000;
const NEW = snapshot(2n, [message(1n), message(2n)], 1n);
const START = [OPENED, ...NEW, CAUGHT_UP];

interface Followed {
  readonly session: Session;
  readonly changes: Change[];
  readonly clock: ManualClock;
}

/** Follow a suite until it has played all of its streams. */
async function following(suite: Suite, options: SessionOptions = {}, token: Token = "token"): Promise<Followed> {
  const clock = new ManualClock();
  const session = suite.client(token, clock).session(options);
  const changes: Change[] = [];
  session.onChange((change) => changes.push(change));
  await settled();
  while (suite.requests.length < suite.streams.length) {
    await clock.pass(RETRY_MS);
  }
  await settled();
  return { session, changes, clock };
}

function seqs(session: Session, roomId = "lobby"): number[] {
  return (session.room(roomId)?.messages ?? []).map(({ seq }) => Number(seq));
}

function told(changes: readonly Change[]): [string, number][] {
  return changes.flatMap((change) => ("seq" in change && change.seq ? [[change.kind, Number(change.seq)]] : []));
}

function heartbeat(...behind: SyncPart[]): Event {
  return { event: { case: "heartbeat", value: { behind } } };
}

function edited(seq: bigint, messageSeq: bigint): Event {
  return inRoom({ case: "messageEdited", value: stored(messageSeq, { revision: seq }) }, seq);
}

function userEvent(event: MessageInitShape<typeof UserEventSchema>["event"]): Event {
  return { event: { case: "user", value: event === undefined ? {} : { event } } };
}

function behind(session: Session): string[] {
  const { state } = session.connection;
  return state.status === "live" ? [...state.behind].sort() : [state.status];
}

test("a room and the user go on from where they stand", async () => {
  const first = [OPENED, ...NEW, userOpened(), userRoom("lobby", "alice"), userCaughtUp(7n), CAUGHT_UP];
  const suite = new Suite([first, [OPENED, resumed(3n), message(3n), caughtUpTo(3n), CAUGHT_UP]]);
  const { session, changes } = await following(suite);
  assert.deepEqual(seqs(session), [1, 2, 3]);
  const request = suite.requests[1];
  const [room] = request?.rooms ?? [];
  assert.equal(room?.roomId, "lobby");
  assert.equal(room?.start.case === "after" && room.start.value.seq, 2n);
  assert.equal(room?.maxSnapshotMessages, 20);
  assert.equal(request?.user?.after?.roomsVersion, 7n);
  assert.deepEqual(
    told(changes).filter(([kind]) => kind === "messageCreated"),
    [["messageCreated", 3]],
  );
});

test("a snapshot in place of what was missed begins the room anew", async () => {
  const anew = snapshot(90n, [message(80n), edited(85n, 80n), message(90n)], 80n);
  const suite = new Suite([START, [OPENED, ...anew, CAUGHT_UP]]);
  const { session, changes } = await following(suite);
  assert.deepEqual(seqs(session), [80, 90]);
  assert.equal(session.room("lobby")?.hasOlder, true);
  suite.send(message(91n));
  await until(() => seqs(session).length === 3);
  assert.deepEqual(told(changes), [
    ["roomReset", 2],
    ["roomReset", 90],
    ["messageCreated", 91],
  ]);
});

test("a snapshot that breaks off changes nothing", async () => {
  const half = snapshot(90n, [message(80n)], 80n).slice(0, -1);
  const suite = new Suite([START, [OPENED, ...half], [OPENED, resumed(3n), message(3n), caughtUpTo(3n), CAUGHT_UP]]);
  const { session } = await following(suite);
  assert.deepEqual(seqs(session), [1, 2, 3]);
});

test("events that the suite leaves out are asked for again, and then the room begins anew", async () => {
  const hole = [OPENED, resumed(4n), message(4n)];
  const suite = new Suite([START, hole, hole, START]);
  const { session, changes } = await following(suite);
  assert.deepEqual(told(changes), [
    ["roomReset", 2],
    ["roomReset", 2],
  ]);
  assert.deepEqual(seqs(session), [1, 2]);
  assert.deepEqual(
    suite.requests.slice(1).map((request) => request.rooms[0]?.start.case),
    ["after", "after", "last"],
  );
});

test("an event that comes twice is told once", async () => {
  const suite = new Suite([START]);
  const { session, changes } = await following(suite);
  suite.send(message(3n), message(3n), message(4n));
  await until(() => seqs(session).length === 4);
  assert.deepEqual(told(changes).slice(1), [
    ["messageCreated", 3],
    ["messageCreated", 4],
  ]);
});

test("an edit of a message that is not here makes no hole in those that are, and a deletion takes one away", async () => {
  const suite = new Suite([[OPENED, ...snapshot(9n, [message(9n)], 9n), CAUGHT_UP]]);
  const { session, changes } = await following(suite);
  suite.send(edited(10n, 4n));
  await until(() => told(changes).some(([, seq]) => seq === 10));
  assert.deepEqual(seqs(session), [9]);
  const deleted = stored(9n, { revision: 11n, deleteTime: { seconds: 1n } });
  suite.send(inRoom({ case: "messageDeleted", value: deleted }, 11n), inRoom(undefined, 12n));
  await until(() => told(changes).some(([, seq]) => seq === 12));
  assert.deepEqual(seqs(session), []);
  assert.deepEqual(told(changes).slice(1), [
    ["messageChanged", 10],
    ["messageDeleted", 11],
    ["messageChanged", 12],
  ]);
});

test("a state that is told anew takes rooms away, and one that is resumed does not", async () => {
  const rooms = [userRoom("lobby", "alice"), userRoom("attic", "alice")];
  const first = [OPENED, userOpened(), ...rooms, userCaughtUp(1n), CAUGHT_UP];
  // It broke off, and nobody knows what the rest would have been.
  const half = [OPENED, userOpened(), userRoom("attic", "alice", "bob")];
  const suite = new Suite([first, half, [OPENED, userOpened(true), userCaughtUp(2n), CAUGHT_UP]]);
  const { session, changes } = await following(suite);
  assert.deepEqual(session.rooms().map(({ id }) => id), ["lobby", "attic"]);
  suite.send(userOpened(), userRoom("attic", "alice", "bob"), userCaughtUp(3n));
  await until(() => session.rooms().length === 1);
  assert.deepEqual(session.room("attic")?.memberIds, new Set(["alice", "bob"]));
  assert.equal(session.room("attic")?.room?.memberCount, 2);
  assert.deepEqual(
    changes.flatMap((change) => ("roomId" in change ? [[change.kind, change.roomId]] : [])),
    [
      ["roomAdded", "lobby"],
      ["roomAdded", "attic"],
      ["roomChanged", "attic"],
      ["roomRemoved", "lobby"],
    ],
  );
  assert.deepEqual(
    suite.requests.map((request) => Number(request.user?.after?.roomsVersion ?? 0n)),
    [0, 1, 1],
  );
});

test("members come and go, and a room that was left is gone", async () => {
  const suite = new Suite([[OPENED, userOpened(), userRoom("attic", "alice"), userCaughtUp(1n), CAUGHT_UP]]);
  const { session, changes } = await following(suite);
  const moved = { roomId: "attic", userId: "bob" };
  suite.send({ event: { case: "user", value: { event: { case: "memberJoined", value: moved } } } });
  await until(() => session.room("attic")?.memberIds.has("bob"));
  assert.equal(session.room("attic")?.room?.memberCount, 2);
  suite.send({ event: { case: "user", value: { event: { case: "memberLeft", value: moved } } } });
  await until(() => !session.room("attic")?.memberIds.has("bob"));
  suite.send({ event: { case: "user", value: { event: { case: "removedFromRoom", value: { roomId: "attic" } } } } });
  await until(() => session.rooms().length === 0);
  assert.deepEqual(
    changes.map(({ kind }) => kind),
    ["user", "roomAdded", "caughtUp", "memberJoined", "memberLeft", "roomRemoved"],
  );
});

test("parts are behind until they have told how it stands, and while nobody can tell", async () => {
  const suite = new Suite([[OPENED, heartbeat()]]);
  const { session } = await following(suite);
  assert.deepEqual(behind(session), ["presence", "rooms", "user"]);
  suite.send(CAUGHT_UP);
  await session.caughtUp();
  assert.deepEqual(behind(session), []);
  suite.send(heartbeat(SyncPart.USER, SyncPart.PRESENCE));
  await until(() => behind(session).length === 2);
  suite.send(heartbeat());
  await until(() => behind(session).length === 0);
  suite.send(userOpened());
  await until(() => behind(session).join() === "user");
  suite.send(userCaughtUp(1n));
  await until(() => behind(session).length === 0);
});

test("a part that is refused is told, and so is a room", async () => {
  const closed = { code: 5, reason: 0 };
  const part: Event = { event: { case: "partClosed", value: { part: SyncPart.PRESENCE, closed } } };
  const room = inRoom({ case: "closed", value: { code: 7 } }, 0n, "secret");
  const { session, changes } = await following(new Suite([[OPENED, part, room, CAUGHT_UP]]));
  assert.deepEqual(
    changes.flatMap((change) => ("error" in change ? [[change.kind, change.error?.code]] : [])),
    [
      ["partClosed", Code.NotFound],
      ["roomClosed", Code.PermissionDenied],
    ],
  );
  assert.equal(session.room("secret"), undefined);
});

test("a stream whose token is about to end lives on by another one", async () => {
  const tokens = ["first", "", "second", "third"];
  const fetch = (): string => {
    const token = tokens.shift();
    if (!token) {
      throw new Error("no login");
    }
    return token;
  };
  const suite = new Suite([START]);
  const { clock } = await following(suite, {}, fetch);
  suite.send(EXPIRING);
  await settled();
  await clock.pass(RETRY_MS);
  assert.deepEqual(suite.renewals, ["second"]);
  suite.send(EXPIRING);
  await until(() => suite.renewals.length === 2);
  assert.deepEqual(suite.renewals, ["second", "third"]);
  assert.equal(suite.requests.length, 1);
});

test("a stream lives by each token that is fetched, though it was not warned", async () => {
  const clock = new ManualClock();
  const fetched: string[] = [];
  const suite = new Suite([START]);
  const session = suite
    .client(() => {
      fetched.push(`header.${btoa(JSON.stringify({ exp: clock.time() / 1_000 + 20 }))}.${fetched.length}`);
      return fetched.at(-1) ?? "";
    }, clock)
    .session();
  await settled();
  await clock.pass(20_000);
  await clock.pass(14_000);
  assert.equal(suite.renewals.length, 2);
  assert.deepEqual(suite.renewals, fetched.slice(1));
  assert.equal(session.connection.isLive, true);
});

test("a stream whose token has expired is followed by one with another at once, and one with a fixed token ends", async () => {
  const tokens = ["old", "new"];
  const suite = new Suite([START]);
  suite.refusals.push(refusal(Code.Unauthenticated, "TOKEN_EXPIRED"));
  const { session, clock } = await following(suite, {}, () => tokens.shift() ?? "none");
  await clock.pass(RETRY_MS);
  await session.caughtUp();
  assert.deepEqual(suite.tokens, ["old", "new"]);

  const other = new Suite([START]);
  other.refusals.push(refusal(Code.Unauthenticated, "TOKEN_EXPIRED"));
  const ended = await following(other);
  await assert.rejects(ended.session.caughtUp(), /TOKEN_EXPIRED/);
  assert.equal(ended.session.connection.state.status, "closed");
  assert.deepEqual(ended.changes.map(({ kind }) => kind), ["closed"]);
});

test("a stream that a wrong clock refuses is opened again later", async () => {
  const suite = new Suite([START]);
  suite.refusals.push(refusal(Code.Unauthenticated, "TOKEN_NOT_YET_VALID", 500));
  const { session, clock } = await following(suite);
  await clock.pass(RETRY_MS);
  await session.caughtUp();
  assert.equal(session.connection.isLive, true);
});

test("a stream on which nothing is heard is given up, and one with heartbeats is not", async () => {
  const suite = new Suite([START]);
  const { session, clock } = await following(suite);
  for (let beat = 0; beat < 4; beat += 1) {
    suite.send(heartbeat());
    await clock.pass(15_000);
  }
  assert.equal(suite.requests.length, 1);
  const lost: string[] = [];
  session.connection.onChange((state) => {
    if (state.status === "lost") {
      lost.push(state.why.message);
    }
  });
  await clock.pass(21_000 + RETRY_MS);
  assert.deepEqual(lost, ["Unavailable: nothing was heard for 35 seconds"]);
  assert.equal(suite.requests.length, 2);
});

test("how it stands is told: connecting, live, lost, and closed at last", async () => {
  const suite = new Suite([[OPENED], START]);
  const clock = new ManualClock();
  const session = suite.client("token", clock).session();
  const states: string[] = [];
  const watching = (async () => {
    for await (const state of session.connection.changes()) {
      states.push(state.status);
    }
  })();
  await settled();
  await clock.pass(RETRY_MS);
  await session.caughtUp();
  await session.close();
  await watching;
  assert.deepEqual(states, ["connecting", "live", "lost", "connecting", "live", "live", "closed"]);
  assert.deepEqual(session.connection.state, { status: "closed", why: undefined });
  assert.deepEqual(seqs(session), [1, 2]);
  const rest: string[] = [];
  for await (const { kind } of session.changes()) {
    rest.push(kind);
  }
  assert.deepEqual(rest, ["closed"]);
});

test("what is wanted before the stream is open is asked for when it is", async () => {
  const suite = new Suite([[]]);
  const { session } = await following(suite);
  await session.follow("attic");
  await session.unfollow("cellar");
  assert.equal(suite.updates.length, 0);
  suite.send(OPENED);
  await until(() => suite.updates.length >= 2);
  assert.equal(suite.updates[0]?.followRooms[0]?.roomId, "attic");
  assert.deepEqual(suite.updates[1]?.unfollowRoomIds, ["cellar"]);
});

test("a stream that can't be changed is replaced by one that asks for it", async () => {
  const suite = new Suite([START]);
  const { session, clock } = await following(suite);
  await session.unfollow("lobby");
  suite.lost = 1;
  await session.follow("attic");
  await clock.pass(RETRY_MS);
  assert.deepEqual(suite.requests[1]?.rooms.map(({ roomId }) => roomId), ["attic"]);
  await until(() => suite.updates.at(-1)?.unfollowRoomIds.join() === "lobby");
});

test("wishes are said in their order, also where one has to be repeated", async () => {
  const suite = new Suite([START]);
  const { session, clock } = await following(suite);
  suite.refusals.push(new ConnectError("away", Code.Unavailable));
  const wishes = Promise.all([session.unfollow("lobby"), session.follow("lobby")]);
  await settled();
  await clock.pass(RETRY_MS);
  await wishes;
  assert.deepEqual(
    suite.updates.map(({ followRooms }) => followRooms.map(({ roomId }) => roomId)),
    [[], ["lobby"]],
  );
});

test("a room that is not wanted is not wanted when the user comes back to it", async () => {
  const left = userEvent({ case: "removedFromRoom", value: { roomId: "lobby" } });
  const suite = new Suite([[OPENED, ...NEW, userOpened(), userRoom("lobby", "alice"), userCaughtUp(1n), CAUGHT_UP]]);
  const { session } = await following(suite);
  await session.unfollow("lobby");
  suite.send(left, userRoom("lobby", "alice"), ...snapshot(3n, [message(3n)], 3n), online("nobody"), userCaughtUp(2n));
  suite.send(userRoom("attic", "alice"));
  await until(() => session.room("attic"));
  assert.deepEqual(seqs(session), []);
  assert.ok(session.room("lobby"));
});

test("a message that is stored is pending no longer where its event does not come", async () => {
  const suite = new Suite([START]);
  const { session } = await following(suite);
  suite.answer = async (requestId) => stored(3n, { requestId, senderId: "alice" });
  await session.send("lobby", "one");
  assert.equal(session.room("lobby")?.pending.length, 1);
  await session.unfollow("lobby");
  assert.equal(session.room("lobby"), undefined);
});

test("messages that are there no longer when a stream goes on are told as gone", async () => {
  const opened = { position: { epoch: "epoch", seq: 2n }, outcome: Outcome.RESUMED, oldestSeq: 2n };
  const again = [OPENED, inRoom({ case: "opened", value: opened }), caughtUpTo(2n), CAUGHT_UP];
  const { session, changes } = await following(new Suite([START, again]));
  assert.deepEqual(seqs(session), [2]);
  assert.ok(changes.some(({ kind }) => kind === "historyLoaded"));
});

test("somebody who comes back to a room is not known any more, for what became of them was not told", async () => {
  const told = userEvent({ case: "userUpdated", value: { id: "bob", name: "Bob" } });
  const rooms = [userOpened(), userRoom("lobby", "alice", "bob"), userCaughtUp(1n)];
  const suite = new Suite([[OPENED, ...rooms, told, CAUGHT_UP]]);
  const { session } = await following(suite);
  assert.equal(session.user("bob")?.name, "Bob");
  const moved = { roomId: "lobby", userId: "bob" };
  suite.send(userEvent({ case: "memberLeft", value: moved }));
  await until(() => !session.room("lobby")?.memberIds.has("bob"));
  assert.equal(session.user("bob")?.name, "Bob");
  suite.send(userEvent({ case: "memberJoined", value: moved }));
  await until(() => session.room("lobby")?.memberIds.has("bob"));
  assert.equal(session.user("bob"), undefined);
});

test("what still comes of what is not wanted any more is passed over", async () => {
  const suite = new Suite([START]);
  const { session } = await following(suite, { watch: ["bob", "carol"] });
  await session.unfollow("lobby");
  await session.unwatch(["bob"]);
  suite.send(message(3n), online("bob"), online("carol"));
  await until(() => session.presence("carol"));
  assert.equal(session.presence("bob"), undefined);
  assert.equal(session.room("lobby"), undefined);
  await session.follow("lobby");
  suite.send(resumed(3n), message(3n), caughtUpTo(3n));
  await until(() => seqs(session).length === 3);
});

test("what is shown is the same object until something has changed, and is never changed itself", async () => {
  const suite = new Suite([[OPENED, ...NEW, ...snapshot(0n).map((event) => moved(event, "attic")), CAUGHT_UP]]);
  const { session } = await following(suite);
  const [lobby, attic, rooms] = [session.room("lobby"), session.room("attic"), session.rooms()];
  assert.equal(session.room("lobby"), lobby);
  assert.equal(session.rooms(), rooms);
  suite.send(message(3n));
  await until(() => seqs(session).length === 3);
  assert.notEqual(session.room("lobby"), lobby);
  assert.notEqual(session.rooms(), rooms);
  assert.equal(session.room("attic"), attic);
  assert.equal(lobby?.messages.length, 2);
});

function moved(event: Event, roomId: string): Event {
  return event.event?.case === "room" ? { event: { case: "room", value: { ...event.event.value, roomId } } } : event;
}

test("a message of one's own is pending until its event has come, and never shown twice", async () => {
  const suite = new Suite([[OPENED, ...NEW, userOpened(), userCaughtUp(1n), CAUGHT_UP]]);
  const { session } = await following(suite);
  const shown = new Set<number>();
  session.onChange(() => {
    const room = session.room("lobby");
    shown.add((room?.pending.length ?? 0) + (room?.messages.length ?? 0));
  });
  const answers: (() => void)[] = [];
  suite.answer = (requestId) =>
    new Promise((resolve) => {
      const seq = BigInt(answers.length + 3);
      answers.push(() => resolve(stored(seq, { requestId, senderId: "alice" })));
    });
  // The answer comes before the event.
  const first = session.send("lobby", "one", "first");
  await until(() => answers.length === 1);
  answers[0]?.();
  assert.equal((await first).seq, 3n);
  assert.equal(session.room("lobby")?.pending[0]?.message?.seq, 3n);
  suite.send(message(3n, { requestId: "first", senderId: "alice" }));
  await until(() => session.room("lobby")?.pending.length === 0);
  assert.deepEqual([...shown], [3]);
  // The event comes before the answer.
  const second = session.send("lobby", "two", "second");
  await until(() => answers.length === 2);
  suite.send(message(4n, { requestId: "second", senderId: "alice" }));
  await until(() => session.room("lobby")?.pending.length === 0);
  answers[1]?.();
  await second;
  assert.deepEqual([...shown], [3, 4]);
  // Another one's message with the same request id is not one's own.
  void session.send("lobby", "three", "third");
  suite.send(message(5n, { requestId: "third", senderId: "bob" }));
  await until(() => seqs(session).at(-1) === 5);
  assert.equal(session.room("lobby")?.pending.length, 1);
});

test("what was not sent stays with its error until it is sent again or taken away", async () => {
  const suite = new Suite([START]);
  const { session } = await following(suite);
  suite.refusals.push(refusal(Code.InvalidArgument, "FIELD_INVALID"));
  await assert.rejects(session.send("lobby", "one", "first"), /FIELD_INVALID/);
  assert.equal(session.room("lobby")?.pending[0]?.error?.reason, "FIELD_INVALID");
  suite.answer = async (requestId) => stored(3n, { requestId, senderId: "alice" });
  await session.resend("lobby", "first");
  assert.deepEqual(suite.sent, ["first", "first"]);
  assert.equal(session.room("lobby")?.pending[0]?.error, undefined);
  suite.refusals.push(refusal(Code.InvalidArgument, "FIELD_INVALID"));
  await assert.rejects(session.send("lobby", "two", "second"));
  session.discard("lobby", "second");
  assert.equal(session.room("lobby")?.pending.length, 1);
  await assert.rejects(session.resend("lobby", "second"), RangeError);
});

test("messages of a room are sent one after the other", async () => {
  const suite = new Suite([START]);
  const { session } = await following(suite);
  const answers: (() => void)[] = [];
  suite.answer = (requestId) => new Promise((resolve) => answers.push(() => resolve(stored(3n, { requestId }))));
  const sending = [session.send("lobby", "one", "1"), session.send("lobby", "two", "2")];
  await until(() => answers.length === 1);
  await settled();
  assert.deepEqual(suite.sent, ["1"]);
  assert.deepEqual(session.room("lobby")?.pending.map(({ request }) => request.requestId), ["1", "2"]);
  answers[0]?.();
  await until(() => answers.length === 2);
  answers[1]?.();
  await Promise.all(sending);
});

test("older messages are loaded in front, and only the newest are kept", async () => {
  const newest = [5n, 6n, 7n].map((seq) => message(seq));
  const suite = new Suite([[OPENED, ...snapshot(7n, newest, 5n), CAUGHT_UP]]);
  const { session } = await following(suite, { window: 3 });
  suite.send(message(8n));
  await until(() => seqs(session).at(-1) === 8);
  assert.deepEqual(seqs(session), [6, 7, 8]);
  suite.history = [stored(4n), stored(5n)];
  assert.equal(await session.loadOlder("lobby"), 2);
  assert.deepEqual(seqs(session), [4, 5, 6, 7, 8]);
  assert.equal(session.room("lobby")?.hasOlder, false);
  assert.equal(await session.loadOlder("lobby"), 0);
  await assert.rejects(session.loadOlder("attic"), RangeError);
});

test("who is typing is shown for as long as it is said, and a message ends it", async () => {
  const suite = new Suite([START]);
  const { session, changes, clock } = await following(suite);
  const typing = (userId: string): Event => inRoom({ case: "typing", value: { userId } });
  suite.send(typing("bob"), typing("carol"));
  await until(() => session.room("lobby")?.typingIds.size === 2);
  suite.send(message(3n, { senderId: "bob" }));
  await until(() => seqs(session).length === 3);
  assert.deepEqual(session.room("lobby")?.typingIds, new Set(["carol"]));
  await clock.pass(1_000);
  suite.send(typing("carol"));
  await settled();
  await clock.pass(1_000);
  assert.deepEqual(session.room("lobby")?.typingIds, new Set(["carol"]));
  await clock.pass(1_000);
  assert.deepEqual(session.room("lobby")?.typingIds, new Set());
  assert.equal(changes.filter(({ kind }) => kind === "typing").length, 3);
});

test("a room whose messages are no longer told keeps none that would grow old", async () => {
  const suite = new Suite([START]);
  const { session, changes } = await following(suite);
  suite.send(inRoom({ case: "opened", value: { outcome: Outcome.UNSPECIFIED } }));
  suite.send(inRoom({ case: "readState", value: { unreadCount: 3 } }));
  await until(() => session.room("lobby")?.readState?.unreadCount === 3);
  assert.deepEqual(seqs(session), []);
  assert.deepEqual(changes.map(({ kind }) => kind).slice(-2), ["roomReset", "readState"]);
});

test("of a cursor the copy with the highest revision counts", async () => {
  const suite = new Suite([START]);
  const { session } = await following(suite);
  const cursor = (seq: bigint, revision: bigint): Event =>
    inRoom({ case: "cursorSet", value: { roomId: "lobby", userId: "bob", seq, revision } });
  suite.send(cursor(2n, 5n), cursor(1n, 4n), message(3n));
  await until(() => seqs(session).length === 3);
  assert.equal(session.room("lobby")?.cursors.get("bob")?.seq, 2n);
});

test("who reads no changes is told that some are missing", async () => {
  const suite = new Suite([START]);
  const { session } = await following(suite);
  const changes = session.changes();
  suite.send(...Array.from({ length: 10_007 }, (_, place) => message(BigInt(place + 3))));
  await until(() => seqs(session).at(-1) === 10_009);
  assert.equal((await changes.next()).value.kind, "missed");
  assert.equal((await changes.next()).value.kind, "messageCreated");
  assert.equal(seqs(session).length, 200);
  await changes.return?.();
  assert.equal((await changes.next()).done, true);
});

test("a function that fails when it is told something keeps nobody from being told", async (context) => {
  const said = context.mock.method(console, "error", () => {});
  const suite = new Suite([START]);
  const { session, changes } = await following(suite);
  session.onChange(() => {
    throw new Error("a bug of the page");
  });
  suite.send(message(3n));
  await until(() => seqs(session).length === 3);
  assert.equal(changes.at(-1)?.kind, "messageCreated");
  assert.equal(said.mock.callCount(), 1);
});

test("a session whose client is closed ends without an error, and one that waits for a token ends at once", async () => {
  const suite = new Suite([START]);
  const client = suite.client();
  const session = client.session();
  await session.caughtUp();
  client.close();
  await until(() => session.connection.state.status === "closed");
  await assert.rejects(session.caughtUp(), (error) => error instanceof ChatkitError && error.code === Code.Canceled);
  const waiting = suite.client(() => new Promise(() => {})).session();
  await settled();
  await waiting.close();
});
