/**
 * What the suite says when it refuses a call or ends a stream: a code, a reason to branch on, and facts.
 *
 * What comes without a reason is the connection's own failure. What an error means for whoever may try again is decided
 * here and nowhere else.
 */

import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import type { Duration } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";

import { type ErrorReason, ErrorReasonSchema } from "./proto/chatkit/contract/v1/error_reason_pb.js";
import type { StreamClosed } from "./proto/chatkit/contract/v1/stream_pb.js";
import type { Closed } from "./proto/chatkit/messages/v1/room_event_pb.js";
import { ErrorInfoSchema, RetryInfoSchema } from "./proto/google/rpc/error_details_pb.js";

const DOMAIN = "chatkit";
// A lost connection shows itself in any of these. A service uses some of them too, and then it gives a reason.
const CONNECTION_LOST: ReadonlySet<Code> = new Set([
  Code.Unavailable,
  Code.Internal,
  Code.Unknown,
  Code.Canceled,
  Code.Aborted,
]);
// After any other ending of a stream, another one would end in the same way.
const RESUMABLE: ReadonlySet<Code> = new Set([...CONNECTION_LOST, Code.ResourceExhausted, Code.DeadlineExceeded]);

const OF_HTTP: ReadonlyMap<number, Code> = new Map([
  [400, Code.InvalidArgument],
  [401, Code.PermissionDenied],
  [403, Code.PermissionDenied],
  [404, Code.NotFound],
  [409, Code.FailedPrecondition],
  [412, Code.FailedPrecondition],
  [413, Code.ResourceExhausted],
]);

/** The reasons that this release knows, and the empty one of a connection's failure. */
export type Reason = Exclude<keyof typeof ErrorReason, `ERROR_REASON_${string}`> | "";

export interface ErrorFacts {
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly cause?: unknown;
}

/** A call that was refused, or a stream that ended. */
export class ChatkitError extends Error {
  override readonly name: string = "ChatkitError";
  readonly code: Code;
  /** What the suite says to a person who develops, without the reason. */
  readonly rawMessage: string;
  /** A Reason, or the text of one that only a later release knows; empty when the suite itself said nothing. */
  readonly reason: Reason | (string & {});
  /** The facts that the contract names beside the reason. */
  readonly metadata: Readonly<Record<string, string>>;
  /** How long to wait before the next attempt, when the suite names it. */
  readonly retryAfterMs: number | undefined;

  constructor(code: Code, reason: string, message: string, facts: ErrorFacts = {}) {
    const name = reason || Code[code];
    super(message ? `${name}: ${message}` : name, facts.cause === undefined ? {} : { cause: facts.cause });
    this.code = code;
    this.rawMessage = message;
    this.reason = reason;
    this.metadata = facts.metadata ?? {};
    this.retryAfterMs = facts.retryAfterMs;
  }

  /** Return the details of a kind that came with the error, for example of BadRequestSchema. */
  details<Desc extends DescMessage>(schema: Desc): MessageShape<Desc>[] {
    return this.cause instanceof ConnectError ? this.cause.findDetails(schema) : [];
  }

  /** Whether the connection is gone, or nothing is there to connect to: the suite itself said nothing. */
  get isConnectionLost(): boolean {
    return this.reason === "" && CONNECTION_LOST.has(this.code);
  }

  /** Whether the same call may succeed later: the suite is away or overloaded, or the connection was lost. */
  get isPassing(): boolean {
    return this.code === Code.Unavailable || this.code === Code.DeadlineExceeded || this.isConnectionLost;
  }

  /** Whether the call was refused before it did anything and is welcome again: a rate, a lost race, a wrong clock, no token. */
  get isTurnedAway(): boolean {
    const isOfThese = this.code === Code.ResourceExhausted || this.code === Code.Aborted;
    return this.retryAfterMs !== undefined && (isOfThese || this.reason === "TOKEN_NOT_YET_VALID");
  }

  /** Whether it makes sense to open another stream after this ending of one. */
  get isResumable(): boolean {
    return RESUMABLE.has(this.code) || this.isTurnedAway;
  }

  /** Whether the token was good once, and is no longer. */
  get wantsAnotherToken(): boolean {
    const isRevoked = this.reason === "TOKEN_INVALID" && this.retryAfterMs !== undefined;
    return this.reason === "TOKEN_EXPIRED" || isRevoked;
  }
}

/** What remains of an error when it goes to another tab. */
export interface PlainError extends ErrorFacts {
  readonly code: Code;
  readonly reason: string;
  readonly message: string;
}

/** Return an error as what can be copied. */
export function toPlain({ code, reason, rawMessage: message, metadata, retryAfterMs }: ChatkitError): PlainError {
  return { code, reason, message, metadata, retryAfterMs };
}

/** Return what was copied as an error again. */
export function fromPlain({ code, reason, message, ...facts }: PlainError): ChatkitError {
  return new ChatkitError(code, reason, message, facts);
}

/** The function that fetches tokens has failed; its own error is the cause. */
export class TokenError extends ChatkitError {
  override readonly name = "TokenError";

  constructor(cause: unknown) {
    super(Code.Unavailable, "", `there is no token: ${String(cause)}`, { cause });
  }

  /** It is not: nothing was sent. */
  override get isConnectionLost(): boolean {
    return false;
  }

  /** It is as if: the call did nothing. */
  override get isTurnedAway(): boolean {
    return true;
  }
}

/** Thrown by a function that fetches tokens, when there will be none any more: nothing is tried again. */
export class SignedOut extends ChatkitError {
  override readonly name = "SignedOut";

  constructor(message = "") {
    super(Code.Unauthenticated, "", message);
  }
}

/** Decode what a call ended with. */
export function fromCall(thrown: unknown): ChatkitError {
  if (thrown instanceof ChatkitError) {
    return thrown;
  }
  const error = ConnectError.from(thrown);
  const info = error.findDetails(ErrorInfoSchema).find((detail) => detail.domain === DOMAIN);
  if (info === undefined) {
    return new ChatkitError(error.code, "", error.rawMessage, { cause: error });
  }
  const [retry] = error.findDetails(RetryInfoSchema);
  return new ChatkitError(error.code, info.reason, error.rawMessage, {
    metadata: info.metadata,
    retryAfterMs: milliseconds(retry?.retryDelay),
    cause: error,
  });
}

/** Decode an answer in HTTP, which is the suite's own or that of a bucket. */
export function fromHttp(status: number, body: string): ChatkitError {
  const code = OF_HTTP.get(status) ?? Code.Unavailable;
  let said: RpcStatus;
  try {
    said = JSON.parse(body) as RpcStatus;
  } catch {
    return new ChatkitError(code, "", `HTTP ${status}`);
  }
  const info = said.details?.find(({ domain }) => domain === DOMAIN);
  const delay = said.details?.find(({ retryDelay }) => retryDelay !== undefined)?.retryDelay;
  const retryAfterMs = delay === undefined ? undefined : Number.parseFloat(delay) * 1_000;
  const facts = { metadata: info?.metadata, retryAfterMs };
  return new ChatkitError(codeOf(said.code ?? code), info?.reason ?? "", said.message ?? `HTTP ${status}`, facts);
}

/** What google.rpc.Status is in JSON. */
interface RpcStatus {
  readonly code?: number;
  readonly message?: string;
  readonly details?: readonly {
    readonly domain?: string;
    readonly reason?: string;
    readonly metadata?: Readonly<Record<string, string>>;
    readonly retryDelay?: string;
  }[];
}

function codeOf(code: number): Code {
  return code in Code ? (code as Code) : Code.Unknown;
}

/** Decode a stream's last event. */
export function fromClosed(closed: Closed | StreamClosed, retryAfterMs = milliseconds(closed.retryAfter)): ChatkitError {
  return new ChatkitError(codeOf(closed.code), reasonOf(closed.reason), "the stream was closed", { retryAfterMs });
}

function reasonOf(reason: ErrorReason): string {
  return ErrorReasonSchema.values.find((value) => value.number === reason)?.name ?? String(reason);
}

function milliseconds(duration: Duration | undefined): number | undefined {
  return duration && Number(duration.seconds) * 1_000 + duration.nanos / 1e6;
}
