/** Calls of one user: with the user's token, and repeated where repeating is safe. */

import {
  clone,
  create,
  type DescMessage,
  type DescMethod,
  type DescMethodStreaming,
  type DescMethodUnary,
  getOption,
  type Message,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import { Code, type StreamResponse, type Transport, type UnaryResponse } from "@connectrpc/connect";

import { ChatkitError, fromCall } from "./errors.js";
import { method as policy } from "./proto/chatkit/contract/v1/method_policy_pb.js";
import { Backoff, type Clock } from "./retry.js";
import { abortWith } from "./signals.js";
import { type Token, Tokens } from "./tokens.js";

const ATTEMPT_MS = 12_000;
const DEADLINE_MS = 30_000;

/** A connection, which several users may share. */
export class Line {
  /** How often calls were turned away and waited, by reason. */
  readonly turnedAway = new Map<string, number>();
  readonly #closing = new AbortController();
  readonly #disconnect: () => void;

  constructor(
    readonly transport: Transport,
    readonly clock: Clock,
    disconnect: () => void = () => {},
  ) {
    this.#disconnect = disconnect;
  }

  /** Aborted when the connection is closed. */
  get closed(): AbortSignal {
    return this.#closing.signal;
  }

  /** End every call and every stream. */
  close(): void {
    this.#closing.abort(new ChatkitError(Code.Canceled, "", "the client was closed"));
    this.#disconnect();
  }
}

/** Calls of one user, as a transport for Connect's clients of the contract's services. */
export class Calls implements Transport {
  readonly clock: Clock;
  readonly tokens: Tokens;

  constructor(
    readonly line: Line,
    token: Token,
  ) {
    this.clock = line.clock;
    this.tokens = new Tokens(token, line.clock);
  }

  /**
   * Call a method, and return its response; throws ChatkitError.
   *
   * What fails in passing is repeated within `deadlineMs` (30 s), if the contract says that the method may be repeated. A
   * call that was turned away for its rate is repeated in any case.
   */
  async unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    signal: AbortSignal | undefined,
    deadlineMs: number | undefined,
    headers: HeadersInit | undefined,
    input: MessageInitShape<I>,
  ): Promise<UnaryResponse<I, O>> {
    const request = withRequestId(method.input, create(method.input, input));
    const ending = new AbortController();
    const letGo = abortWith(ending, signal, this.line.closed);
    const attempt = (token: string, ms: number): Promise<UnaryResponse<I, O>> =>
      this.line.transport.unary(
        method,
        ending.signal,
        Math.ceil(Math.min(ms, ATTEMPT_MS)),
        withToken(headers, token),
        request as MessageInitShape<I>,
      );
    try {
      return await this.repeat(attempt, deadlineMs ?? DEADLINE_MS, isRepeatable(method), ending.signal);
    } finally {
      letGo();
    }
  }

  /** Open a stream, once; it throws ChatkitError. */
  async stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    headers: HeadersInit | undefined,
    input: AsyncIterable<MessageInitShape<I>>,
  ): Promise<StreamResponse<I, O>> {
    const ending = new AbortController();
    const letGo = abortWith(ending, signal, this.line.closed);
    try {
      const token = new Headers(headers).get("authorization") ?? (await this.tokens.current());
      const sent = withToken(headers, token);
      const response = await this.line.transport.stream(method, ending.signal, timeoutMs, sent, input);
      return { ...response, message: decoded(response.message, ending.signal, letGo) };
    } catch (error) {
      letGo();
      throw endedBy(ending.signal, error);
    }
  }

  /** Return what an attempt returns, made again as long as that may help; throws ChatkitError. */
  async repeat<Answer>(
    attempt: (token: string, ms: number) => Promise<Answer>,
    deadlineMs: number,
    mayRepeat: boolean,
    ending: AbortSignal,
  ): Promise<Answer> {
    const end = this.clock.now() + deadlineMs;
    const backoff = new Backoff();
    for (;;) {
      try {
        return await this.#attempt(attempt, end);
      } catch (thrown) {
        const error = endedBy(ending, thrown);
        if (ending.aborted || !(error.isTurnedAway || (mayRepeat && error.isPassing))) {
          throw error;
        }
        if (error.isTurnedAway) {
          const reason = error.reason || error.name;
          this.line.turnedAway.set(reason, (this.line.turnedAway.get(reason) ?? 0) + 1);
        }
        const delay = backoff.nextDelayMs(error.retryAfterMs);
        if (this.clock.now() + delay >= end) {
          throw error;
        }
        await this.clock.sleep(delay, ending);
      }
    }
  }

  async #attempt<Answer>(attempt: (token: string, ms: number) => Promise<Answer>, end: number): Promise<Answer> {
    const token = await this.tokens.current();
    const left = (): number => Math.max(1, end - this.clock.now());
    try {
      const answer = await attempt(token, left());
      this.tokens.accept(token);
      return answer;
    } catch (thrown) {
      if (!this.tokens.canReplace(token, fromCall(thrown))) {
        throw thrown;
      }
    }
    return attempt(await this.tokens.renewed(token), left());
  }
}

/** Return an id for a call that has none, which all its attempts share. */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Decode what a call or a stream has ended with, which is why it was aborted, if it was. */
function endedBy(signal: AbortSignal, thrown: unknown): ChatkitError {
  if (!signal.aborted) {
    return fromCall(thrown);
  }
  const { reason } = signal;
  return reason instanceof ChatkitError
    ? reason
    : new ChatkitError(Code.Canceled, "", "the call was aborted", { cause: reason });
}

/** Tell whether a call may be repeated without doing its work twice. */
function isRepeatable(method: DescMethod): boolean {
  return getOption(method, policy).repeatable;
}

function withToken(headers: HeadersInit | undefined, token: string): Headers {
  const sent = new Headers(headers);
  sent.set("authorization", token.startsWith("Bearer ") ? token : `Bearer ${token}`);
  return sent;
}

/** Return a request with an id, which is a new one where it has none; one that has no such field as it is. */
export function withRequestId<Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>): MessageShape<Desc> {
  const field = schema.field["requestId"];
  const named = message as Message & { requestId?: string };
  if (field === undefined || named.requestId) {
    return message;
  }
  return Object.assign(clone(schema, message), { requestId: newId() });
}

async function* decoded<Answer>(
  answers: AsyncIterable<Answer>,
  ending: AbortSignal,
  letGo: () => void,
): AsyncGenerator<Answer> {
  try {
    yield* answers;
  } catch (error) {
    throw endedBy(ending, error);
  } finally {
    letGo();
  }
}
