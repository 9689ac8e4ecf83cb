/** A client of Chatkit that resumes its stream by itself, for browsers and for Node: it speaks gRPC-Web by `fetch`. */

import { createGrpcWebTransport } from "@connectrpc/connect-web";

import { baseUrlOf } from "./address.js";
import { type Client, type ClientOptions, connectOver } from "./client.js";
import type { Token } from "./tokens.js";

export { Code } from "@connectrpc/connect";

export { Client, type ClientOptions, connectOver, type SendOptions } from "./client.js";
export type { Connection, ConnectionState, StreamPart } from "./connection.js";
export type { DownloadOptions } from "./downloading.js";
export { ChatkitError, type Reason, SignedOut, TokenError } from "./errors.js";
export { type Page, pages } from "./paging.js";
export type { Progress } from "./putting.js";
export type { Clock } from "./retry.js";
export { type Says, type Sent, text, textOf } from "./sending.js";
export { Session, type SessionOptions } from "./session/session.js";
export type { Change, ChangeKind, Pending, RoomView } from "./session/views.js";
export type { Token } from "./tokens.js";
export type { UploadOptions } from "./uploading.js";

/** How the suite is reached from a browser. */
export interface WebOptions extends ClientOptions {
  /** Another function than the global one. */
  readonly fetch?: typeof globalThis.fetch;
}

/**
 * Return a client of the suite at a URL; nothing is sent before the first call.
 *
 * `token` is a token, or a function that fetches one: it is called for the first token, shortly before one expires, and
 * when one has expired.
 */
export function connect(address: string, token: Token, options: WebOptions = {}): Client {
  const { fetch } = options;
  const transport = createGrpcWebTransport({ baseUrl: baseUrlOf(address), ...(fetch === undefined ? {} : { fetch }) });
  return connectOver(transport, token, options);
}
