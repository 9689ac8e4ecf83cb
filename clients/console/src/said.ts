/** What a person is told of a failure. */

import { ChatkitError } from "chatkit-client";

const SENTENCES: Readonly<Record<string, string>> = {
  PERMISSION_MISSING: "You may not do that.",
  ROOM_ACCESS_DENIED: "You may not see this room.",
  TOKEN_EXPIRED: "Your token has ended.",
  TOKEN_INVALID: "The suite does not take your token.",
  TOKEN_NOT_YET_VALID: "Your token is from the future: a clock is wrong.",
  USER_NOT_FOUND: "There is no such user.",
};

/** Return a sentence about what has failed. */
export function said(error: unknown): string {
  if (error instanceof ChatkitError) {
    const known = error.isConnectionLost ? "The suite can't be reached." : SENTENCES[error.reason];
    return known ?? (error.rawMessage || error.message);
  }
  return error instanceof Error ? error.message : String(error);
}
