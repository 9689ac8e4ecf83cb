/** A connection to the suite: its services, and the session of a device. One Client is one user. */

import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Client as ServiceClient, createClient, type Transport } from "@connectrpc/connect";

import { Calls, Line, newId } from "./calls.js";
import { download, type DownloadOptions } from "./downloading.js";
import type { File } from "./proto/chatkit/files/v1/file_pb.js";
import { FilesService } from "./proto/chatkit/files/v1/files_service_pb.js";
import type { Message } from "./proto/chatkit/messages/v1/message_pb.js";
import { MessagesService, type SendMessageRequestSchema } from "./proto/chatkit/messages/v1/messages_service_pb.js";
import { ReadStatesService } from "./proto/chatkit/messages/v1/read_states_service_pb.js";
import { MembershipsService } from "./proto/chatkit/rooms/v1/memberships_service_pb.js";
import { RolesService } from "./proto/chatkit/rooms/v1/roles_service_pb.js";
import { RoomsService } from "./proto/chatkit/rooms/v1/rooms_service_pb.js";
import { SyncService } from "./proto/chatkit/sync/v1/sync_service_pb.js";
import { PresenceService } from "./proto/chatkit/users/v1/presence_service_pb.js";
import { UsersService } from "./proto/chatkit/users/v1/users_service_pb.js";
import { type Clock, systemClock } from "./retry.js";
import { partsOf, type Says, sendMany, type Sent, stored } from "./sending.js";
import { Session, type SessionOptions } from "./session/session.js";
import type { Token } from "./tokens.js";
import { upload, type UploadOptions } from "./uploading.js";

/** How a client is made. */
export interface ClientOptions {
  readonly clock?: Clock;
}

/** How a message is sent. */
export interface SendOptions {
  /** The sender, for a superuser; oneself, unless it is said. */
  readonly senderId?: string;
  /** The same for all attempts; a new one, unless it is given. */
  readonly requestId?: string;
}

/**
 * Calls and the session of one user.
 *
 * The services have the methods of the contract. A call waits as long as the suite says, or longer each time, and gives
 * up after `timeoutMs` (30 s). What is named `requestId` is chosen where you don't. Everything throws ChatkitError.
 */
export class Client {
  readonly files: ServiceClient<typeof FilesService>;
  readonly memberships: ServiceClient<typeof MembershipsService>;
  readonly messages: ServiceClient<typeof MessagesService>;
  readonly presence: ServiceClient<typeof PresenceService>;
  readonly readStates: ServiceClient<typeof ReadStatesService>;
  readonly roles: ServiceClient<typeof RolesService>;
  readonly rooms: ServiceClient<typeof RoomsService>;
  readonly sync: ServiceClient<typeof SyncService>;
  readonly users: ServiceClient<typeof UsersService>;
  readonly #calls: Calls;

  /** Use `connect`, which knows how to reach the suite. */
  constructor(calls: Calls) {
    this.#calls = calls;
    this.files = createClient(FilesService, calls);
    this.memberships = createClient(MembershipsService, calls);
    this.messages = createClient(MessagesService, calls);
    this.presence = createClient(PresenceService, calls);
    this.readStates = createClient(ReadStatesService, calls);
    this.roles = createClient(RolesService, calls);
    this.rooms = createClient(RoomsService, calls);
    this.sync = createClient(SyncService, calls);
    this.users = createClient(UsersService, calls);
  }

  /** How often calls were turned away and waited, by reason; all users of a connection count together. */
  get turnedAway(): ReadonlyMap<string, number> {
    return this.#calls.line.turnedAway;
  }

  /** Return a client of another user on the same connection, which closes with this one. */
  withToken(token: Token): Client {
    return new Client(new Calls(this.#calls.line, token));
  }

  /** Be a device: hold what the user's rooms are like, kept current by one stream, until it is closed. */
  session(options: SessionOptions = {}): Session {
    return new Session(this.#calls, options);
  }

  /**
   * Send a message, a text or parts, and return it as it is stored.
   *
   * It is sent once, however often the connection is lost on the way, and so it is when the call is made again with the
   * same request id.
   */
  async send(roomId: string, says: Says, options: SendOptions = {}): Promise<Message> {
    const { senderId, requestId = newId() } = options;
    const answer = await this.messages.sendMessage({
      roomId,
      parts: partsOf(says),
      requestId,
      ...(senderId === undefined ? {} : { senderId }),
    });
    return stored(answer.message);
  }

  /**
   * Send many messages, and yield what became of each as it becomes known.
   *
   * Each is sent by a call, as `send` does, those of a room in this order, and in up to eight rooms at once. One that is
   * refused spoils no other.
   */
  sendMany(requests: Iterable<MessageInitShape<typeof SendMessageRequestSchema>>): AsyncGenerator<Sent, void> {
    return sendMany(this.messages, requests);
  }

  /**
   * Create a file in a room with this content, and return it when it is READY; its id stands in a part of a message.
   *
   * The server compares the content with its SHA-256, where the browser can compute that (in a secure context). It goes to
   * the file's signed URL, which may be that of a bucket; where it breaks off, it is sent from its beginning.
   */
  async upload(roomId: string, content: Blob, options: UploadOptions = {}): Promise<File> {
    return upload(this.#calls, this.files, roomId, content, options);
  }

  /**
   * Return the content of a file, with its type.
   *
   * Where it breaks off it goes on where it was. It throws an error with the code DataLoss if what came has another
   * SHA-256 than the file.
   */
  async download(roomId: string, fileId: string, options: DownloadOptions = {}): Promise<Blob> {
    return download(this.#calls, this.files, roomId, fileId, options);
  }

  /** Close the connection, and with it every call and stream. */
  close(): void {
    this.#calls.line.close();
  }
}

/** Return a client that reaches the suite by a transport of Connect; `disconnect` is called when it is closed. */
export function connectOver(
  transport: Transport,
  token: Token,
  options: ClientOptions = {},
  disconnect?: () => void,
): Client {
  return new Client(new Calls(new Line(transport, options.clock ?? systemClock, disconnect), token));
}
