/** What is being written in a room, and the files that are to go with it. */

import type { Client } from "chatkit-client";
import { useRef, useState } from "preact/hooks";

import { said } from "../said.js";

/** A file that goes with the next message. */
export interface Attachment {
  readonly id: number;
  readonly file: File;
  /** Undefined while the content is on its way. */
  readonly fileId: string | undefined;
  /** Undefined unless it was refused. */
  readonly failure: string | undefined;
}

/** The files of a draft. */
export interface Attachments {
  readonly all: readonly Attachment[];
  add(files: Iterable<File>): void;
  remove(id: number): void;
  clear(): void;
}

/** Return the files that are to go with the next message; their content is sent while that is written. */
export function useAttachments(client: Client, roomId: string): Attachments {
  const [all, setAll] = useState<readonly Attachment[]>([]);
  const count = useRef(0);
  const replace = (id: number, change: Partial<Attachment>): void => {
    setAll((before) => before.map((one) => (one.id === id ? { ...one, ...change } : one)));
  };
  const add = (files: Iterable<File>): void => {
    for (const file of files) {
      count.current += 1;
      const id = count.current;
      setAll((before) => [...before, { id, file, fileId: undefined, failure: undefined }]);
      client.upload(roomId, file).then(
        (stored) => {
          replace(id, { fileId: stored.id });
        },
        (error: unknown) => {
          replace(id, { failure: said(error) });
        },
      );
    }
  };
  return {
    all,
    add,
    remove: (id) => {
      setAll((before) => before.filter((one) => one.id !== id));
    },
    clear: () => {
      setAll([]);
    },
  };
}
