import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";

import { Code, ConnectError } from "@connectrpc/connect";

import { baseUrlOf } from "../src/address.js";
import { Calls, Line } from "../src/calls.js";
import { Client } from "../src/client.js";
import { ChatkitError } from "../src/errors.js";
import { systemClock } from "../src/retry.js";
import { ManualClock, refusal, stored, Suite } from "./scripted.js";

test("a call that failed in passing is made again with the same request id", async () => {
  const suite = new Suite();
  suite.refusals.push(new ConnectError("gone", Code.Unavailable), new ConnectError("reset", Code.Aborted));
  const clock = new ManualClock();
  const sending = suite.client("token", clock).send("lobby", "hello");
  await clock.pass(5_000);
  const message = await sending;
  assert.equal(suite.sent.length, 3);
  assert.deepEqual(new Set(suite.sent), new Set([message.requestId]));
  assert.match(message.requestId, /^[0-9a-f]{32}$/);
});

test("a call that was refused says why, and is not repeated", async () => {
  const suite = new Suite();
  suite.refusals.push(refusal(Code.PermissionDenied, "ROOM_ACCESS_DENIED"));
  await assert.rejects(suite.client().send("lobby", "hello"), (error) => {
    assert.ok(error instanceof ChatkitError);
    assert.equal(error.reason, "ROOM_ACCESS_DENIED");
    assert.equal(error.code, Code.PermissionDenied);
    assert.deepEqual(error.metadata, { fact: "true" });
    assert.equal(error.message, "ROOM_ACCESS_DENIED: scripted");
    return true;
  });
  assert.equal(suite.sent.length, 1);
});

test("a call that was turned away waits as long as it was told, and is counted", async () => {
  const suite = new Suite();
  suite.refusals.push(refusal(Code.ResourceExhausted, "RATE_EXCEEDED", 700));
  const clock = new ManualClock();
  const client = suite.client("token", clock);
  const sending = client.send("lobby", "hello");
  await clock.pass(700);
  assert.equal(suite.sent.length, 1);
  await clock.pass(300);
  await sending;
  assert.equal(suite.sent.length, 2);
  assert.deepEqual([...client.turnedAway], [["RATE_EXCEEDED", 1]]);
});

test("a call that a wrong clock refuses is made again with the same token", async () => {
  const suite = new Suite();
  suite.refusals.push(refusal(Code.Unauthenticated, "TOKEN_NOT_YET_VALID", 500));
  const clock = new ManualClock();
  const sending = suite.client(() => "token", clock).send("lobby", "hello");
  await clock.pass(1_000);
  await sending;
  assert.deepEqual(suite.tokens, ["token", "token"]);
});

test("a call gives up at its deadline with what it failed with last", async () => {
  const suite = new Suite();
  suite.answer = () => Promise.reject(new ConnectError("away", Code.Unavailable));
  const clock = new ManualClock();
  const request = { roomId: "lobby", parts: [] };
  const failing = assert.rejects(
    suite.client("token", clock).messages.sendMessage(request, { timeoutMs: 3_000 }),
    (error) => error instanceof ChatkitError && error.isConnectionLost,
  );
  await clock.pass(3_000);
  await failing;
});

test("a call whose token has expired is made again with another one", async () => {
  const suite = new Suite();
  suite.refusals.push(refusal(Code.Unauthenticated, "TOKEN_EXPIRED"));
  const tokens = ["old", "new"];
  await suite.client(() => tokens.shift() ?? "none").send("lobby", "hello");
  assert.deepEqual(suite.tokens, ["old", "new"]);
  suite.refusals.push(refusal(Code.Unauthenticated, "TOKEN_EXPIRED"));
  await assert.rejects(suite.client("only").send("lobby", "hello"), /TOKEN_EXPIRED/);
});

test("a token that was good is replaced when its key is gone, and one that never was is refused", async () => {
  const suite = new Suite();
  const tokens = ["old", "new", "none"];
  const client = suite.client(() => tokens.shift() ?? "none");
  await client.send("lobby", "hello");
  suite.refusals.push(refusal(Code.Unauthenticated, "TOKEN_INVALID"));
  await client.send("lobby", "hello again");
  assert.deepEqual(suite.tokens, ["old", "old", "new"]);
  suite.refusals.push(refusal(Code.Unauthenticated, "TOKEN_INVALID"));
  const another = suite.client(() => "forged");
  await assert.rejects(another.send("lobby", "hello"), /TOKEN_INVALID/);
  assert.equal(suite.tokens.filter((token) => token === "forged").length, 1);
});

test("a function that fetches tokens is asked again for as long as the call may take", async () => {
  const suite = new Suite();
  const clock = new ManualClock();
  let calls = 0;
  const client = suite.client(() => {
    calls += 1;
    return calls < 3 ? Promise.reject(new Error("no network")) : "token";
  }, clock);
  const sending = client.send("lobby", "hello");
  await clock.pass(5_000);
  await sending;
  assert.deepEqual([...client.turnedAway], [["TokenError", 2]]);
});

test("a client that was closed, and a call that was aborted, say so at once", async () => {
  const suite = new Suite();
  suite.answer = () => new Promise(() => {});
  const client = suite.client();
  const enough = new AbortController();
  const aborted = assert.rejects(
    client.messages.sendMessage({ roomId: "lobby" }, { signal: enough.signal }),
    (error) => error instanceof ChatkitError && error.code === Code.Canceled,
  );
  enough.abort();
  await aborted;
  const closed = assert.rejects(client.send("lobby", "hello"), /the client was closed/);
  client.close();
  await closed;
});

test("a connection keeps nothing of calls and streams that have ended", async () => {
  const suite = new Suite();
  const line = new Line(suite.transport(), systemClock);
  const client = new Client(new Calls(line, "token"));
  await client.send("lobby", "hello");
  suite.refusals.push(refusal(Code.PermissionDenied, "ROOM_ACCESS_DENIED"));
  await assert.rejects(client.send("lobby", "hello"));
  const session = client.session();
  await session.caughtUp();
  await session.close();
  assert.deepEqual(getEventListeners(line.closed, "abort"), []);
});

test("another user's calls are theirs", async () => {
  const suite = new Suite();
  suite.answer = async (requestId) => stored(1n, { requestId });
  await suite.client("alice's").withToken("bob's").send("lobby", "hello", { requestId: "mine" });
  assert.deepEqual([suite.tokens, suite.sent], [["bob's"], ["mine"]]);
});

test("an address is a URL", () => {
  assert.equal(baseUrlOf("http://127.0.0.1:8080/"), "http://127.0.0.1:8080");
  assert.throws(() => baseUrlOf("localhost:8080"), TypeError);
});

test("a reason is named as errors name it, though it has an older name", async () => {
  const { fromClosed } = await import("../src/errors.js");
  const { ErrorReason } = await import("../src/proto/chatkit/contract/v1/error_reason_pb.js");
  const { create } = await import("@bufbuild/protobuf");
  const { ClosedSchema } = await import("../src/proto/chatkit/messages/v1/room_event_pb.js");
  const retryAfter = { seconds: 1n, nanos: 500_000_000 };
  const error = fromClosed(create(ClosedSchema, { code: 8, reason: ErrorReason.QUOTA_EXCEEDED, retryAfter }));
  assert.deepEqual([error.reason, error.code, error.retryAfterMs], ["QUOTA_EXCEEDED", Code.ResourceExhausted, 1_500]);
  const later = fromClosed(create(ClosedSchema, { code: 99, reason: 9_999 as never }));
  assert.deepEqual([later.reason, later.code], ["9999", Code.Unknown]);
});
