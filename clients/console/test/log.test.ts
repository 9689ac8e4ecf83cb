/** What a log shows after a stream's events, pages and new beginnings. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { type RoomEvent, SnapshotReason } from "chatkit-client/types";

import { firstSeq, hasOlder, type Log, MOST_ROWS, take, takeOlder, UNKNOWN } from "../src/inspector/log/log.js";
import { kindOf, saysOf } from "../src/inspector/log/words.js";
import { at, deleted, edited, EPOCH, event, resumed, sent, snapshot } from "./events.js";

function after(log: Log, ...events: readonly RoomEvent[]): Log {
  return events.reduce((before, next) => take(before, next, new Date(0)), log);
}

function shown({ rows }: Log): string[] {
  return rows.map((row) => `${row.seq} ${kindOf(row)}: ${saysOf(row)}`);
}

function seqs({ rows }: Log): bigint[] {
  return rows.map(({ seq }) => seq);
}

test("events of the stream come on top, and the position goes with them", () => {
  const log = after(UNKNOWN, snapshot(4n), sent(5n, "one"), sent(6n, "two"));
  assert.deepEqual(shown(log), ["6 sent: two", "5 sent: one"]);
  assert.deepEqual(log.position, at(6n));
  assert.equal(firstSeq(log), 5n);
});

test("an event that is told again is shown once", () => {
  assert.deepEqual(seqs(after(UNKNOWN, snapshot(4n), sent(5n), sent(5n))), [5n]);
});

test("a hole in the stream is an error, for the next stream fills it", () => {
  assert.throws(() => after(UNKNOWN, snapshot(4n), sent(6n)), /from event 4 to event 6/);
});

test("what is not of the log is no row", () => {
  const beat = event(0n, { case: "heartbeat", value: { $typeName: "chatkit.messages.v1.Heartbeat", headSeq: 9n } });
  assert.deepEqual(seqs(after(UNKNOWN, snapshot(4n), beat)), []);
});

test("what was edited away or deleted is shown in no row", () => {
  const log = after(UNKNOWN, snapshot(0n), sent(1n, "one"), sent(2n, "two"), edited(3n, 1n, "three"), deleted(4n, 2n));
  assert.deepEqual(shown(log), ["4 deleted 2: [deleted]", "3 edited 1: three", "2 sent: [deleted]", "1 sent: three"]);
});

test("a page that was read before an edit does not bring the old text", () => {
  const live = after(UNKNOWN, snapshot(2n), edited(3n, 1n, "new"));
  const log = takeOlder(live, [sent(1n, "old"), sent(2n, "two")], EPOCH, 1n);
  assert.deepEqual(shown(log), ["3 edited 1: new", "2 sent: two", "1 sent: new"]);
});

test("a page comes below the rows, whatever its order, and only as far as it meets them", () => {
  const live = after(UNKNOWN, snapshot(4n), sent(5n));
  assert.deepEqual(seqs(takeOlder(live, [sent(3n), sent(4n), sent(5n)], EPOCH, 1n)), [5n, 4n, 3n]);
  assert.deepEqual(seqs(takeOlder(live, [sent(3n), sent(2n)], EPOCH, 1n)), [5n]);
});

test("a page of another log is not shown", () => {
  const live = after(UNKNOWN, snapshot(4n), sent(5n));
  assert.deepEqual(seqs(takeOlder(live, [sent(4n)], "another", 1n)), [5n]);
});

test("a stream that resumes leaves the rows, and says so", () => {
  const log = after(UNKNOWN, snapshot(4n), sent(5n), resumed(7n), sent(6n), sent(7n));
  assert.deepEqual(seqs(log), [7n, 6n, 5n]);
  assert.deepEqual(log.openings.map(({ isResumed }) => isResumed), [true, false]);
});

test("a stream that does not resume begins anew, in whichever log", () => {
  const before = after(UNKNOWN, snapshot(4n), sent(5n));
  const log = after(before, snapshot(2n, { position: at(2n, "other"), reason: SnapshotReason.EPOCH }));
  assert.deepEqual(seqs(log), []);
  assert.deepEqual(log.position, at(2n, "other"));
  assert.equal(log.openings[0]?.reason, SnapshotReason.EPOCH);
});

test("what retention has taken is shown no longer", () => {
  const log = after(UNKNOWN, snapshot(0n), sent(1n), sent(2n), sent(3n), resumed(3n, 3n));
  assert.deepEqual(seqs(log), [3n]);
  assert.equal(hasOlder(log), false);
});

test("there is more before the rows until the oldest event is shown", () => {
  const log = after(UNKNOWN, snapshot(2n));
  assert.equal(hasOlder(log), true);
  assert.equal(hasOlder(takeOlder(log, [sent(1n), sent(2n)], EPOCH, 1n)), false);
  assert.equal(hasOlder(after(UNKNOWN, snapshot(0n))), false);
});

test("no more than the last rows are kept", () => {
  const many = Array.from({ length: MOST_ROWS + 5 }, (_, index) => sent(BigInt(index) + 1n));
  const log = after(UNKNOWN, snapshot(0n), ...many);
  assert.equal(log.rows.length, MOST_ROWS);
  assert.equal(firstSeq(log), 6n);
  assert.equal(hasOlder(log), false);
});
