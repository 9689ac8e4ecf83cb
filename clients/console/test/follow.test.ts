/** A room's stream goes on from where the log stands, for as long as that helps. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { ChatkitError, Code } from "chatkit-client";
import type { Position, RoomEvent, SubscribeRoomResponse } from "chatkit-client/types";

import { follow, type Status, type Streams } from "../src/inspector/log/follow.js";
import { at, sent, snapshot } from "./events.js";

type Script = readonly (RoomEvent | ChatkitError)[];
type Asked = Parameters<Streams["subscribeRoom"]>[0];

const LOST = new ChatkitError(Code.Unavailable, "", "the connection was lost");
const REMOVED = new ChatkitError(Code.PermissionDenied, "REMOVED_FROM_ROOM", "");
const EXPIRED = new ChatkitError(Code.Unauthenticated, "TOKEN_EXPIRED", "", { retryAfterMs: 0 });

/** Play one script for each stream that is opened, and nothing more. */
async function play(...scripts: readonly Script[]): Promise<{ asked: Asked[]; seen: bigint[]; said: Status[] }> {
  const [asked, seen, said]: [Asked[], bigint[], Status[]] = [[], [], []];
  let position: Position | undefined;
  const streams: Streams = {
    async *subscribeRoom(request) {
      asked.push(request);
      for (const step of scripts[asked.length - 1] ?? [REMOVED]) {
        if (step instanceof ChatkitError) {
          throw step;
        }
        const frame: SubscribeRoomResponse = { $typeName: "chatkit.messages.v1.SubscribeRoomResponse", events: [step] };
        yield frame;
      }
    },
  };
  const follower = {
    position: () => position,
    take(events: readonly RoomEvent[]) {
      for (const { seq } of events) {
        seen.push(seq);
        position = at(seq);
      }
    },
    become: (status: Status) => void said.push(status),
  };
  await follow(streams, "lobby", follower, new AbortController().signal);
  return { asked, seen, said };
}

test("the first stream begins at the end of the log, and the next one where the first has ended", async () => {
  const { asked, seen } = await play([snapshot(4n), sent(5n), LOST], [sent(6n), REMOVED]);
  assert.deepEqual(asked, [
    { roomId: "lobby", start: { case: "last", value: 0 } },
    { roomId: "lobby", start: { case: "after", value: at(5n) }, maxSnapshotMessages: 0 },
  ]);
  assert.deepEqual(seen, [0n, 5n, 6n]);
});

test("it says how it stands", async () => {
  const { said } = await play([snapshot(4n), LOST], [REMOVED]);
  const states = said.map(({ status }) => status);
  assert.deepEqual(states, ["connecting", "live", "lost", "connecting", "closed"]);
});

test("what would be refused again is not asked for again", async () => {
  const { asked, said } = await play([REMOVED]);
  assert.equal(asked.length, 1);
  assert.deepEqual(said.at(-1), { status: "closed", why: REMOVED });
});

test("a stream that has outlived its token is opened with the next one, if there is one", async () => {
  const { asked, said } = await play([snapshot(4n), EXPIRED], [EXPIRED]);
  assert.equal(asked.length, 2);
  assert.deepEqual(said.at(-1), { status: "closed", why: EXPIRED });
});

test("a stream that ends without a word is opened again", async () => {
  const { asked } = await play([snapshot(4n)], [REMOVED]);
  assert.equal(asked.length, 2);
});

test("a stream of which nothing is heard any more is given up, and another one is opened", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  let streams = 0;
  const silent: Streams = {
    async *subscribeRoom(_, { signal } = {}) {
      streams += 1;
      if (streams > 1) {
        throw REMOVED;
      }
      yield { $typeName: "chatkit.messages.v1.SubscribeRoomResponse", events: [snapshot(4n)] };
      await new Promise((_resolve, reject) => signal?.addEventListener("abort", () => reject(LOST)));
    },
  };
  const said: Status[] = [];
  const follower = { position: () => at(4n), take: () => {}, become: (status: Status) => void said.push(status) };
  const over = follow(silent, "lobby", follower, new AbortController().signal);
  while (said.at(-1)?.status !== "closed") {
    await new Promise(setImmediate);
    context.mock.timers.tick(1_000);
  }
  await over;
  const [lost] = said.filter(({ status }) => status === "lost");
  assert.match(lost?.status === "lost" ? lost.why.message : "", /nothing was heard for 35 seconds/);
});
