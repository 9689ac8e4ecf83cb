/** What a message says. */

import { create, type MessageInitShape } from "@bufbuild/protobuf";

import type { Message } from "./proto/chatkit/messages/v1/message_pb.js";
import { type Part, PartSchema } from "./proto/chatkit/messages/v1/part_pb.js";

/** A text, or the parts of a message. */
export type Says = string | readonly MessageInitShape<typeof PartSchema>[];

/** Return a part of a message that is plain text. */
export function text(content: string): Part {
  return create(PartSchema, { contentType: "text/plain", value: { case: "content", value: content } });
}

/** Return the parts of a message that says this. */
export function partsOf(says: Says): MessageInitShape<typeof PartSchema>[] {
  return typeof says === "string" ? [text(says)] : [...says];
}

/** Return what a message says as plain text: its parts of the type text/plain, a line each. */
export function textOf(message: Message): string {
  const texts = message.parts.flatMap(({ contentType, value }) =>
    contentType === "text/plain" && value.case === "content" ? [value.value] : [],
  );
  return texts.join("\n");
}
