import assert from "node:assert/strict";
import { test } from "node:test";

import { SignedOut, TokenError } from "../src/errors.js";
import { Tokens } from "../src/tokens.js";
import { ManualClock, settled } from "./scripted.js";

const MINUTE_MS = 60_000;

function jwt(expireTimeMs: number): string {
  return `header.${btoa(JSON.stringify({ exp: expireTimeMs / 1_000 })).replace(/=+$/, "")}.signature`;
}

function minting(clock: ManualClock, lifeMs: number): { tokens: Tokens; minted: string[] } {
  const minted: string[] = [];
  const tokens = new Tokens(async () => {
    minted.push(jwt(clock.time() + lifeMs));
    return minted.at(-1) ?? "";
  }, clock);
  return { tokens, minted };
}

test("a token that was given is used as it is", async () => {
  const tokens = new Tokens("given", new ManualClock());
  assert.equal(await tokens.current(), "given");
  assert.equal(tokens.canRenew, false);
});

test("the first token is fetched once for all who ask at once", async () => {
  const { tokens, minted } = minting(new ManualClock(), MINUTE_MS);
  const got = await Promise.all([tokens.current(), tokens.current(), tokens.current()]);
  assert.equal(minted.length, 1);
  assert.deepEqual(new Set(got), new Set(minted));
});

test("a token is replaced when a fifth of its life is left, and not before", async () => {
  const clock = new ManualClock();
  const { tokens, minted } = minting(clock, MINUTE_MS);
  await tokens.current();
  await clock.pass(0.79 * MINUTE_MS);
  assert.equal(await tokens.current(), minted[0]);
  await clock.pass(0.02 * MINUTE_MS);
  assert.equal(await tokens.current(), minted[1]);
  assert.equal(minted.length, 2);
});

test("a token that can't be replaced is used as long as it is good, and the function is asked again later", async () => {
  const clock = new ManualClock();
  let calls = 0;
  const first = jwt(clock.time() + MINUTE_MS);
  const tokens = new Tokens(() => {
    calls += 1;
    return calls === 1 ? first : Promise.reject(new Error("no network"));
  }, clock);
  await tokens.current();
  await clock.pass(0.9 * MINUTE_MS);
  assert.equal(await tokens.current(), first);
  assert.equal(await tokens.current(), first);
  assert.equal(calls, 2);
  await clock.pass(1_000);
  assert.equal(await tokens.current(), first);
  assert.equal(calls, 3);
});

test("a function that fails or takes for ever is a TokenError with its cause, and SignedOut is itself", async () => {
  const clock = new ManualClock();
  const broken = new Error("broken");
  await assert.rejects(new Tokens(() => Promise.reject(broken), clock).current(), (error) => {
    return error instanceof TokenError && error.cause === broken && error.isTurnedAway && !error.isConnectionLost;
  });
  const late = assert.rejects(new Tokens(() => new Promise(() => {}), clock).current(), TokenError);
  await clock.pass(15_000);
  await late;
  await assert.rejects(new Tokens(() => Promise.reject(new SignedOut("bye")), clock).current(), SignedOut);
});

test("a token that is kept is renewed before each of its ends, until nobody wants it any more", async () => {
  const clock = new ManualClock();
  const { tokens, minted } = minting(clock, MINUTE_MS);
  await tokens.current();
  const enough = new AbortController();
  let used = 0;
  const keeping = assert.rejects(
    tokens.keep(async () => void (used += 1), enough.signal),
    /aborted/,
  );
  await clock.pass(2 * MINUTE_MS);
  assert.equal(minted.length, 3);
  assert.equal(used, 2);
  enough.abort();
  await keeping;
  await settled();
});
