/** The room that is open: its messages, who is typing, and a place to write. */

import type { Client, RoomView, Session } from "chatkit-client";
import { useRoom } from "chatkit-client/react";
import type { Message } from "chatkit-client/types";
import { useContext, useEffect, useState } from "preact/hooks";

import { href } from "../route.js";
import { said } from "../said.js";
import { Composer } from "./composer.js";
import { Details } from "./details.js";
import { Dialog } from "./dialog.js";
import { useAttachments } from "./drafts.js";
import { entriesOf } from "./entries.js";
import type { Files } from "./files.js";
import { Log } from "./log.js";
import type { Rights } from "./message.js";
import { Say } from "./notices.js";
import { isThere, type Name, titleOf, typingOf, usePeople } from "./people.js";

interface RoomProps {
  readonly client: Client;
  readonly session: Session;
  readonly files: Files;
  readonly roomId: string;
  readonly ownId: string;
  readonly name: Name;
}

/** Show a room of the user's. */
export function Room(props: RoomProps) {
  const view = useRoom(props.session, props.roomId);
  if (view === undefined) {
    return (
      <main class="room nothing">
        <h1 class="faint">You are not in this room.</h1>
        <a href={href([])}>Your rooms</a>
      </main>
    );
  }
  return <Open {...props} view={view} />;
}

function Open({ client, session, files, roomId, ownId, name, view }: RoomProps & { readonly view: RoomView }) {
  const [edited, setEdited] = useState<string>();
  const [deleted, setDeleted] = useState<Message>();
  const [isShowingDetails, setIsShowingDetails] = useState(false);
  const [isDraggedOver, setIsDraggedOver] = useState(false);
  const attachments = useAttachments(client, roomId);
  const rights = useRights(client, roomId);
  usePeople(session, view);
  const title = titleOf(view, ownId, name);
  const there = [...view.memberIds].filter((userId) => isThere(session, userId)).length;
  const take = (event: DragEvent | ClipboardEvent, data: DataTransfer | null): void => {
    if (data?.files.length) {
      event.preventDefault();
      attachments.add(data.files);
    }
  };
  const editLast = (): void => {
    const last = entriesOf(view, ownId).findLast(({ message, senderId }) => message && senderId === ownId);
    if (rights.edit || rights.moderate) {
      setEdited(last?.key);
    }
  };
  return (
    <main
      class={`room ${isDraggedOver ? "dragged-over" : ""}`}
      onDragOver={(event) => {
        event.preventDefault();
        setIsDraggedOver(true);
      }}
      onDragLeave={() => {
        setIsDraggedOver(false);
      }}
      onDrop={(event) => {
        setIsDraggedOver(false);
        take(event, event.dataTransfer);
      }}
      onPaste={(event) => {
        take(event, event.clipboardData);
      }}
    >
      <header>
        <a class="back" href={href([])} aria-label="Back to the rooms">
          ←
        </a>
        <h1 dir="auto">{title}</h1>
        <button
          type="button"
          class="quiet"
          onClick={() => {
            setIsShowingDetails(true);
          }}
        >
          {view.memberIds.size} {view.memberIds.size === 1 ? "member" : "members"}, {there} here
        </button>
      </header>
      <Log
        key={roomId}
        {...{ client, session, files, ownId, name, rights, view, edited }}
        onEdit={setEdited}
        onDelete={setDeleted}
      />
      <p class="typing faint" aria-live="polite">
        {typingOf(view, ownId, name)}
      </p>
      {view.closed && <p class="bad-text">{said(view.closed)}</p>}
      <Composer key={roomId} {...{ session, roomId, title, attachments }} onEditLast={editLast} />
      {deleted && <Deletion client={client} message={deleted} onClose={setDeleted} />}
      {isShowingDetails && (
        <Details
          {...{ client, session, view, ownId, name, title }}
          onClose={() => {
            setIsShowingDetails(false);
          }}
        />
      )}
    </main>
  );
}

interface DeletionProps {
  readonly client: Client;
  readonly message: Message;
  readonly onClose: (message: undefined) => void;
}

function Deletion({ client, message: { roomId, seq }, onClose }: DeletionProps) {
  const say = useContext(Say);
  const close = (): void => {
    onClose(undefined);
  };
  const remove = (): void => {
    close();
    client.messages.deleteMessage({ roomId, seq }).catch((error: unknown) => {
      say(said(error));
    });
  };
  return (
    <Dialog title="Delete the message?" onClose={close}>
      <p>It is gone for everybody, and nobody can bring it back.</p>
      <div class="row">
        <button type="button" class="quiet" onClick={close}>
          Keep it
        </button>
        <button type="button" class="bad" onClick={remove}>
          Delete
        </button>
      </div>
    </Dialog>
  );
}

/** Return what the user may do in a room. */
function useRights(client: Client, roomId: string): Rights {
  const [permissions, setPermissions] = useState<readonly string[]>([]);
  useEffect(() => {
    let isShown = true;
    client.rooms.getMyPermissions({ roomId }).then(
      (answer) => {
        if (isShown) {
          setPermissions(answer.permissions);
        }
      },
      // Nothing is offered that may be refused.
      () => {},
    );
    return () => {
      isShown = false;
    };
  }, [client, roomId]);
  return {
    edit: permissions.includes("message:edit"),
    remove: permissions.includes("message:delete"),
    moderate: permissions.includes("message:moderate"),
  };
}
