import assert from "node:assert/strict";
import { test } from "node:test";

import { createElement, StrictMode } from "react";
import { act, create, type ReactTestRenderer } from "react-test-renderer";

import type { Client } from "../src/client.js";
import { useConnection, usePresence, useRoom, useRooms, useSession, useUser } from "../src/react.js";
import {
  CAUGHT_UP,
  message,
  OPENED,
  online,
  settled,
  snapshot,
  Suite,
  userCaughtUp,
  userOpened,
  userRoom,
} from "./scripted.js";

Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true });

const ROOM = [userOpened(), userRoom("lobby", "alice"), userCaughtUp(1n)];
const START = [OPENED, ...ROOM, ...snapshot(1n, [message(1n)], 1n), CAUGHT_UP];

let renderings = 0;

function Page({ client }: { client: Client }): string {
  const session = useSession(client, { watch: ["bob"] });
  return [
    useConnection(session).status,
    useRooms(session).map(({ id }) => id),
    useRoom(session, "lobby")?.messages.length,
    usePresence(session, "bob")?.state,
    useUser(session, "alice")?.id,
  ].join(" ");
}

function Counted({ client }: { client: Client }): string {
  renderings += 1;
  return useRoom(useSession(client), "attic")?.id ?? "nothing";
}

async function rendered(page: typeof Page, client: Client): Promise<ReactTestRenderer> {
  let renderer: ReactTestRenderer | undefined;
  await act(async () => {
    renderer = create(createElement(StrictMode, null, createElement(page, { client })));
    await settled();
  });
  assert.ok(renderer);
  return renderer;
}

test("a page shows a session as it is, and closes it when it goes", async () => {
  const suite = new Suite([START]);
  const page = await rendered(Page, suite.client());
  assert.equal(page.toJSON(), "live lobby 1  alice");
  await act(async () => {
    suite.send(message(2n), online("bob"));
    await settled();
  });
  assert.equal(page.toJSON(), "live lobby 2 1 alice");
  await act(async () => page.unmount());
  await settled();
  assert.equal(suite.open, 0);
});

test("a component is rendered again only when what it shows is another way", async () => {
  const suite = new Suite([START]);
  const page = await rendered(Counted, suite.client());
  const before = renderings;
  await act(async () => {
    suite.send(message(2n), message(3n));
    await settled();
  });
  assert.equal(renderings, before);
  await act(async () => {
    suite.send(userRoom("attic", "alice"));
    await settled();
  });
  assert.equal(page.toJSON(), "attic");
  assert.ok(renderings > before);
  await act(async () => page.unmount());
});
