/** Events of a room's log, as the client decodes them. */

import {
  type Message,
  type Opened,
  Outcome,
  type Part,
  type Position,
  type RoomEvent,
  SnapshotReason,
} from "chatkit-client/types";

export const EPOCH = "epoch";

/** Return a place in the log. */
export function at(seq: bigint, epoch = EPOCH): Position {
  return { $typeName: "chatkit.messages.v1.Position", epoch, seq };
}

/** Return a part that is text. */
export function textPart(content: string): Part {
  const value = { case: "content", value: content } as const;
  return { $typeName: "chatkit.messages.v1.Part", contentType: "text/plain", value };
}

/** Return an event of the room. */
export function event(seq: bigint, what: RoomEvent["event"]): RoomEvent {
  return { $typeName: "chatkit.messages.v1.RoomEvent", roomId: "lobby", seq, time: timestamp(seq), event: what };
}

/** Return the event by which a message came. */
export function sent(seq: bigint, text = `text ${seq}`, facts: Partial<Message> = {}): RoomEvent {
  return event(seq, { case: "messageCreated", value: message(seq, text, facts) });
}

/** Return the event `seq` that has edited a message. */
export function edited(seq: bigint, messageSeq: bigint, text: string): RoomEvent {
  return event(seq, { case: "messageEdited", value: message(messageSeq, text, { revision: seq }) });
}

/** Return the event `seq` that has deleted a message. */
export function deleted(seq: bigint, messageSeq: bigint): RoomEvent {
  const left = message(messageSeq, "", { revision: seq, senderId: "", parts: [], deleteTime: timestamp(0n) });
  return event(seq, { case: "messageDeleted", value: left });
}

/** Return the beginning of a stream that goes on after a position. */
export function resumed(seq: bigint, oldestSeq = 1n): RoomEvent {
  return opened({ position: at(seq), oldestSeq, outcome: Outcome.RESUMED });
}

/** Return the beginning of a stream that begins anew. */
export function snapshot(seq: bigint, facts: Partial<Opened> = {}): RoomEvent {
  return opened({ position: at(seq), oldestSeq: 1n, outcome: Outcome.SNAPSHOT, reason: SnapshotReason.NEW, ...facts });
}

function message(seq: bigint, text: string, facts: Partial<Message>): Message {
  return {
    $typeName: "chatkit.messages.v1.Message",
    roomId: "lobby",
    seq,
    senderId: "bob",
    parts: [textPart(text)],
    revision: seq,
    requestId: "",
    ...facts,
  };
}

function opened(facts: Partial<Opened>): RoomEvent {
  const value: Opened = {
    $typeName: "chatkit.messages.v1.Opened",
    oldestSeq: 0n,
    outcome: Outcome.UNSPECIFIED,
    reason: SnapshotReason.UNSPECIFIED,
    firstSeq: 0n,
    ...facts,
  };
  return event(0n, { case: "opened", value });
}

function timestamp(seconds: bigint) {
  return { $typeName: "google.protobuf.Timestamp", seconds, nanos: 5_000_000 } as const;
}
