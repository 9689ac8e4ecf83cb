/** One message, and what its reader may do with it. */

import type { Client, Session } from "chatkit-client";
import { text, textOf } from "chatkit-client";
import type { Message as StoredMessage } from "chatkit-client/types";
import { useContext, useState } from "preact/hooks";

import { said } from "../said.js";
import type { Entry } from "./entries.js";
import { Face } from "./face.js";
import type { Files } from "./files.js";
import { Say } from "./notices.js";
import { Shown } from "./parts.js";
import type { Name } from "./people.js";
import { timeOf } from "./times.js";

/** What a reader may do in a room. */
export interface Rights {
  readonly edit: boolean;
  readonly remove: boolean;
  /** With everyone's messages. */
  readonly moderate: boolean;
}

export interface MessageProps {
  readonly client: Client;
  readonly session: Session;
  readonly files: Files;
  readonly roomId: string;
  readonly ownId: string;
  readonly entry: Entry;
  readonly name: Name;
  readonly rights: Rights;
  readonly isEdited: boolean;
  readonly onEdit: (key: string | undefined) => void;
  readonly onDelete: (message: StoredMessage) => void;
}

/** Show a message. */
export function Message(props: MessageProps) {
  const { session, files, ownId, entry, name, isEdited } = props;
  const { senderId, message, failure, date, isUnderName, readerIds } = entry;
  const isOwn = senderId === ownId;
  const state = failure ? "failed" : message ? "" : "pending";
  return (
    <li data-seq={message?.seq.toString()} class={`message ${isOwn ? "own" : ""} ${isUnderName ? "first" : ""} ${state}`}>
      {isUnderName && (
        <p class="sender">
          <Face session={session} userId={senderId} name={name(senderId)} />
          <strong dir="auto">{name(senderId)}</strong>
        </p>
      )}
      <div class="bubble">
        {isEdited && message ? (
          <Editor {...props} message={message} />
        ) : (
          entry.parts.map((part) => <Shown part={part} files={files} />)
        )}
        <p class="about faint">
          {date && <time dateTime={date.toISOString()}>{timeOf(date)}</time>}
          {message?.editTime && " edited"}
          {state === "pending" && " sending …"}
          <Actions {...props} />
        </p>
      </div>
      {failure && <Failed {...props} failure={failure} />}
      {readerIds.length > 0 && <p class="readers faint">Read by {readerIds.map(name).join(", ")}</p>}
    </li>
  );
}

function Actions({ ownId, entry, rights, isEdited, onEdit, onDelete }: MessageProps) {
  const { message, senderId, key } = entry;
  if (message === undefined || isEdited) {
    return null;
  }
  const mayEdit = rights.moderate || (rights.edit && senderId === ownId);
  const mayDelete = rights.moderate || (rights.remove && senderId === ownId);
  return (
    <span class="actions">
      {mayEdit && message.parts.some(isText) && (
        <button
          type="button"
          class="link"
          onClick={() => {
            onEdit(key);
          }}
        >
          Edit
        </button>
      )}
      {mayDelete && (
        <button
          type="button"
          class="link"
          onClick={() => {
            onDelete(message);
          }}
        >
          Delete
        </button>
      )}
    </span>
  );
}

function Failed({ session, roomId, entry, failure }: MessageProps & { readonly failure: Error }) {
  return (
    <p class="bad-text" role="alert">
      Not sent: {said(failure)}{" "}
      <button
        type="button"
        class="link"
        onClick={() => {
          // Whether it fails again is shown in the same place.
          session.resend(roomId, entry.requestId).catch(() => {});
        }}
      >
        Send again
      </button>{" "}
      <button
        type="button"
        class="link"
        onClick={() => {
          session.discard(roomId, entry.requestId);
        }}
      >
        Discard
      </button>
    </p>
  );
}

function Editor({ client, roomId, message, onEdit }: MessageProps & { readonly message: StoredMessage }) {
  const say = useContext(Say);
  const [content, setContent] = useState(() => textOf(message));
  const save = (): void => {
    onEdit(undefined);
    if (content === textOf(message)) {
      return;
    }
    const others = message.parts.filter((part) => !isText(part));
    const parts = content === "" ? others : [text(content), ...others];
    const kept = message.customData === undefined ? {} : { customData: message.customData };
    client.messages.editMessage({ roomId, seq: message.seq, parts, ...kept }).catch((error: unknown) => {
      say(said(error));
    });
  };
  const press = (event: KeyboardEvent): void => {
    if (event.key === "Escape") {
      onEdit(undefined);
    } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      save();
    }
  };
  return (
    <div class="editor">
      <textarea
        aria-label="Edit the message"
        dir="auto"
        rows={1}
        autofocus
        ref={focusAtEnd}
        value={content}
        onInput={({ currentTarget }) => {
          setContent(currentTarget.value);
        }}
        onKeyDown={press}
      />
      <button type="button" onClick={save}>
        Save
      </button>
      <button
        type="button"
        class="quiet"
        onClick={() => {
          onEdit(undefined);
        }}
      >
        Cancel
      </button>
    </div>
  );
}

function isText({ contentType, value }: StoredMessage["parts"][number]): boolean {
  return contentType === "text/plain" && value.case === "content";
}

function focusAtEnd(field: HTMLTextAreaElement | null): void {
  if (field !== null && document.activeElement !== field) {
    field.focus();
    field.setSelectionRange(field.value.length, field.value.length);
  }
}
