/**
 * A room's log as it is shown: rows without a hole, put together from a stream and from pages of what was before.
 *
 * It shows what ListRoomEvents would answer now: where a message changes, every row that shows it shows it as it is, so
 * that nothing stays on the screen that was edited away or deleted.
 */

import {
  type Message,
  type Opened,
  Outcome,
  type Position,
  type RoomEvent,
  type SnapshotReason,
} from "chatkit-client/types";

/** More rows than this are not kept. */
export const MOST_ROWS = 2_000;
const MOST_OPENINGS = 10;

/** How a stream has begun. */
export interface Opening {
  readonly time: Date;
  readonly position: Position;
  readonly isResumed: boolean;
  readonly reason: SnapshotReason;
}

export interface Log {
  /** From newer to older; between them no event is missing. */
  readonly rows: readonly RoomEvent[];
  /** After the newest row, where a stream goes on; undefined before the first one is open. */
  readonly position: Position | undefined;
  /** The oldest event that the suite keeps. */
  readonly oldestSeq: bigint;
  /** The last streams, from newer to older. */
  readonly openings: readonly Opening[];
}

/** Nothing is known yet. */
export const UNKNOWN: Log = { rows: [], position: undefined, oldestSeq: 0n, openings: [] };

/** Return the message that an event of the log shows. */
export function messageOf({ event }: RoomEvent): Message | undefined {
  switch (event.case) {
    case "messageCreated":
    case "messageEdited":
    case "messageDeleted":
    case "messageChanged":
      return event.value;
    default:
      return undefined;
  }
}

/** Return the seq of the oldest row, or that of the next event where there is no row; 0 before a stream was open. */
export function firstSeq({ rows, position }: Log): bigint {
  return rows.at(-1)?.seq ?? (position === undefined ? 0n : position.seq + 1n);
}

/** Whether there are events before the rows that may be shown, too. */
export function hasOlder(log: Log): boolean {
  return log.rows.length < MOST_ROWS && firstSeq(log) > log.oldestSeq && firstSeq(log) > 1n;
}

/** Take an event of the stream; throws where events before it are missing. */
export function take(log: Log, event: RoomEvent, now: Date): Log {
  if (event.event.case === "opened") {
    return opened(log, event.event.value, now);
  }
  const { position } = log;
  if (position === undefined || event.seq <= position.seq) {
    // Of the stream and not of the log, or known.
    return log;
  }
  if (event.seq !== position.seq + 1n) {
    throw new Error(`the stream goes from event ${position.seq} to event ${event.seq}`);
  }
  const rows = [event, ...asIn(messageOf(event), log.rows)].slice(0, MOST_ROWS);
  return { ...log, rows, position: { ...position, seq: event.seq } };
}

/** Take the events that a page of the log of this epoch has, as far as they come right before the rows. */
export function takeOlder(log: Log, events: readonly RoomEvent[], epoch: string, oldestSeq: bigint): Log {
  if (log.position?.epoch !== epoch) {
    return log;
  }
  const newest = newestCopies(log.rows);
  let next = firstSeq(log);
  const older: RoomEvent[] = [];
  for (const event of [...events].sort((one, other) => (one.seq > other.seq ? -1 : 1))) {
    if (event.seq === next - 1n) {
      older.push(showing(event, newest.get(messageOf(event)?.seq ?? 0n)));
      next = event.seq;
    }
  }
  return withoutGone({ ...log, rows: [...log.rows, ...older].slice(0, MOST_ROWS) }, oldestSeq);
}

/** Forget the rows that the suite keeps no longer. */
export function withoutGone(log: Log, oldestSeq: bigint): Log {
  const rows = firstSeq(log) < oldestSeq ? log.rows.filter(({ seq }) => seq >= oldestSeq) : log.rows;
  return { ...log, rows, oldestSeq };
}

/** Go on where the stream resumes; else begin anew at its position, before which the pages have what happened. */
function opened(log: Log, { position, outcome, reason, oldestSeq }: Opened, time: Date): Log {
  if (position === undefined) {
    return log;
  }
  const isResumed = outcome === Outcome.RESUMED;
  const openings = [{ time, position, isResumed, reason }, ...log.openings].slice(0, MOST_OPENINGS);
  return isResumed ? withoutGone({ ...log, openings }, oldestSeq) : { rows: [], position, oldestSeq, openings };
}

function asIn(message: Message | undefined, rows: readonly RoomEvent[]): readonly RoomEvent[] {
  return message === undefined ? rows : rows.map((row) => showing(row, message));
}

/** Return an event with this copy of its message, if that is another's copy or an older one, with its own. */
function showing(row: RoomEvent, message: Message | undefined): RoomEvent {
  const shown = messageOf(row);
  if (message === undefined || shown?.seq !== message.seq || shown.revision >= message.revision) {
    return row;
  }
  return { ...row, event: { ...row.event, value: message } as RoomEvent["event"] };
}

function newestCopies(rows: readonly RoomEvent[]): ReadonlyMap<bigint, Message> {
  const newest = new Map<bigint, Message>();
  for (const row of rows) {
    const message = messageOf(row);
    if (message !== undefined && message.revision > (newest.get(message.seq)?.revision ?? 0n)) {
      newest.set(message.seq, message);
    }
  }
  return newest;
}
