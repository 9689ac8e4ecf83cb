/** What a room's log shows as a list: messages and those that are pending, under their days and senders. */

import type { RoomView } from "chatkit-client";
import type { Message, Part } from "chatkit-client/types";

import { dateOf, dayOf } from "./times.js";

// Who goes on within this time has their name above the first message only.
const TOGETHER_MS = 5 * 60_000;

/** One row of the list. */
export interface Entry {
  /** The same before and after the message is stored. */
  readonly key: string;
  readonly senderId: string;
  readonly parts: readonly Pick<Part, "contentType" | "value">[];
  /** Undefined for what is on its way, or was not sent. */
  readonly message: Message | undefined;
  /** Why it was not sent; undefined where that may still be. */
  readonly failure: Error | undefined;
  readonly requestId: string;
  readonly date: Date | undefined;
  /** The day, above its first message. */
  readonly day: string | undefined;
  readonly isUnderName: boolean;
  /** Who of the others has read up to here and no further. */
  readonly readerIds: readonly string[];
}

/** Return the rows of a room, from older to newer. */
export function entriesOf(view: RoomView, ownId: string): readonly Entry[] {
  const readers = readersOf(view, ownId);
  let before: Entry | undefined;
  const entries: Entry[] = [];
  const put = (entry: Omit<Entry, "day" | "isUnderName">): void => {
    const day = entry.date && dayOf(entry.date);
    const isFirst = day !== undefined && (before?.date === undefined || day !== dayOf(before.date));
    before = { ...entry, day: isFirst ? day : undefined, isUnderName: isFirst || !goesOn(before, entry) };
    entries.push(before);
  };
  for (const message of view.messages) {
    put(entryOf(message, readers.get(message.seq) ?? []));
  }
  for (const { request, message, error } of view.pending) {
    if (message !== undefined) {
      put(entryOf(message, []));
    } else {
      const { senderId, parts, requestId } = request;
      const key = keyOf(senderId || ownId, requestId);
      put({
        key, senderId: senderId || ownId, parts: parts as readonly Part[], requestId, failure: error,
        message: undefined, date: undefined, readerIds: [],
      });
    }
  }
  return entries;
}

function entryOf(message: Message, readerIds: readonly string[]): Omit<Entry, "day" | "isUnderName"> {
  const { senderId, parts, requestId, seq, createTime } = message;
  return {
    key: requestId === "" ? `${seq}` : keyOf(senderId, requestId),
    senderId, parts, requestId, message, readerIds,
    failure: undefined,
    date: createTime && dateOf(createTime),
  };
}

function keyOf(senderId: string, requestId: string): string {
  return `${senderId}/${requestId}`;
}

function goesOn(before: Entry | undefined, entry: Pick<Entry, "senderId" | "date">): boolean {
  if (before?.senderId !== entry.senderId) {
    return false;
  }
  return !before.date || !entry.date || entry.date.getTime() - before.date.getTime() < TOGETHER_MS;
}

/** Return who has read up to each message and no further. */
function readersOf({ messages, cursors }: RoomView, ownId: string): ReadonlyMap<bigint, readonly string[]> {
  const readers = new Map<bigint, string[]>();
  for (const [userId, { seq }] of cursors) {
    const last = userId === ownId ? undefined : messages.findLast((message) => message.seq <= seq);
    if (last !== undefined && last.senderId !== userId) {
      readers.set(last.seq, [...(readers.get(last.seq) ?? []), userId]);
    }
  }
  return readers;
}
