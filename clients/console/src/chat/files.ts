/** Where attached files are: their URLs expire, so they are asked for when they are shown, many at once. */

import type { Client } from "chatkit-client";
import type { File } from "chatkit-client/types";
import { useEffect, useState } from "preact/hooks";

const AT_ONCE = 100;
// Those that come to be shown within this time are asked for together.
const GATHER_MS = 30;
// So much earlier than they expire they are asked for again.
const EARLY_MS = 60_000;

/** The files of a client, as they were told last. */
export class Files {
  readonly #client: Client;
  readonly #known = new Map<string, Promise<File | undefined>>();
  #wanted = new Map<string, (file: File | undefined) => void>();

  constructor(client: Client) {
    this.#client = client;
  }

  /** Return a file with a URL that works; undefined where it may not be read. */
  get(fileId: string): Promise<File | undefined> {
    const known = this.#known.get(fileId);
    if (known !== undefined) {
      return known;
    }
    const asked = new Promise<File | undefined>((resolve) => {
      if (this.#wanted.size === 0) {
        setTimeout(() => void this.#ask(), GATHER_MS);
      }
      this.#wanted.set(fileId, resolve);
    });
    this.#known.set(fileId, asked);
    void asked.then((file) => {
      // What was refused may be there the next time.
      setTimeout(() => this.#known.delete(fileId), file === undefined ? 0 : leftMs(file));
    });
    return asked;
  }

  /** Ask for a file again when it is wanted the next time. */
  forget(fileId: string): void {
    this.#known.delete(fileId);
  }

  async #ask(): Promise<void> {
    const wanted = [...this.#wanted];
    this.#wanted = new Map();
    for (let start = 0; start < wanted.length; start += AT_ONCE) {
      const asked = wanted.slice(start, start + AT_ONCE);
      const files = await this.#read(asked.map(([fileId]) => fileId));
      for (const [fileId, resolve] of asked) {
        resolve(files.find(({ id }) => id === fileId));
      }
    }
  }

  async #read(fileIds: string[]): Promise<readonly File[]> {
    try {
      return (await this.#client.files.batchGetFiles({ fileIds })).files;
    } catch {
      return [];
    }
  }
}

/** Return a file with a URL that works: undefined while it is asked for, null where it can't be shown. */
export function useFile(files: Files, fileId: string): File | null | undefined {
  const [file, setFile] = useState<File | null>();
  useEffect(() => {
    let isShown = true;
    void files.get(fileId).then((found) => {
      if (isShown) {
        setFile(found ?? null);
      }
    });
    return () => {
      isShown = false;
    };
  }, [files, fileId]);
  return file;
}

function leftMs({ downloadExpireTime }: File): number {
  const left = Number(downloadExpireTime?.seconds ?? 0n) * 1_000 - Date.now() - EARLY_MS;
  // setTimeout knows no longer times.
  return Math.min(Math.max(left, 0), 2 ** 31 - 1);
}
