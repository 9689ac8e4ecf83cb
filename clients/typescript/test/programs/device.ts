/**
 * A device that is driven by a test: it does what the lines on its input say, and prints what it is told.
 *
 * Its arguments are the way, `web` or `node`, the address, and a token or the URL where tokens are fetched.
 */

import { createInterface } from "node:readline";

import { ChatkitError, connect as connectWeb, pages, text, textOf } from "../../src/index.js";
import { connect as connectNode } from "../../src/node.js";

const [way, address = "", token = ""] = process.argv.slice(2);
// The files service of a test does not know its edge.
const fetchAnywhere = fetch;
globalThis.fetch = (url, options) => fetchAnywhere(String(url).replace(/^http:\/\/[^/]+/, `http://${address}`), options);
const login = token.startsWith("http") ? async () => (await fetchAnywhere(token)).text() : token;
const client = (way === "node" ? connectNode : connectWeb)(`http://${address}`, login);
const session = client.session({ watch: ["bob"] });

function say(said: Readonly<Record<string, unknown>>): void {
  console.log(JSON.stringify(said, (_, value: unknown) => (typeof value === "bigint" ? Number(value) : value)));
}

function show(roomId: string): void {
  const room = session.room(roomId);
  say({
    shown: room?.messages.map(textOf),
    pending: room?.pending.map(({ error }) => error?.reason ?? ""),
    members: [...(room?.memberIds ?? [])].sort(),
    unread: room?.readState?.unreadCount,
    typing: [...(room?.typingIds ?? [])],
    presence: session.presence("bob")?.state,
  });
}

const commands: Readonly<Record<string, (roomId: string, ...words: string[]) => unknown>> = {
  show,
  send: (roomId, content = "") => session.send(roomId, content),
  edit: (roomId, seq = "", content = "") =>
    client.messages.editMessage({ roomId, seq: BigInt(seq), parts: [text(content)] }),
  read: (roomId) => session.setReadCursor(roomId),
  type: (roomId) => session.typing(roomId),
  attach: async (roomId, content = "") => {
    const told: number[] = [];
    const options = { name: "note.txt", onProgress: (done: number) => told.push(done) };
    const file = await client.upload(roomId, new Blob([content], { type: "text/plain" }), options);
    await session.send(roomId, [{ contentType: "text/plain", value: { case: "fileId", value: file.id } }]);
    say({ url: file.downloadUrl, told });
    say({ content: await (await client.download(roomId, file.id)).text() });
  },
  many: async (roomId, ...texts) => {
    for await (const { message, error } of client.sendMany(texts.map((one) => ({ roomId, parts: [text(one)] })))) {
      say({ sent: message && textOf(message), reason: error?.reason });
    }
  },
  rooms: async () => {
    for await (const page of pages(client.rooms.listRooms, { pageSize: 1 })) {
      say({ page: page.rooms.map(({ id }) => id) });
    }
  },
  older: async (roomId, count = "") => say({ loaded: await session.loadOlder(roomId, Number(count)) }),
};

session.onChange((change) => {
  if (change.kind.startsWith("message") && "seq" in change) {
    say({ kind: change.kind, seq: change.seq, text: "message" in change && change.message && textOf(change.message) });
  } else {
    say({ kind: change.kind });
  }
});
session.connection.onChange(({ status }) => say({ status }));
await session.caughtUp();
say({ ready: session.userId });
for await (const line of createInterface(process.stdin)) {
  const [name = "", roomId = "", ...words] = line.split("|");
  try {
    await commands[name]?.(roomId, ...words);
    say({ done: line });
  } catch (error) {
    say({ failed: line, reason: error instanceof ChatkitError ? error.reason : String(error) });
  }
}
await session.close();
client.close();
