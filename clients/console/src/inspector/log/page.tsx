/** A room's log, live. */

import type { Client } from "chatkit-client";
import { useState } from "preact/hooks";

import { Headings, Page, Refusal, RoomLink, Said, Section } from "../parts.js";
import { hasOlder, type Log, MOST_ROWS } from "./log.js";
import { Row } from "./row.js";
import { Stream } from "./stream.js";
import { type LogView, useLog } from "./use_log.js";

interface LogPageProps {
  readonly client: Client;
  readonly roomId: string;
}

/** Show a room's log; its key must be the room. */
export function LogPage({ client, roomId }: LogPageProps) {
  const view = useLog(client, roomId);
  const [paused, setPaused] = useState<Log>();
  const isPaused = paused !== undefined;
  const pause = (
    <button
      type="button"
      class="quiet"
      aria-pressed={isPaused}
      onClick={() => setPaused(isPaused ? undefined : view.log)}
    >
      Pause
    </button>
  );
  const title = (
    <>
      {"Log of "}
      <Said>{roomId}</Said>
    </>
  );
  return (
    <Page title={title} name={`Log of ${roomId}`} actions={<RoomLink id={roomId}>Room</RoomLink>}>
      <Section title="Stream">
        <Stream log={view.log} status={view.status} />
      </Section>
      <Section title="Events" actions={pause}>
        <Events client={client} roomId={roomId} view={view} shown={paused ?? view.log} isPaused={isPaused} />
      </Section>
    </Page>
  );
}

interface EventsProps extends LogPageProps {
  readonly view: LogView;
  /** The log as it is, or as it was when it was paused. */
  readonly shown: Log;
  readonly isPaused: boolean;
}

function Events({ client, roomId, view, shown, isPaused }: EventsProps) {
  return (
    <>
      {shown.rows.length > 0 && (
        <table class="events">
          <caption class="unseen">The room's events, the newest first</caption>
          <Headings names={["Seq", "Revision", "What", "Who", "When", "Text"]} minor={["Revision"]} />
          <tbody>
            {shown.rows.map((row) => (
              <Row client={client} roomId={roomId} row={row} key={row.seq} />
            ))}
          </tbody>
        </table>
      )}
      {isPaused ? <p class="faint">Paused: what happens meanwhile is shown afterwards.</p> : <End view={view} />}
    </>
  );
}

function End({ view: { log, isLoading, error, loadOlder } }: Pick<EventsProps, "view">) {
  const mayLoad = !isLoading && hasOlder(log);
  return (
    <div class="list-end">
      {error !== undefined && <Refusal error={error} />}
      {mayLoad && (
        <button type="button" class="quiet" onClick={loadOlder}>
          {error === undefined ? "Load older" : "Try again"}
        </button>
      )}
      <p class="faint" role="status">
        {isLoading ? "Loading…" : mayLoad || log.position === undefined ? "" : beforeTheRows(log)}
      </p>
    </div>
  );
}

function beforeTheRows({ rows, oldestSeq }: Log): string {
  if (rows.length >= MOST_ROWS) {
    return `No more than ${MOST_ROWS} rows are shown.`;
  }
  if (oldestSeq > 1n) {
    return "What was before this is gone by retention.";
  }
  return rows.length === 0 ? "Nothing has happened in this room yet." : "This is the beginning of the log.";
}
