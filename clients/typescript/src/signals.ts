/** Things that are aborted with others, and waited for no longer than until then. */

/**
 * Abort with any of several signals; returns what ends that.
 *
 * It must be ended: signals that live longer, such as a connection's, would keep all that was ever aborted with them.
 */
export function abortWith(controller: AbortController, ...signals: readonly (AbortSignal | undefined)[]): () => void {
  const sources = signals.filter((signal) => signal !== undefined);
  const abort = (): void => controller.abort(sources.find((signal) => signal.aborted)?.reason);
  for (const signal of sources) {
    signal.addEventListener("abort", abort);
  }
  if (sources.some((signal) => signal.aborted)) {
    abort();
  }
  return () => {
    for (const signal of sources) {
      signal.removeEventListener("abort", abort);
    }
  };
}

/** Wait for something, but no longer than until a signal is aborted: then it rejects with the signal's reason. */
export async function unlessAborted<Value>(value: Promise<Value>, signal: AbortSignal): Promise<Value> {
  let stop: () => void = () => {};
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason);
    signal.addEventListener("abort", stop);
  });
  try {
    signal.throwIfAborted();
    return await Promise.race([value, aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
