/** What messages say, and many of them on their way. */

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { Client as ServiceClient } from "@connectrpc/connect";

import { withRequestId } from "./calls.js";
import { ChatkitError } from "./errors.js";
import type { Message } from "./proto/chatkit/messages/v1/message_pb.js";
import {
  type MessagesService,
  type SendMessageRequest,
  SendMessageRequestSchema,
} from "./proto/chatkit/messages/v1/messages_service_pb.js";
import { type Part, PartSchema } from "./proto/chatkit/messages/v1/part_pb.js";

const ROOMS_AT_ONCE = 8;

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

/** What became of one of many messages: it is there, or `error` says why it is not, or may not be. */
export type Sent =
  | { readonly request: SendMessageRequest; readonly message: Message; readonly error?: undefined }
  | { readonly request: SendMessageRequest; readonly message?: undefined; readonly error: ChatkitError };

/** Send each message with a call, those of a room one after the other, and yield what became of each. */
export async function* sendMany(
  messages: ServiceClient<typeof MessagesService>,
  requests: Iterable<MessageInitShape<typeof SendMessageRequestSchema>>,
): AsyncGenerator<Sent, void> {
  const ofRooms = new Map<string, SendMessageRequest[]>();
  for (const one of requests) {
    const request = withRequestId(SendMessageRequestSchema, create(SendMessageRequestSchema, one));
    const ofRoom = ofRooms.get(request.roomId) ?? [];
    ofRoom.push(request);
    ofRooms.set(request.roomId, ofRoom);
  }
  const underWay = new Map<string, Promise<Sent>>();
  const enough = new AbortController();
  try {
    while (ofRooms.size > 0) {
      for (const [roomId, left] of ofRooms) {
        if (underWay.size === ROOMS_AT_ONCE) {
          break;
        }
        if (!underWay.has(roomId)) {
          underWay.set(roomId, sendOne(messages, left.shift() as SendMessageRequest, enough.signal));
        }
      }
      const sent = await Promise.race(underWay.values());
      const { roomId } = sent.request;
      underWay.delete(roomId);
      if (ofRooms.get(roomId)?.length === 0) {
        ofRooms.delete(roomId);
      }
      yield sent;
    }
  } finally {
    enough.abort();
  }
}

async function sendOne(
  messages: ServiceClient<typeof MessagesService>,
  request: SendMessageRequest,
  signal: AbortSignal,
): Promise<Sent> {
  try {
    return { request, message: stored((await messages.sendMessage(request, { signal })).message) };
  } catch (error) {
    if (!(error instanceof ChatkitError)) {
      throw error;
    }
    return { request, error };
  }
}

/** Return the message of an answer, which has one. */
export function stored(message: Message | undefined): Message {
  if (message === undefined) {
    throw new TypeError("the suite has answered without the message");
  }
  return message;
}
