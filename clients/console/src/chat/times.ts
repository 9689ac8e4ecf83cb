/** How times are shown: in the browser's language and time zone. */

const TIME = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: "full" });
const SHORT_DAY = new Intl.DateTimeFormat(undefined, { dateStyle: "short" });

/** A time as the suite tells it. */
export interface Timestamp {
  readonly seconds: bigint;
  readonly nanos: number;
}

/** Return a time as a Date. */
export function dateOf({ seconds, nanos }: Timestamp): Date {
  return new Date(Number(seconds) * 1_000 + nanos / 1_000_000);
}

/** Return the time of the day. */
export function timeOf(date: Date): string {
  return TIME.format(date);
}

/** Return the day. */
export function dayOf(date: Date): string {
  return DAY.format(date);
}

/** Return the time of what was today, and the day of what was earlier. */
export function shortTimeOf(date: Date, now: Date): string {
  return dayOf(date) === dayOf(now) ? timeOf(date) : SHORT_DAY.format(date);
}
