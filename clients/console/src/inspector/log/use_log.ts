/** A room's log that is kept current as long as it is shown. */

import { ChatkitError, type Client } from "chatkit-client";
import { useEffect, useRef, useState } from "preact/hooks";

import { follow, type Status } from "./follow.js";
import { firstSeq, hasOlder, type Log, take, takeOlder, UNKNOWN, withoutGone } from "./log.js";

const PAGE_ROWS = 100n;

/** What is shown of a log. */
export interface LogView {
  readonly log: Log;
  readonly status: Status;
  readonly isLoading: boolean;
  /** Why the last page could not be read. */
  readonly error: unknown;
  /** Read the page before the oldest row. */
  readonly loadOlder: () => void;
}

/** Follow a room, from the end of its log and the page before it; the component's key must be the room. */
export function useLog(client: Client, roomId: string): LogView {
  const [log, setLog] = useState(UNKNOWN);
  const [status, setStatus] = useState<Status>({ status: "connecting" });
  const [page, setPage] = useState<{ isLoading: boolean; error?: unknown }>({ isLoading: false });
  const room = useRef<RoomLog | undefined>(undefined);
  useEffect(() => {
    const shown = new RoomLog(client, roomId, { log: setLog, status: setStatus, page: setPage });
    room.current = shown;
    shown.begin();
    return () => shown.end();
  }, []);
  const loadOlder = (): void => void room.current?.loadOlder();
  return { log, status, isLoading: page.isLoading, error: page.error, loadOlder };
}

interface Tell {
  log(log: Log): void;
  status(status: Status): void;
  page(page: { isLoading: boolean; error?: unknown }): void;
}

class RoomLog {
  readonly #client: Client;
  readonly #roomId: string;
  readonly #tell: Tell;
  readonly #ending = new AbortController();
  #log = UNKNOWN;
  #isLoading = false;

  constructor(client: Client, roomId: string, tell: Tell) {
    this.#client = client;
    this.#roomId = roomId;
    this.#tell = tell;
  }

  begin(): void {
    const follower = {
      position: () => this.#log.position,
      take: this.#take.bind(this),
      become: (status: Status) => this.#unlessOver(() => this.#tell.status(status)),
    };
    void follow(this.#client.messages, this.#roomId, follower, this.#ending.signal);
  }

  end(): void {
    this.#ending.abort();
  }

  async loadOlder(): Promise<void> {
    const { position } = this.#log;
    if (this.#isLoading || position === undefined || !hasOlder(this.#log)) {
      return;
    }
    const { openings } = this.#log;
    this.#loads(true);
    try {
      await this.#readOlder(position.epoch);
      this.#loads(false);
    } catch (error) {
      this.#loads(false, error);
    }
    if (openings !== this.#log.openings && this.#log.rows.length === 0) {
      // It has begun anew meanwhile, and the page was of what was before.
      await this.loadOlder();
    }
  }

  #take(events: Parameters<Parameters<typeof follow>[2]["take"]>[0]): void {
    const now = new Date();
    const before = this.#log;
    let log = before;
    try {
      for (const event of events) {
        log = take(log, event, now);
      }
    } finally {
      this.#become(log);
    }
    // It has begun anew, and shows nothing yet.
    if (log.openings !== before.openings && log.rows.length === 0) {
      void this.loadOlder();
    }
  }

  /** Read the page that ends right before the oldest row: a log has no other way back. */
  async #readOlder(epoch: string): Promise<void> {
    const { signal } = this.#ending;
    const [first, oldest] = [firstSeq(this.#log), this.#log.oldestSeq];
    const seq = [first - 1n - PAGE_ROWS, oldest - 1n, 0n].reduce((one, other) => (one > other ? one : other));
    const pageSize = Number(first - 1n - seq);
    try {
      const after = { epoch, seq };
      const answer = await this.#client.messages.listRoomEvents({ roomId: this.#roomId, after, pageSize }, { signal });
      this.#become(takeOlder(this.#log, answer.events, epoch, answer.oldestSeq));
    } catch (error) {
      const { metadata, reason } = error as ChatkitError;
      if (!(error instanceof ChatkitError) || reason !== "HISTORY_GONE") {
        throw error;
      }
      // Retention has been there in the meantime; the next page begins later.
      this.#become(withoutGone(this.#log, BigInt(metadata["oldest_seq"] ?? first)));
    }
  }

  #loads(isLoading: boolean, error?: unknown): void {
    this.#isLoading = isLoading;
    this.#unlessOver(() => this.#tell.page({ isLoading, error }));
  }

  #become(log: Log): void {
    this.#log = log;
    this.#unlessOver(() => this.#tell.log(log));
  }

  #unlessOver(tell: () => void): void {
    if (!this.#ending.signal.aborted) {
      tell();
    }
  }
}
