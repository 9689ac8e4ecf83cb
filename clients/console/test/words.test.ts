/** Events, messages and refusals as they are said. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { ChatkitError, Code } from "chatkit-client";
import { SnapshotReason } from "chatkit-client/types";

import { beginningOf, kindOf, saysOf, senderOf } from "../src/inspector/log/words.js";
import { plainOf } from "../src/inspector/plain.js";
import { sentenceOf } from "../src/inspector/refusals.js";
import { at, deleted, edited, event, sent, textPart } from "./events.js";

const PICTURE = {
  $typeName: "chatkit.messages.v1.Part",
  contentType: "image/png",
  value: { case: "url", value: "https://example.org/a.png" },
} as const;

test("a message says its texts in a line, and what it has beside them", () => {
  assert.equal(saysOf(sent(1n, "", { parts: [textPart("one\ntwo"), PICTURE] })), "one two [image/png]");
});

test("a long text is cut, and never within a character", () => {
  assert.equal(saysOf(sent(1n, "😀".repeat(500))), `${"😀".repeat(160)}…`);
  assert.equal(saysOf(sent(1n, "😀".repeat(160))), "😀".repeat(160));
});

test("events say what has happened to which message", () => {
  assert.equal(kindOf(sent(7n)), "sent");
  assert.equal(kindOf(edited(8n, 7n, "other")), "edited 7");
  assert.equal(kindOf(deleted(9n, 7n)), "deleted 7");
  assert.equal(senderOf(sent(7n)), "bob");
  assert.equal(senderOf(deleted(9n, 7n)), "");
});

test("a kind of a later release is a row, too", () => {
  const row = event(3n, { case: undefined });
  assert.equal(kindOf(row), "of a later release");
  assert.equal(saysOf(row), "");
});

test("a beginning says whether it goes on, and why not", () => {
  const beginning = { time: new Date(0), position: at(5n), isResumed: true, reason: SnapshotReason.UNSPECIFIED };
  assert.equal(beginningOf(beginning), "RESUMED, at 5");
  const anew = { ...beginning, isResumed: false, reason: SnapshotReason.TOO_FAR };
  assert.equal(beginningOf(anew), "SNAPSHOT (TOO_FAR), at 5: more was missed than is replayed");
  assert.equal(beginningOf({ ...anew, reason: 99 as SnapshotReason }), "SNAPSHOT (99), at 5");
});

test("an event is JSON with its 64-bit numbers, times and custom data as they are", () => {
  const customData = { case: "closed", value: 1, seconds: 5 };
  const seq = 2n ** 60n;
  const row = sent(seq, "hello", { customData });
  const time = { $typeName: "google.protobuf.Timestamp", seconds: 1n, nanos: 5_000_000 } as const;
  assert.deepEqual(plainOf({ ...row, time }), {
    roomId: "lobby",
    seq: String(seq),
    time: "1970-01-01T00:00:01.005Z",
    messageCreated: {
      roomId: "lobby",
      seq: String(seq),
      senderId: "bob",
      parts: [{ contentType: "text/plain", content: "hello" }],
      revision: String(seq),
      customData,
    },
  });
});

test("what a token may not do is said in a sentence", () => {
  const refused = (reason: string, metadata = {}): string =>
    sentenceOf(new ChatkitError(Code.PermissionDenied, reason, "raw", { metadata }));
  assert.match(refused("SUPERUSER_REQUIRED"), /superuser's token/);
  assert.match(refused("PERMISSION_MISSING", { permission: "user:search" }), /permission user:search/);
  assert.match(refused("USER_NOT_FOUND", { user_ids: '["zoe"]' }), /no such user: "zoe"\./);
  assert.equal(refused("SOMETHING_LATER"), "raw");
});
