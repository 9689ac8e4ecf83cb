/**
 * What pages read from the suite: one answer, or a list page by page.
 *
 * It is read when the component appears; what it depends on belongs into the component's key.
 */

import { ChatkitError } from "chatkit-client";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";

/** What a call has answered, as far as it has. */
export interface Answer<Value> {
  readonly value: Value | undefined;
  readonly error: unknown;
  /** Read it again. */
  readonly reload: () => void;
}

/** A list as far as it was read. */
export interface Paged<Item> {
  readonly items: readonly Item[];
  readonly isLoading: boolean;
  /** Whether there is a page after those that were read. */
  readonly hasMore: boolean;
  readonly error: unknown;
  /** Read the next page, or the one that has failed. */
  readonly more: () => void;
  /** Begin again with the first page. */
  readonly reload: () => void;
}

/** One page of a list. */
export interface PageOf<Item> {
  readonly items: readonly Item[];
  readonly nextPageToken: string;
}

/** Read something, once. */
export function useAnswer<Value>(read: (signal: AbortSignal) => Promise<Value>): Answer<Value> {
  const [turn, setTurn] = useState(0);
  const [answer, setAnswer] = useState<{ value?: Value; error?: unknown }>({});
  useEffect(() => {
    const ending = new AbortController();
    const { signal } = ending;
    void unlessOver(signal, read(signal), (value) => setAnswer({ value }), (error) => setAnswer({ error }));
    return () => ending.abort();
  }, [turn]);
  const reload = useCallback(() => setTurn((before) => before + 1), []);
  return { value: answer.value, error: answer.error, reload };
}

/** Read a list page by page, the first one at once. */
export function usePaged<Item>(
  read: (pageToken: string, signal: AbortSignal) => Promise<PageOf<Item>>,
): Paged<Item> {
  const [state, setState] = useState<State<Item>>({ items: [], nextPageToken: "", isLoading: true, error: undefined });
  const ending = useRef(new AbortController());
  const load = (pageToken: string, before: readonly Item[]): void => {
    const { signal } = ending.current;
    setState({ items: before, nextPageToken: pageToken, isLoading: true, error: undefined });
    void unlessOver(
      signal,
      read(pageToken, signal),
      ({ items, nextPageToken }) =>
        setState({ items: [...before, ...items], nextPageToken, isLoading: false, error: undefined }),
      (error) => setState({ items: before, nextPageToken: pageToken, isLoading: false, error }),
    );
  };
  const begin = (): void => {
    ending.current.abort();
    ending.current = new AbortController();
    load("", []);
  };
  useEffect(() => {
    begin();
    return () => ending.current.abort();
  }, []);
  const { items, nextPageToken, isLoading, error } = state;
  const hasMore = error === undefined ? nextPageToken !== "" : mayHelp(error);
  return { items, isLoading, hasMore, error, more: () => load(nextPageToken, items), reload: begin };
}

/** Whether the same call may succeed when it is made again. */
function mayHelp(error: unknown): boolean {
  return error instanceof ChatkitError && (error.isPassing || error.isTurnedAway);
}

interface State<Item> {
  readonly items: readonly Item[];
  readonly nextPageToken: string;
  readonly isLoading: boolean;
  readonly error: unknown;
}

/** Tell what has become of a promise, unless nobody wants to know any more. */
async function unlessOver<Value>(
  signal: AbortSignal,
  promise: Promise<Value>,
  done: (value: Value) => void,
  failed: (error: unknown) => void,
): Promise<void> {
  try {
    const value = await promise;
    if (!signal.aborted) {
      done(value);
    }
  } catch (error) {
    if (!signal.aborted) {
      failed(error);
    }
  }
}
