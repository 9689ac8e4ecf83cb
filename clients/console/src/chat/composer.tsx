/** Where a message is written, and files are added to it. */

import { type Says, type Session, text } from "chatkit-client";
import { useRef, useState } from "preact/hooks";

import type { Attachment, Attachments } from "./drafts.js";
import { sizeOf } from "./parts.js";

// What was written and not sent, by rooms, for as long as the page is there.
const drafts = new Map<string, string>();

interface ComposerProps {
  readonly session: Session;
  readonly roomId: string;
  readonly title: string;
  readonly attachments: Attachments;
  /** Edit the last message of one's own. */
  readonly onEditLast: () => void;
}

/** Let the user write; Enter sends, with Shift it is a new line. */
export function Composer({ session, roomId, title, attachments, onEditLast }: ComposerProps) {
  const [content, setContent] = useState(() => drafts.get(roomId) ?? "");
  const chooser = useRef<HTMLInputElement>(null);
  const isReady = attachments.all.every(({ fileId }) => fileId !== undefined);
  const isEmpty = content.trim() === "" && attachments.all.length === 0;
  const write = (value: string): void => {
    drafts.set(roomId, value);
    setContent(value);
    if (value !== "") {
      // Nobody needs to know that it was not told.
      session.typing(roomId).catch(() => {});
    }
  };
  const send = (): void => {
    if (isEmpty || !isReady) {
      return;
    }
    // What becomes of it is shown in the room.
    session.send(roomId, saysOf(content, attachments.all)).catch(() => {});
    attachments.clear();
    write("");
  };
  const press = (event: KeyboardEvent): void => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      send();
    } else if (event.key === "ArrowUp" && content === "") {
      event.preventDefault();
      onEditLast();
    }
  };
  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      {attachments.all.length > 0 && (
        <ul class="attachments" aria-label="Files of this message">
          {attachments.all.map((one) => (
            <Chip key={one.id} attachment={one} onRemove={attachments.remove} />
          ))}
        </ul>
      )}
      <div class="line">
        <input
          ref={chooser}
          type="file"
          multiple
          hidden
          onChange={({ currentTarget }) => {
            attachments.add(currentTarget.files ?? []);
            currentTarget.value = "";
          }}
        />
        <button type="button" class="quiet" aria-label="Attach files" onClick={() => chooser.current?.click()}>
          +
        </button>
        <textarea
          aria-label={`Message to ${title}`}
          placeholder="Write a message"
          dir="auto"
          rows={1}
          value={content}
          onInput={({ currentTarget }) => {
            write(currentTarget.value);
          }}
          onKeyDown={press}
        />
        <button type="submit" disabled={isEmpty || !isReady}>
          Send
        </button>
      </div>
    </form>
  );
}

function Chip({ attachment, onRemove }: { readonly attachment: Attachment; readonly onRemove: (id: number) => void }) {
  const { id, file, fileId, failure } = attachment;
  const state = failure ?? (fileId === undefined ? "sending …" : "");
  return (
    <li class={failure ? "bad-text" : ""}>
      <span dir="auto">{file.name}</span> <span class="faint">{sizeOf(file.size)}</span> {state}
      <button
        type="button"
        class="link"
        aria-label={`Leave out ${file.name}`}
        onClick={() => {
          onRemove(id);
        }}
      >
        ✕
      </button>
    </li>
  );
}

function saysOf(content: string, attachments: readonly Attachment[]): Says {
  const files = attachments.map(({ file, fileId = "" }) => ({
    contentType: file.type || "application/octet-stream",
    value: { case: "fileId", value: fileId } as const,
  }));
  return content.trim() === "" ? files : [text(content), ...files];
}
