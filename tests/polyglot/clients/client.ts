// What a client in TypeScript looks like; it is type-checked against the generated code.
import { create, toBinary } from "@bufbuild/protobuf";
import { type RoomEvent } from "./gen/chatkit/messages/v1/room_event_pb.js";
import { SendMessageRequestSchema, MessagesService } from "./gen/chatkit/messages/v1/messages_service_pb.js";
import { UsersService } from "./gen/chatkit/users/v1/users_service_pb.js";

const request = create(SendMessageRequestSchema, {
  roomId: "lobby",
  requestId: "1",
  parts: [{ contentType: "text/plain", value: { case: "content", value: "hello" } }],
});

export const bytes: Uint8Array = toBinary(SendMessageRequestSchema, request);
export const streams: "server_streaming" = MessagesService.method.subscribeRoom.methodKind;
export const path: string = `${UsersService.typeName}/${UsersService.method.getUser.name}`;
export const seq = (event: RoomEvent): bigint => event.seq;
