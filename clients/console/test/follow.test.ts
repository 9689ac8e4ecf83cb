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

/** Play one script for each stream that is opened, up to the ending that is final. */
async function play(...scripts: readonly Script[]): Promise<{ asked: Asked[]; seen: bigint[]; said: Status[] }> {
  const [asked, seen, said]: [Asked[], bigint[], Status[]] = [[], [], []];
  let position: Position | undefined;
  const streams: Streams = {
    async *subscribeRoom(request) {
      asked.push(request);
      for (const step of scripts[asked.length - 1] ?? []) {
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
