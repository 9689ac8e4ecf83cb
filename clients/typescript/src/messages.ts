/**
 * A room's messages as they are, put together from a stream, pages and late events in any order.
 *
 * Of each message the copy with the highest revision counts, so nothing has to be read in a certain order, or only once.
 */

import type { Message } from "./proto/chatkit/messages/v1/message_pb.js";
import type { RoomEvent } from "./proto/chatkit/messages/v1/room_event_pb.js";

/** Return the message that an event shows; undefined for one that shows none. */
export function messageOf({ event }: RoomEvent): Message | undefined {
  return event.value?.$typeName === "chatkit.messages.v1.Message" ? event.value : undefined;
}

/** The newest known copy of each message. */
export class Messages {
  // Deleted ones, too: an older copy that comes late must find that it is old.
  #copies = new Map<bigint, Message>();
  #gone = new Set<bigint>();
  #oldestSeq = 0n;

  /** What was before it is gone. */
  get oldestSeq(): bigint {
    return this.#oldestSeq;
  }

  /** Return the messages that are there, from older to newer. */
  list(): Message[] {
    return [...this.#copies.values()].filter((message) => this.#isThere(message)).sort(bySeq);
  }

  /** Take an event, of whatever kind. */
  see(event: RoomEvent): void {
    const message = messageOf(event);
    if (message !== undefined) {
      this.put(message);
    } else if (event.event.case === "messageGone") {
      this.#gone.add(event.event.value.seq);
    } else if (event.event.case === "opened") {
      const { oldestSeq } = event.event.value;
      this.#oldestSeq = oldestSeq > this.#oldestSeq ? oldestSeq : this.#oldestSeq;
    }
  }

  /** Take a message as some answer has it. */
  put(message: Message): void {
    const known = this.#copies.get(message.seq);
    if (known === undefined || known.revision < message.revision) {
      this.#copies.set(message.seq, message);
    }
  }

  /** Keep at most so many, those before a seq not among them; return the seq from which on they are kept. */
  keep(firstSeq: bigint, most: number): bigint {
    if (this.#copies.size <= most) {
      return firstSeq;
    }
    const kept = [...this.#copies.values()].filter(({ seq }) => seq >= firstSeq).sort(bySeq);
    const first = (kept.length > most ? kept.at(-most)?.seq : undefined) ?? firstSeq;
    this.#copies = new Map(kept.filter(({ seq }) => seq >= first).map((message) => [message.seq, message]));
    this.#gone = new Set([...this.#gone].filter((seq) => seq >= first));
    return first;
  }

  #isThere(message: Message): boolean {
    return message.seq >= this.#oldestSeq && !this.#gone.has(message.seq) && message.deleteTime === undefined;
  }
}

function bySeq(one: Message, other: Message): number {
  return one.seq < other.seq ? -1 : 1;
}
