import assert from "node:assert/strict";
import { test } from "node:test";

import { createRouterTransport } from "@connectrpc/connect";

import { connectOver } from "../src/client.js";
import { pages } from "../src/paging.js";
import { type ListRoomsRequest, RoomsService } from "../src/proto/chatkit/rooms/v1/rooms_service_pb.js";
import { all } from "./scripted.js";

const NEXT: Readonly<Record<string, string>> = { "": "second", second: "third", third: "" };

test("all pages are read one after the other, an empty one too, with what was asked for", async () => {
  const asked: ListRoomsRequest[] = [];
  const transport = createRouterTransport(({ service }) => {
    service(RoomsService, {
      listRooms: (request) => {
        asked.push(request);
        const rooms = request.pageToken === "second" ? [] : [{ id: `room ${asked.length}` }];
        return { rooms, nextPageToken: NEXT[request.pageToken] ?? "" };
      },
    });
  });
  const { rooms } = connectOver(transport, "token");
  const found: string[][] = [];
  for await (const page of pages(rooms.listRooms, { pageSize: 2 })) {
    found.push(page.rooms.map(({ id }) => id));
    assert.equal(asked.length, found.length);
  }
  assert.deepEqual(found, [["room 1"], [], ["room 3"]]);
  assert.deepEqual(asked.map(({ pageSize, pageToken }) => [pageSize, pageToken]), [
    [2, ""],
    [2, "second"],
    [2, "third"],
  ]);
  const rest = await all(pages(rooms.listRooms, { pageToken: "third" }));
  assert.equal(rest.length, 1);
});
