/** How times, numbers and JSON are shown. */

import { dateOf, type Timestamp } from "../chat/times.js";

const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const TIME = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const NUMBER = new Intl.NumberFormat();

/** Return the day and the time of the day, in the browser's language and time zone. */
export function shownTime(time: Timestamp | Date): readonly [string, string] {
  const date = asDate(time);
  return [DAY.format(date), TIME.format(date)];
}

/** Return a time for programs, to the millisecond and in UTC. */
export function exactTime(time: Timestamp | Date): string {
  return asDate(time).toISOString();
}

/** Return a number with its thousands set apart. */
export function shownNumber(value: number | bigint): string {
  return NUMBER.format(value);
}

/** Return what is kept as JSON, in lines. */
export function shownJson(value: unknown): string {
  return JSON.stringify(value, undefined, 2);
}

function asDate(time: Timestamp | Date): Date {
  return time instanceof Date ? time : dateOf(time);
}
