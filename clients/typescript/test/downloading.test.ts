import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";

import { Code, ConnectError, createRouterTransport } from "@connectrpc/connect";

import { connectOver } from "../src/client.js";
import { ChatkitError } from "../src/errors.js";
import { FilesService } from "../src/proto/chatkit/files/v1/files_service_pb.js";
import { ManualClock, refusal } from "./scripted.js";

const CONTENT = new TextEncoder().encode("a picture of a cat");

/** A suite that has one file, and sends it in pieces of four bytes. */
class Store {
  readonly offsets: bigint[] = [];
  readonly tokens: (string | null)[] = [];
  readonly clock = new ManualClock();
  /** After how many pieces each download breaks off, and with what. */
  readonly breaks: [number, ConnectError][] = [];
  readonly #fetched: string[] = [];
  sha256 = createHash("sha256").update(CONTENT).digest("hex");
  readonly client = connectOver(
    createRouterTransport(({ service }) => {
      const facts = { id: "file", contentType: "image/png", sizeBytes: BigInt(CONTENT.length) };
      service(FilesService, {
        getFile: () => ({ file: { ...facts, sha256: this.sha256 } }),
        downloadFile: (request, { requestHeader }) => {
          this.offsets.push(request.offsetBytes);
          this.tokens.push(requestHeader.get("authorization"));
          return this.#pieces(Number(request.offsetBytes));
        },
      });
    }),
    () => {
      this.#fetched.push("token");
      return `token ${this.#fetched.length}`;
    },
    { clock: this.clock },
  );

  async *#pieces(offset: number): AsyncGenerator<{ chunks: Uint8Array[] }> {
    const [most, error] = this.breaks.shift() ?? [Number.POSITIVE_INFINITY, undefined];
    for (let count = 0; offset + 4 * count < CONTENT.length; count += 1) {
      if (count === most) {
        throw error;
      }
      yield { chunks: [CONTENT.subarray(offset + 4 * count, offset + 4 * (count + 1))] };
    }
  }
}

test("content that breaks off goes on where it was, with another token where the first has ended", async () => {
  const store = new Store();
  store.breaks.push([2, new ConnectError("gone", Code.Unavailable)], [1, refusal(Code.Unauthenticated, "TOKEN_EXPIRED")]);
  store.breaks.push([0, refusal(Code.Unauthenticated, "TOKEN_EXPIRED")]);
  const told: [number, number][] = [];
  const downloading = store.client.download("lobby", "file", { onProgress: (...far) => told.push(far) });
  await store.clock.pass(5_000);
  const content = await downloading;
  assert.deepEqual(new Uint8Array(await content.arrayBuffer()), CONTENT);
  assert.equal(content.type, "image/png");
  assert.deepEqual(store.offsets, [0n, 8n, 12n, 12n]);
  assert.deepEqual(store.tokens, ["Bearer token 1", "Bearer token 1", "Bearer token 1", "Bearer token 2"]);
  assert.deepEqual(told.map(([done]) => done), [0, 4, 8, 12, 16, 18]);
  assert.deepEqual(new Set(told.map(([, total]) => total)), new Set([CONTENT.length]));
});

test("content that is not the one that was stored is an error", async () => {
  const store = new Store();
  store.sha256 = createHash("sha256").update("another picture").digest("hex");
  await assert.rejects(
    store.client.download("lobby", "file"),
    (error) => error instanceof ChatkitError && error.code === Code.DataLoss,
  );
});

test("a download that is aborted ends at once", async () => {
  const store = new Store();
  const enough = new AbortController();
  const onProgress = (done: number): void => {
    if (done > 4) {
      enough.abort();
    }
  };
  await assert.rejects(
    store.client.download("lobby", "file", { onProgress, signal: enough.signal }),
    (error) => error instanceof ChatkitError && error.code === Code.Canceled,
  );
  assert.equal(store.offsets.length, 1);
});

test("a function that is told how far it is, and throws, ends the download at once", async () => {
  const store = new Store();
  const onProgress = (done: number): void => {
    if (done > 4) {
      throw new Error("mine");
    }
  };
  await assert.rejects(store.client.download("lobby", "file", { onProgress }), (error) => {
    assert.ok(error instanceof ChatkitError);
    assert.match(String(error.cause), /mine/);
    return error.code === Code.Canceled;
  });
  assert.equal(store.offsets.length, 1);
});
