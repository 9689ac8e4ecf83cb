/** The same client for Node, which speaks gRPC over HTTP/2: all calls and streams share one connection. */

import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";

import { baseUrlOf } from "./address.js";
import { type Client, type ClientOptions, connectOver } from "./client.js";
import type { Token } from "./tokens.js";

export * from "./index.js";

// Finds connections whose other end has vanished; without it a stream would be resumed on the same dead one.
const KEEPALIVE = { pingIntervalMs: 20_000, pingTimeoutMs: 10_000 };

/** Return a client of the suite at a URL, as `connect` of "chatkit-client" does; close it, for it keeps Node running. */
export function connect(address: string, token: Token, options: ClientOptions = {}): Client {
  const baseUrl = baseUrlOf(address);
  const sessionManager = new Http2SessionManager(baseUrl, KEEPALIVE);
  const transport = createGrpcTransport({ baseUrl, sessionManager });
  return connectOver(transport, token, options, () => sessionManager.abort());
}
