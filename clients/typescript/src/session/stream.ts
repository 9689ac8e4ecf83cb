/** One stream of a device, from its opening to its ending; long silence is an ending too. */

import { Code } from "@connectrpc/connect";

import type { Calls } from "../calls.js";
import { ChatkitError } from "../errors.js";
import type { SyncEvent } from "../proto/chatkit/sync/v1/sync_event_pb.js";
import { type SubscribeRequest, SyncService } from "../proto/chatkit/sync/v1/sync_service_pb.js";
import type { Clock } from "../retry.js";

const HEARTBEAT_MS = 15_000;
// Two heartbeats, and what a slow network needs.
const DEAD_MS = 2 * HEARTBEAT_MS + 5_000;

/**
 * Yield events until the stream ends; throws ChatkitError unless it ends with OK.
 *
 * It is ended by `ending`, and ends that itself when nothing was heard for too long.
 */
export async function* eventsOf(
  calls: Calls,
  request: SubscribeRequest,
  token: string,
  ending: AbortController,
): AsyncGenerator<SyncEvent> {
  const silence = new Silence(calls.clock);
  void silence.watch(ending);
  const headers = { authorization: `Bearer ${token}` };
  try {
    const answers = await calls.stream(SyncService.method.subscribe, ending.signal, undefined, headers, once(request));
    for await (const frame of answers.message) {
      silence.end();
      yield* frame.events;
    }
  } finally {
    ending.abort(new ChatkitError(Code.Canceled, "", "the stream has ended"));
  }
}

/** Since when nothing was heard. */
class Silence {
  readonly #clock: Clock;
  #since: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#since = clock.now();
  }

  end(): void {
    this.#since = this.#clock.now();
  }

  async watch(ending: AbortController): Promise<void> {
    try {
      for (let left = DEAD_MS; left > 0; left = this.#since + DEAD_MS - this.#clock.now()) {
        await this.#clock.sleep(left, ending.signal);
      }
    } catch {
      // The stream has ended.
      return;
    }
    ending.abort(new ChatkitError(Code.Unavailable, "", `nothing was heard for ${DEAD_MS / 1_000} seconds`));
  }
}

async function* once<Item>(item: Item): AsyncGenerator<Item> {
  yield item;
}
