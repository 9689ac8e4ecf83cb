/** Those who want to be told of something as it happens: functions, and iterators with a bound on what waits. */

/** What a slow reader is given in place of what it has missed. */
interface Bound<Item> {
  readonly most: number;
  /** Told in place of all that waits; without it the oldest are dropped. */
  readonly missed?: Item;
  readonly isLast: (item: Item) => boolean;
}

/** Everyone who is told. */
export class Listeners<Item> {
  readonly #callbacks = new Set<(item: Item) => void>();

  /** Call a function with every item from the next one on; returns what ends that. */
  add(callback: (item: Item) => void): () => void {
    // The same function may be added twice.
    const own = (item: Item): void => callback(item);
    this.#callbacks.add(own);
    return () => void this.#callbacks.delete(own);
  }

  /** Tell everyone, also when a function fails. */
  tell(item: Item): void {
    for (const callback of [...this.#callbacks]) {
      try {
        callback(item);
      } catch (error) {
        console.error("chatkit: a function that wanted to be told has failed", error);
      }
    }
  }

  /** Iterate over the first items and those that are told from now on, up to the last one. */
  items(first: readonly Item[], bound: Bound<Item>): AsyncIterableIterator<Item> {
    const items = new Items(first, bound);
    items.forget = this.add((item) => items.put(item));
    return items;
  }
}

class Items<Item> implements AsyncIterableIterator<Item> {
  forget: () => void = () => {};
  #waiting: Item[];
  #readers: ((result: IteratorResult<Item>) => void)[] = [];
  #isDone = false;

  constructor(
    first: readonly Item[],
    readonly bound: Bound<Item>,
  ) {
    this.#waiting = [...first];
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  put(item: Item): void {
    const reader = this.#readers.shift();
    if (reader !== undefined) {
      reader(this.#result(item));
      return;
    }
    if (this.#waiting.length >= this.bound.most) {
      this.#waiting = this.bound.missed === undefined ? this.#waiting.slice(1) : [this.bound.missed];
    }
    this.#waiting.push(item);
  }

  next(): Promise<IteratorResult<Item>> {
    const item = this.#waiting.shift();
    if (this.#isDone) {
      return Promise.resolve({ done: true, value: undefined });
    }
    return item === undefined
      ? new Promise((resolve) => this.#readers.push(resolve))
      : Promise.resolve(this.#result(item));
  }

  return(): Promise<IteratorResult<Item>> {
    this.#end();
    return Promise.resolve({ done: true, value: undefined });
  }

  #result(item: Item): IteratorResult<Item> {
    if (this.bound.isLast(item)) {
      this.#end();
    }
    return { done: false, value: item };
  }

  #end(): void {
    this.#isDone = true;
    this.forget();
    for (const reader of this.#readers.splice(0)) {
      reader({ done: true, value: undefined });
    }
  }
}
