/** What an operator is told where the suite refuses something: what the token may not do, and which one may. */

import { ChatkitError } from "chatkit-client";

import { said } from "../said.js";

/** Return a sentence about what has failed. */
export function sentenceOf(error: unknown): string {
  return (error instanceof ChatkitError ? ofReason(error) : undefined) ?? said(error);
}

function ofReason({ reason, metadata }: ChatkitError): string | undefined {
  switch (reason) {
    case "SUPERUSER_REQUIRED":
      return "This is for superusers only: sign in with a superuser's token to see or do it.";
    case "PERMISSION_MISSING":
      return `None of your roles grants the permission ${metadata["permission"] ?? ""}, which this needs.`;
    case "SUBJECT_MISMATCH":
      return "This is another user's: sign in as that user, or with a superuser's token.";
    case "SUBJECT_REQUIRED":
      return "Your token names no user: say for whom this is done.";
    case "ROOM_ACCESS_DENIED":
      return "You are no member of this room, or there is no such room.";
    case "ROOM_NOT_FOUND":
      return "There is no such room.";
    case "ROOM_DELETED":
      return "The room was deleted.";
    case "REMOVED_FROM_ROOM":
      return "You were removed from the room.";
    case "USER_NOT_FOUND":
      return `There is no such user${named(metadata["user_ids"])}.`;
    case "USER_ALREADY_EXISTS":
      return "There is a user with this id.";
    case "ROOM_ALREADY_EXISTS":
      return "There is a room with this id.";
    case "ROLE_NOT_FOUND":
      return "There is no such role, or it counts elsewhere: everywhere, or in rooms.";
    case "TOKEN_EXPIRED":
      return "Your token has expired: sign in again.";
    default:
      return undefined;
  }
}

/** Return the ids of a JSON array behind a colon. */
function named(ids: string | undefined): string {
  return ids === undefined ? "" : `: ${ids.replace(/^\[(.*)\]$/, "$1")}`;
}
