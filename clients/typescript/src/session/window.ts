/** The newest messages of a room without a hole, and older ones in front of them as they are loaded. */

import { Messages } from "../messages.js";
import type { Message } from "../proto/chatkit/messages/v1/message_pb.js";
import type { RoomEvent } from "../proto/chatkit/messages/v1/room_event_pb.js";

/** The messages of a room from one seq on; at most so many, and as many more as were asked for. */
export class Window {
  hasOlder: boolean;
  readonly #messages = new Messages();
  // From here on all messages are here.
  #firstSeq: bigint;
  #most: number;
  // While older ones are loaded, what happens to these is kept: the page may show them as they were.
  #loads = 0;

  constructor(most: number, firstSeq = 0n, oldestSeq = 0n) {
    this.#most = most;
    this.#firstSeq = firstSeq;
    this.hasOlder = firstSeq > oldestSeq;
  }

  get firstSeq(): bigint {
    return this.#firstSeq;
  }

  /** The seq of the oldest message that there may be. */
  get oldestSeq(): bigint {
    return this.hasOlder ? this.#messages.oldestSeq : this.#firstSeq;
  }

  /** Return the messages that are there, from older to newer. */
  list(): Message[] {
    return this.#messages.list().filter(({ seq }) => seq >= this.#firstSeq);
  }

  /** Take an event of the log, or the opening of a stream that begins anew. */
  see(event: RoomEvent): void {
    this.#messages.see(event);
    if (this.#loads === 0) {
      this.#trim();
    }
  }

  /** Take the opening of a stream that goes on, and return whether some of the oldest are there no longer. */
  resume(event: RoomEvent): boolean {
    const [first] = this.list();
    this.#messages.see(event);
    return first !== undefined && first.seq < this.#messages.oldestSeq;
  }

  /** Keep what happens to messages that are about to come. */
  async loading<Answer>(load: () => Promise<Answer>): Promise<Answer> {
    this.#loads += 1;
    try {
      return await load();
    } finally {
      this.#loads -= 1;
    }
  }

  /** Take a page of the messages before the first one, and return how many of it are new here. */
  putOlder(messages: readonly Message[], areAll: boolean): number {
    const older = messages.filter(({ seq }) => seq < this.#firstSeq);
    for (const message of older) {
      this.#messages.put(message);
      this.#firstSeq = message.seq < this.#firstSeq ? message.seq : this.#firstSeq;
    }
    this.#most += older.length;
    this.hasOlder = !areAll;
    return older.length;
  }

  #trim(): void {
    const firstSeq = this.#messages.keep(this.#firstSeq, this.#most);
    if (firstSeq > this.#firstSeq) {
      this.#firstSeq = firstSeq;
      this.hasOlder = true;
    }
  }
}
