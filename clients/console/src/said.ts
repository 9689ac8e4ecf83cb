/** What a person is told of a failure. */

import { ChatkitError } from "chatkit-client";

/** Return a sentence about what has failed. */
export function said(error: unknown): string {
  if (error instanceof ChatkitError) {
    return error.isConnectionLost ? "The suite can't be reached." : error.rawMessage || error.message;
  }
  return error instanceof Error ? error.message : String(error);
}
