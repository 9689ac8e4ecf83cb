/** A user's token: given once, or fetched anew shortly before it expires, and at the latest when it has. */

import { type ChatkitError, SignedOut, TokenError } from "./errors.js";
import { Backoff, type Clock } from "./retry.js";

/** A token, or a function that fetches one. */
export type Token = string | (() => string | Promise<string>);
type Fetch = Exclude<Token, string>;

// A token is replaced when this much of its life is left, and never earlier than so long before its end.
const LEFT_OF_LIFE = 0.2;
const MOST_LEFT_MS = 30_000;
// How long the function that fetches tokens may take.
const FETCH_MS = 15_000;

/** The token in use. */
export class Tokens {
  readonly #clock: Clock;
  readonly #fetch: Fetch | undefined;
  readonly #backoff = new Backoff();
  #token: string | undefined;
  // The one that was taken last.
  #accepted: string | undefined;
  // When the token is replaced before it expires; undefined when that is not known.
  #renewTime: number | undefined;
  #fetching: Promise<void> | undefined;

  constructor(token: Token, clock: Clock) {
    this.#clock = clock;
    this.#fetch = typeof token === "string" ? undefined : token;
    this.#token = typeof token === "string" ? token : undefined;
  }

  /** Whether an expired token can be replaced. */
  get canRenew(): boolean {
    return this.#fetch !== undefined;
  }

  /** Learn that the suite has taken a token: when it refuses that as invalid later, the token's key is gone. */
  accept(token: string | undefined): void {
    this.#accepted = token;
  }

  /** Whether another token may do what this one could not, because it was good once and is no longer. */
  canReplace(token: string | undefined, error: ChatkitError): boolean {
    const isRevoked = error.reason === "TOKEN_INVALID" && token !== undefined && token === this.#accepted;
    return this.canRenew && (error.wantsAnotherToken || isRevoked);
  }

  /** The token that was fetched last; undefined before the first. */
  get latest(): string | undefined {
    return this.#token;
  }

  /**
   * Return the token, fetching the first one, and the next one when this one is about to expire.
   *
   * Throws TokenError when there is none, and SignedOut.
   */
  async current(): Promise<string> {
    if (this.#token !== undefined && this.#renewTime !== undefined && this.#clock.time() >= this.#renewTime) {
      try {
        return await this.renewed(this.#token);
      } catch (error) {
        // Whatever keeps the next one from being fetched, this one may be good for a while.
        if (!(error instanceof TokenError)) {
          throw error;
        }
      }
    }
    return this.#token ?? this.renewed(undefined);
  }

  /**
   * Return another token than the expired one; calls that ask at once share one fetch.
   *
   * Throws TokenError when the function that fetches tokens fails, and SignedOut when it says so.
   */
  async renewed(expired: string | undefined): Promise<string> {
    if (this.#fetch !== undefined && this.#token === expired) {
      this.#fetching ??= this.#replace(this.#fetch).finally(() => {
        this.#fetching = undefined;
      });
      await this.#fetching;
    }
    if (this.#token === undefined) {
      throw new Error("there is no token");
    }
    return this.#token;
  }

  /**
   * Renew the token before each of its ends, as long as these are known: a stream itself never asks for one.
   *
   * `use` is called after each renewal, and after each that has failed. Rejects when the signal is aborted.
   */
  async keep(use: () => Promise<void>, signal: AbortSignal): Promise<void> {
    while (this.#renewTime !== undefined) {
      await this.#clock.sleep(Math.max(0, this.#renewTime - this.#clock.time()), signal);
      await this.current();
      await use();
    }
  }

  async #replace(fetch: Fetch): Promise<void> {
    const late = new AbortController();
    try {
      this.#token = await Promise.race([fetch(), this.#tooLate(late.signal)]);
    } catch (error) {
      if (error instanceof SignedOut) {
        throw error;
      }
      // It is the application's function, and may fail in any way; it is not asked with every call.
      this.#renewTime = this.#clock.time() + this.#backoff.nextDelayMs(undefined);
      throw new TokenError(error);
    } finally {
      late.abort();
    }
    this.#backoff.succeeded();
    this.#renewTime = renewTimeOf(this.#token, this.#clock.time());
  }

  async #tooLate(signal: AbortSignal): Promise<never> {
    await this.#clock.sleep(FETCH_MS, signal);
    throw new Error(`it took more than ${FETCH_MS / 1_000} s`);
  }
}

function renewTimeOf(token: string, now: number): number | undefined {
  const expireTime = expireTimeOf(token);
  // A clock that is wrong by a token's life is no reason to fetch one for every call.
  if (expireTime === undefined || expireTime <= now) {
    return undefined;
  }
  return expireTime - Math.min(MOST_LEFT_MS, (expireTime - now) * LEFT_OF_LIFE);
}

/** Read when a token expires; undefined when it does not say so. Nothing is verified: that is the server's business. */
function expireTimeOf(token: string): number | undefined {
  const payload = token.split(".")[1] ?? "";
  try {
    const claims: unknown = JSON.parse(atob(payload.replaceAll("-", "+").replaceAll("_", "/")));
    const expires = (claims as { exp?: unknown } | null)?.exp;
    return typeof expires === "number" ? expires * 1_000 : undefined;
  } catch {
    return undefined;
  }
}
