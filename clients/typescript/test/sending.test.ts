import assert from "node:assert/strict";
import { test } from "node:test";

import { Code, ConnectError, createRouterTransport } from "@connectrpc/connect";

import { connectOver } from "../src/client.js";
import { type SendMessageRequest, MessagesService } from "../src/proto/chatkit/messages/v1/messages_service_pb.js";
import { type Sent, text, textOf } from "../src/sending.js";
import { all, ManualClock, refusal, stored } from "./scripted.js";

/** What a suite was asked to send, and how it answers: well, until it is told otherwise. */
class Sends {
  readonly asked: SendMessageRequest[] = [];
  readonly clock = new ManualClock();
  underWay = 0;
  most = 0;
  answer: (request: SendMessageRequest) => Promise<void> = async () => {};
  readonly client = connectOver(
    createRouterTransport(({ service }) => {
      service(MessagesService, {
        sendMessage: async (request) => {
          this.asked.push(request);
          this.underWay += 1;
          this.most = Math.max(this.most, this.underWay);
          try {
            await this.answer(request);
          } finally {
            this.underWay -= 1;
          }
          const { roomId, parts, requestId } = request;
          return { message: stored(BigInt(this.asked.length), { roomId, parts, requestId }) };
        },
      });
    }),
    "token",
    { clock: this.clock },
  );
}

const says = (roomId: string, content: string) => ({ roomId, parts: [text(content)] });
const contentOf = ({ request }: Sent): string => request.parts.map(({ value }) => value.value).join();

test("many messages are sent in the order of their room, and in eight rooms at once", async () => {
  const sends = new Sends();
  const requests = Array.from({ length: 40 }, (_, number) => says(`room ${number % 10}`, `${number}`));
  const outcomes = await all(sends.client.sendMany(requests));
  assert.equal(sends.most, 8);
  assert.deepEqual(new Set(outcomes.map(contentOf)), new Set(requests.map((_, number) => `${number}`)));
  for (const told of [outcomes.map(contentOf), sends.asked.map((request) => contentOf({ request } as Sent))]) {
    const ofTheFirstRoom = told.map(Number).filter((number) => number % 10 === 0);
    assert.deepEqual(ofTheFirstRoom, [0, 10, 20, 30]);
  }
});

test("each of many messages has an id of its own, or the one that it was given, and is answered as it is stored", async () => {
  const sends = new Sends();
  const requests = [says("lobby", "one"), { ...says("lobby", "two"), requestId: "mine" }, says("lobby", "three")];
  const outcomes = await all(sends.client.sendMany(requests));
  assert.deepEqual(outcomes.map(({ message }) => message && textOf(message)), ["one", "two", "three"]);
  const ids = outcomes.map(({ request }) => request.requestId);
  assert.equal(new Set(ids).size, 3);
  assert.equal(ids[1], "mine");
  assert.deepEqual(sends.asked.map(({ requestId }) => requestId), ids);
});

test("one that is refused spoils no other, and what fails in passing is sent again before the next of its room", async () => {
  const sends = new Sends();
  const failures = [new ConnectError("away", Code.Unavailable), refusal(Code.PermissionDenied, "PERMISSION_MISSING")];
  sends.answer = async () => {
    const failure = failures.shift();
    if (failure !== undefined) {
      throw failure;
    }
  };
  const sending = all(sends.client.sendMany([says("lobby", "one"), says("lobby", "two")]));
  await sends.clock.pass(1_000);
  const [refused, there] = await sending;
  assert.deepEqual([refused?.error?.reason, refused?.message], ["PERMISSION_MISSING", undefined]);
  assert.equal(there?.message && textOf(there.message), "two");
  assert.equal(sends.asked.length, 3);
});

test("nothing more is sent for whoever wants no more of it", async () => {
  const sends = new Sends();
  const requests = Array.from({ length: 20 }, (_, number) => says("lobby", `${number}`));
  for await (const _ of sends.client.sendMany(requests)) {
    break;
  }
  assert.equal(sends.asked.length, 1);
});
