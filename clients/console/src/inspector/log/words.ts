/** An event of the log in few words. */

import { textOf } from "chatkit-client";
import { type Message, type Part, type RoomEvent, SnapshotReason } from "chatkit-client/types";

import { messageOf, type Opening } from "./log.js";

const MOST_CHARS = 160;

const WHY: Readonly<Record<SnapshotReason, string>> = {
  [SnapshotReason.UNSPECIFIED]: "",
  [SnapshotReason.NEW]: "no position was asked for",
  [SnapshotReason.TOO_FAR]: "more was missed than is replayed",
  [SnapshotReason.EPOCH]: "the position is of another log",
  [SnapshotReason.RETENTION]: "what was missed is gone by retention",
};

/** Return what has happened: "sent", or for example "edited 12" where that happened to an earlier message. */
export function kindOf(row: RoomEvent): string {
  switch (row.event.case) {
    case "messageCreated":
      return "sent";
    case "messageEdited":
      return `edited ${row.event.value.seq}`;
    case "messageDeleted":
      return `deleted ${row.event.value.seq}`;
    case "messageChanged":
      return `changed ${row.event.value.seq}`;
    case "messageGone":
      return `changed ${row.event.value.seq}, gone`;
    default:
      return "of a later release";
  }
}

/** Return the id of the message's sender; empty where nobody is told. */
export function senderOf(row: RoomEvent): string {
  return messageOf(row)?.senderId ?? "";
}

/** Return the beginning of what the message says, or in brackets what there is instead of it. */
export function saysOf(row: RoomEvent): string {
  const message = messageOf(row);
  if (message === undefined) {
    return "";
  }
  return message.deleteTime === undefined ? cut(textAndParts(message)) : "[deleted]";
}

/** Return how a stream has begun. */
export function beginningOf({ isResumed, reason, position }: Opening): string {
  if (isResumed) {
    return `RESUMED, at ${position.seq}`;
  }
  const why = WHY[reason] as string | undefined;
  return `SNAPSHOT (${SnapshotReason[reason] ?? reason}), at ${position.seq}${why ? `: ${why}` : ""}`;
}

function textAndParts(message: Message): string {
  const others = message.parts.filter((part) => !(part.contentType === "text/plain" && part.value.case === "content"));
  return [textOf(message), ...others.map(inBrackets)].filter(Boolean).join(" ").replaceAll(/\s+/g, " ");
}

function inBrackets({ contentType, file }: Part): string {
  return `[${contentType}${file === undefined ? "" : `: ${file.name}`}]`;
}

/** Cut by code points, so that no pair of surrogates is torn. */
function cut(text: string): string {
  // Of a code point there are at most two units.
  const points = [...text.slice(0, 2 * MOST_CHARS + 1)];
  return points.length > MOST_CHARS ? `${points.slice(0, MOST_CHARS).join("")}…` : text;
}
