import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";

import { create } from "@bufbuild/protobuf";
import { Code, createRouterTransport } from "@connectrpc/connect";

import { type Client, connectOver } from "../src/client.js";
import { ChatkitError } from "../src/errors.js";
import { FileSchema, FileState } from "../src/proto/chatkit/files/v1/file_pb.js";
import { type CreateFileRequest, FilesService } from "../src/proto/chatkit/files/v1/files_service_pb.js";
import { ManualClock, settled } from "./scripted.js";

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

const CONTENT = "a picture";

/** A place for content, and a suite that sends it there. */
class Place {
  readonly created: CreateFileRequest[] = [];
  readonly received: { content: string; type: string | undefined }[] = [];
  /** The length that each request has said before its content. */
  readonly lengths: (string | undefined)[] = [];
  readonly clock = new ManualClock();
  /** How requests are answered, one after the other; well, when there is none left. */
  readonly answers: Answer[] = [];
  state = FileState.PENDING;
  readonly #server = createServer(async (request, response) => {
    const pieces: Buffer[] = [];
    for await (const piece of request) {
      pieces.push(piece as Buffer);
    }
    this.lengths.push(request.headers["content-length"]);
    this.received.push({ content: Buffer.concat(pieces).toString(), type: request.headers["content-type"] });
    const answer = this.answers.shift();
    if (answer !== undefined) {
      answer(request, response);
      return;
    }
    this.state = FileState.READY;
    response.end("{}");
  });

  async listen(): Promise<Client> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    const { port } = this.#server.address() as AddressInfo;
    const file = (): ReturnType<typeof create<typeof FileSchema>> =>
      create(FileSchema, { id: "file", roomId: "lobby", state: this.state });
    const transport = createRouterTransport(({ service }) => {
      service(FilesService, {
        createFile: (request) => {
          this.created.push(request);
          return { file: file(), uploadUrl: `http://127.0.0.1:${port}/file?signed=true` };
        },
        getFile: () => ({ file: file() }),
      });
    });
    return connectOver(transport, "token", { clock: this.clock });
  }

  /** Let the clock go on until something has ended. */
  async passing<Value>(work: Promise<Value>): Promise<Value> {
    let isOver = false;
    void work.then(() => {}, () => {}).finally(() => (isOver = true));
    for (let turn = 0; !isOver && turn < 2_000; turn += 1) {
      await settled();
      await new Promise((resolve) => setTimeout(resolve, 1));
      await this.clock.pass(500);
    }
    return work;
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

test("content is sent as it is, and again where the way breaks off or its end is away", async () => {
  const place = new Place();
  const client = await place.listen();
  place.answers.push(
    (request) => request.socket.destroy(),
    (_, response) => response.writeHead(503).end("no healthy upstream"),
  );
  const content = new File([CONTENT], "cat.png", { type: "image/png" });
  const file = await place.passing(client.upload("lobby", content, { userId: "alice" }));
  assert.equal(file.state, FileState.READY);
  assert.deepEqual(place.received, Array(3).fill({ content: CONTENT, type: "image/png" }));
  assert.equal(place.created.length, 1);
  const [{ name, contentType, sizeBytes, sha256, userId, requestId } = {}] = place.created as [CreateFileRequest?];
  assert.deepEqual([name, contentType, sizeBytes, userId], ["cat.png", "image/png", 9n, "alice"]);
  assert.equal(sha256, createHash("sha256").update(CONTENT).digest("hex"));
  assert.match(requestId ?? "", /^[0-9a-f]{32}$/);
  place.close();
});

test("who asks is told how far the content is, and its length is said before it is sent", async () => {
  const place = new Place();
  const client = await place.listen();
  place.answers.push((_, response) => response.writeHead(503).end());
  const content = new Blob(["x".repeat(500_000)]);
  const told: number[] = [];
  const onProgress = (done: number, total: number): void => {
    assert.equal(total, 500_000);
    told.push(done);
  };
  await place.passing(client.upload("lobby", content, { onProgress }));
  const begins = told.map((done, place) => (done === 0 ? place : -1)).filter((place) => place >= 0);
  assert.equal(begins.length, 2);
  for (const far of [told.slice(0, begins[1]), told.slice(begins[1])]) {
    assert.ok(far.length > 2);
    assert.deepEqual(far, [...far].sort((one, other) => one - other));
    assert.equal(far.at(-1), 500_000);
  }
  assert.deepEqual(place.lengths, ["500000", "500000"]);
  assert.deepEqual(new Set(place.received.map((one) => one.content.length)), new Set([500_000]));
  place.close();
});

test("content that is refused says why, and is not sent again", async () => {
  const place = new Place();
  const client = await place.listen();
  const info = { "@type": "type.googleapis.com/google.rpc.ErrorInfo", domain: "chatkit", reason: "CONTENT_MISMATCH" };
  const said = { code: 9, message: "it is another", details: [info] };
  place.answers.push((_, response) => response.writeHead(400).end(JSON.stringify(said)));
  await assert.rejects(client.upload("lobby", new Blob([CONTENT])), (error) => {
    assert.ok(error instanceof ChatkitError);
    assert.deepEqual([error.reason, error.code], ["CONTENT_MISMATCH", Code.FailedPrecondition]);
    return true;
  });
  assert.deepEqual(place.received, [{ content: CONTENT, type: "application/octet-stream" }]);
  place.answers.push((_, response) => response.writeHead(403).end("<Error>of a bucket</Error>"));
  await assert.rejects(client.upload("lobby", new Blob([CONTENT])), /PermissionDenied: HTTP 403/);
  place.close();
});

test("content that is there already is not sent", async () => {
  const place = new Place();
  const client = await place.listen();
  place.state = FileState.READY;
  const told: number[][] = [];
  await client.upload("lobby", new Blob([CONTENT]), { requestId: "again", onProgress: (...far) => told.push(far) });
  assert.deepEqual(told, [[9, 9]]);
  assert.equal(place.received.length, 0);
  place.close();
});

test("an upload that is aborted ends at once", async () => {
  const place = new Place();
  const client = await place.listen();
  const enough = new AbortController();
  place.answers.push(() => enough.abort());
  await assert.rejects(
    client.upload("lobby", new Blob([CONTENT]), { signal: enough.signal }),
    (error) => error instanceof ChatkitError && error.code === Code.Canceled,
  );
  place.close();
});

test("a function that is told how far it is, and throws, ends the upload at once", async () => {
  const place = new Place();
  const client = await place.listen();
  const onProgress = (done: number): void => {
    if (done > 0) {
      throw new Error("mine");
    }
  };
  await assert.rejects(client.upload("lobby", new Blob(["x".repeat(500_000)]), { onProgress }), (error) => {
    assert.ok(error instanceof ChatkitError);
    assert.match(String(error.cause), /mine/);
    return error.code === Code.Canceled;
  });
  place.close();
});
