/** The inspector: what an operator looks at, and the few things that one does at once. */

import "./inspector.css";

import type { Client } from "chatkit-client";
import { useEffect, useRef } from "preact/hooks";

import { LogPage } from "./log/page.js";
import { Page, to } from "./parts.js";
import { Roles } from "./roles.js";
import { RoomPage } from "./room.js";
import { Rooms } from "./rooms.js";
import { Suite } from "./suite.js";
import { UserPage } from "./user.js";
import { Users } from "./users.js";

export interface InspectorProps {
  readonly client: Client;
  /** Which page: what stands in the URL behind `#/inspector/`. */
  readonly path: readonly string[];
  readonly go: (path: readonly string[]) => void;
}

const PARTS = [
  ["users", "Users"],
  ["rooms", "Rooms"],
  ["roles", "Roles"],
  ["suite", "Suite"],
] as const;

/** Show a page of the inspector. */
export function Inspector({ client, path, go }: InspectorProps) {
  const main = useRef<HTMLElement>(null);
  const [part = "users"] = path;
  const shown = JSON.stringify(path);
  const wasShown = useRef(shown);
  useEffect(() => {
    if (wasShown.current !== shown) {
      wasShown.current = shown;
      // As a browser does with another page: who reads by ear or keyboard begins at its beginning.
      main.current?.focus();
      scrollTo(0, 0);
    }
  }, [shown]);
  return (
    <div class="inspector">
      <nav aria-label="Inspector">
        {PARTS.map(([name, title]) => (
          <a href={to(name)} aria-current={isOf(name, part) ? "page" : undefined} key={name}>
            {title}
          </a>
        ))}
      </nav>
      <main ref={main} tabIndex={-1} key={shown}>
        <Shown client={client} path={path} go={go} />
      </main>
    </div>
  );
}

function Shown({ client, path, go }: InspectorProps) {
  const [part = "users", id, detail] = path;
  switch (part) {
    case "users":
      return id === undefined ? <Users client={client} prefix="" go={go} /> : <UserPage client={client} userId={id} />;
    case "search":
      return <Users client={client} prefix={id ?? ""} go={go} />;
    case "rooms":
      return <ShownOfRooms client={client} roomId={id} detail={detail} go={go} />;
    case "roles":
      return <Roles client={client} />;
    case "suite":
      return <Suite />;
    default:
      return (
        <Page title="Nothing is here" name="Nothing is here">
          <p>The inspector has no such page.</p>
        </Page>
      );
  }
}

interface ShownOfRoomsProps extends Pick<InspectorProps, "client" | "go"> {
  readonly roomId: string | undefined;
  readonly detail: string | undefined;
}

function ShownOfRooms({ client, roomId, detail, go }: ShownOfRoomsProps) {
  if (roomId === undefined) {
    return <Rooms client={client} go={go} />;
  }
  return detail === "log" ? <LogPage client={client} roomId={roomId} /> : <RoomPage client={client} roomId={roomId} />;
}

function isOf(name: string, part: string): boolean {
  return name === part || (name === "users" && part === "search");
}
