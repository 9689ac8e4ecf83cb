/** Content on its way to a URL; whoever wants to know is told how far it is. */

import { Code } from "@connectrpc/connect";

import { ChatkitError, fromHttp } from "./errors.js";

const PIECE_BYTES = 65_536;

/** Is told how many bytes have gone, and of how many. */
export type Progress = (done: number, total: number) => void;

/** Return what tells somebody how far it is, and aborts a transfer with what the function throws. */
export function telling(onProgress: Progress, ending: AbortController): Progress {
  return (done, total) => {
    try {
      onProgress(done, total);
    } catch (error) {
      ending.abort(error);
    }
  };
}

/** Content, and where it goes. */
export interface Sending {
  readonly url: string;
  readonly content: Blob;
  readonly contentType: string;
  readonly signal: AbortSignal;
  readonly onProgress: Progress | undefined;
}

/** Send content to a URL; throws ChatkitError. */
export async function put(sending: Sending): Promise<void> {
  // A browser's fetch tells no progress, and most can't send a stream.
  const send = sending.onProgress !== undefined && typeof XMLHttpRequest !== "undefined" ? byXhr : byFetch;
  let answer: Response;
  try {
    answer = await send(sending);
  } catch (cause) {
    throw new ChatkitError(Code.Unavailable, "", `the content was not sent: ${String(cause)}`, { cause });
  }
  if (!answer.ok) {
    throw fromHttp(answer.status, await answer.text());
  }
}

function byFetch({ url, content, contentType, signal, onProgress }: Sending): Promise<Response> {
  const headers = { "content-type": contentType };
  if (onProgress === undefined) {
    return fetch(url, { method: "PUT", headers, body: content, signal });
  }
  // Without the length it would be sent in pieces of which nobody knows how many there are, and buckets refuse that.
  const sized = { ...headers, "content-length": String(content.size) };
  const body = counted(content, onProgress);
  const options: RequestInit & { duplex: "half" } = { method: "PUT", headers: sized, body, signal, duplex: "half" };
  return fetch(url, options);
}

/** Return a stream of content in pieces, each of which counts when it is taken. */
function counted(content: Blob, onProgress: Progress): ReadableStream<Uint8Array> {
  let done = 0;
  return new ReadableStream({
    async pull(controller) {
      const piece = content.slice(done, done + PIECE_BYTES);
      if (piece.size === 0) {
        controller.close();
        return;
      }
      controller.enqueue(new Uint8Array(await piece.arrayBuffer()));
      done += piece.size;
      onProgress(done, content.size);
    },
  });
}

function byXhr({ url, content, contentType, signal, onProgress }: Sending): Promise<Response> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const request = new XMLHttpRequest();
    const stop = (): void => request.abort();
    signal.addEventListener("abort", stop);
    request.upload.onprogress = ({ loaded }) => onProgress?.(loaded, content.size);
    request.onload = () => resolve(new Response(request.responseText || null, { status: request.status }));
    request.onerror = () => reject(new TypeError("network error"));
    request.onabort = () => reject(signal.reason);
    request.onloadend = () => signal.removeEventListener("abort", stop);
    request.open("PUT", url);
    request.setRequestHeader("content-type", contentType);
    request.send(content);
  });
}
