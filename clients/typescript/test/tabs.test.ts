import assert from "node:assert/strict";
import { test } from "node:test";

import { create, toBinary } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";

import { SubscribeResponseSchema } from "../src/proto/chatkit/sync/v1/sync_service_pb.js";
import type { Session } from "../src/session/session.js";
import { canShare } from "../src/session/tabs.js";
import type { Change } from "../src/session/views.js";
import {
  CAUGHT_UP,
  caughtUpTo,
  inRoom,
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

const ROOM = [userOpened(), userRoom("lobby", "alice", "bob"), userCaughtUp(7n)];
const READ = inRoom({ case: "readState", value: { unreadCount: 3 } });
const CURSOR = inRoom({ case: "cursorSet", value: { roomId: "lobby", userId: "bob", seq: 1n, revision: 1n } });
const NEW = snapshot(3n, [message(2n), message(3n)], 2n);
const START = [OPENED, ...ROOM, ...NEW, READ, CURSOR, online("bob"), CAUGHT_UP];

let browsers = 0;

/** A browser, whose tabs share what its name says. */
class Browser {
  readonly share = `browser ${(browsers += 1)}`;
  readonly #sessions: Session[] = [];

  constructor(readonly suite: Suite) {}

  async tab(): Promise<{ session: Session; changes: Change[] }> {
    const session = this.suite.client().session({ share: this.share, watch: ["bob"] });
    this.#sessions.push(session);
    const changes: Change[] = [];
    session.onChange((change) => changes.push(change));
    await session.caughtUp();
    return { session, changes };
  }

  async close(): Promise<void> {
    await Promise.all(this.#sessions.map((session) => session.close()));
  }
}

function seqs(session: Session): number[] {
  return (session.room("lobby")?.messages ?? []).map(({ seq }) => Number(seq));
}

function created(changes: readonly Change[]): number[] {
  return changes.flatMap((change) => (change.kind === "messageCreated" ? [Number(change.seq)] : []));
}

test("tabs share one stream, and one that comes later is shown the same", async () => {
  const browser = new Browser(new Suite([START]));
  const [first, second] = [await browser.tab(), await browser.tab()];
  assert.deepEqual(second.session.rooms(), first.session.rooms());
  assert.deepEqual(second.session.presence("bob"), first.session.presence("bob"));
  assert.equal(second.session.userId, "alice");
  assert.deepEqual(second.session.connection.state, { status: "live", behind: new Set() });
  assert.equal(second.session.room("lobby")?.hasOlder, true);
  browser.suite.send(message(4n));
  await until(() => seqs(second.session).length === 3);
  assert.deepEqual(seqs(second.session), [2, 3, 4]);
  assert.deepEqual(created(second.changes), [4]);
  browser.suite.history = [stored(1n)];
  await second.session.loadOlder("lobby");
  assert.deepEqual(seqs(second.session), [1, 2, 3, 4]);
  const third = await browser.tab();
  assert.deepEqual(seqs(third.session), [2, 3, 4]);
  assert.equal(browser.suite.requests.length, 1);
  await browser.close();
});

test("when the tab that has the stream is closed another one goes on, and each event is told once", async () => {
  const next = [OPENED, userOpened(true), userCaughtUp(8n), resumed(5n), message(5n), caughtUpTo(5n), CAUGHT_UP];
  const browser = new Browser(new Suite([START, next]));
  browser.suite.hangs = true;
  const [first, second, third] = [await browser.tab(), await browser.tab(), await browser.tab()];
  browser.suite.send(message(4n));
  await until(() => [first, second, third].every(({ session }) => seqs(session).at(-1) === 4));
  await first.session.close();
  await until(() => [second, third].every(({ session }) => seqs(session).at(-1) === 5));
  browser.suite.send(message(6n));
  await until(() => [second, third].every(({ session }) => seqs(session).at(-1) === 6));
  for (const { session, changes } of [second, third]) {
    assert.deepEqual(created(changes), [4, 5, 6]);
    assert.equal(session.connection.isLive, true);
  }
  assert.equal(browser.suite.requests.length, 2);
  const [room] = browser.suite.requests[1]?.rooms ?? [];
  assert.equal(room?.start.case === "after" && room.start.value.seq, 4n);
  assert.equal(browser.suite.requests[1]?.user?.after?.roomsVersion, 7n);
  assert.equal(first.session.connection.state.status, "closed");
  await browser.close();
});

test("what one tab wants is wanted by all, and whoever has asked is told what became of it", async () => {
  const browser = new Browser(new Suite([START, START]));
  browser.suite.hangs = true;
  const [first, second] = [await browser.tab(), await browser.tab()];
  await second.session.follow("attic");
  assert.deepEqual(browser.suite.updates.map(({ followRooms }) => followRooms[0]?.roomId), ["attic"]);
  browser.suite.refusals.push(refusal(Code.NotFound, "USER_NOT_FOUND"));
  await assert.rejects(second.session.watch(["nobody"]), /USER_NOT_FOUND/);
  await second.session.watch(["carol"]);
  browser.suite.send(online("carol"));
  await until(() => first.session.presence("carol") && second.session.presence("carol"));
  await first.session.unfollow("lobby");
  await settled();
  await first.session.close();
  await until(() => browser.suite.requests.length === 2);
  assert.deepEqual(browser.suite.requests[1]?.rooms.map(({ roomId }) => roomId), ["attic"]);
  assert.deepEqual(browser.suite.requests[1]?.presence?.watchUserIds, ["bob", "carol"]);
  await browser.close();
});

test("a message of one tab is pending there, and in the others when it is stored", async () => {
  const browser = new Browser(new Suite([START]));
  const [first, second] = [await browser.tab(), await browser.tab()];
  browser.suite.answer = async (requestId) => stored(4n, { senderId: "alice", requestId });
  const sending = second.session.send("lobby", "hello", "mine");
  assert.equal(second.session.room("lobby")?.pending.length, 1);
  assert.equal(first.session.room("lobby")?.pending.length, 0);
  browser.suite.send(message(4n, { senderId: "alice", requestId: "mine" }));
  await sending;
  await until(() => seqs(first.session).at(-1) === 4 && second.session.room("lobby")?.pending.length === 0);
  assert.deepEqual(seqs(second.session), [2, 3, 4]);
  await browser.close();
});

test("a tab that is told what does not fit is told how it stands anew", async () => {
  const browser = new Browser(new Suite([START]));
  const [, second] = [await browser.tab(), await browser.tab()];
  const channel = new BroadcastChannel(`chatkit-client 1 ${browser.share}`);
  const frame = toBinary(SubscribeResponseSchema, create(SubscribeResponseSchema, { events: [message(9n)] }));
  channel.postMessage({ kind: "event", frame });
  await until(() => second.changes.filter(({ kind }) => kind === "caughtUp").length === 2);
  assert.deepEqual(seqs(second.session), [2, 3]);
  browser.suite.send(message(4n));
  await until(() => seqs(second.session).length === 3);
  channel.close();
  await browser.close();
});

test("tabs of another name have a stream of their own", async () => {
  const suite = new Suite([START]);
  const browsers = [new Browser(suite), new Browser(suite)];
  await Promise.all(browsers.map((browser) => browser.tab()));
  assert.equal(suite.requests.length, 2);
  await Promise.all(browsers.map((browser) => browser.close()));
});

test("where a page may keep nothing it does without the others, for it may have no locks either", () => {
  assert.equal(canShare(), true);
  const kept = Object.getOwnPropertyDescriptor(globalThis, "sessionStorage");
  Object.defineProperty(globalThis, "sessionStorage", {
    configurable: true,
    get: () => {
      throw new DOMException("access is denied for this document", "SecurityError");
    },
  });
  try {
    assert.equal(canShare(), false);
  } finally {
    delete (globalThis as { sessionStorage?: unknown }).sessionStorage;
    if (kept !== undefined) {
      Object.defineProperty(globalThis, "sessionStorage", kept);
    }
  }
});
