/** When to try again: what the suite asks for, and beyond that longer and longer, never all clients at once. */

const FIRST_MS = 250;
const MOST_MS = 8_000;
// A longer timer would fire at once.
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** The ways in which the client looks at time, so that tests can move it. */
export interface Clock {
  /** Milliseconds that never go back. */
  now(): number;
  /** Milliseconds since 1970. */
  time(): number;
  /** Wait; rejects with the signal's reason when that is aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => performance.now(),
  time: () => Date.now(),
  async sleep(ms, signal) {
    const end = performance.now() + ms;
    do {
      await timer(Math.min(Math.max(0, end - performance.now()), LONGEST_TIMER_MS), signal);
    } while (performance.now() < end);
  },
};

function timer(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const stop = (): void => {
      clearTimeout(id);
      reject(signal?.reason);
    };
    const id = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal?.addEventListener("abort", stop, { once: true });
  });
}

/** How long to wait before each attempt after a failed one. */
export class Backoff {
  #failures = 0;

  /** Begin again with the shortest wait. */
  succeeded(): void {
    this.#failures = 0;
  }

  /** Return the milliseconds to wait now: never less than was asked for, and scattered above that. */
  nextDelayMs(retryAfterMs: number | undefined): number {
    const longest = Math.min(MOST_MS, FIRST_MS * 2 ** Math.min(this.#failures, 16));
    this.#failures += 1;
    return (retryAfterMs ?? 0) + (longest * (1 + Math.random())) / 2;
  }
}
