/** One event of a log, which opens to all that it says. */

import type { Client } from "chatkit-client";
import type { RoomEvent } from "chatkit-client/types";
import { useId, useMemo, useState } from "preact/hooks";

import { Action } from "../action.js";
import { plainOf } from "../plain.js";
import { Json, Said, UserLink, When } from "../parts.js";
import { messageOf } from "./log.js";
import { kindOf, saysOf, senderOf } from "./words.js";

interface RowProps {
  readonly client: Client;
  readonly roomId: string;
  readonly row: RoomEvent;
}

/** Show an event; the number opens it. */
export function Row({ client, roomId, row }: RowProps) {
  const [isOpen, setOpen] = useState(false);
  const id = useId();
  // The same until the event is another: of thousands of rows few are rendered again.
  return useMemo(
    () => (
      <>
        <tr>
          <th scope="row" class="number">
            <button
              type="button"
              class="link"
              aria-expanded={isOpen}
              aria-controls={isOpen ? id : undefined}
              onClick={() => setOpen(!isOpen)}
            >
              <span class="unseen">Event </span>
              {String(row.seq)}
            </button>
          </th>
          <Cells row={row} />
        </tr>
        {isOpen && (
          <tr id={id}>
            <td colSpan={6}>
              <Opened client={client} roomId={roomId} row={row} />
            </td>
          </tr>
        )}
      </>
    ),
    [client, roomId, row, isOpen, id],
  );
}

function Cells({ row }: Pick<RowProps, "row">) {
  const senderId = senderOf(row);
  return (
    <>
      <td class="number minor">{String(messageOf(row)?.revision ?? "")}</td>
      <td class="kind">{kindOf(row)}</td>
      <td class="who">{senderId !== "" && <UserLink id={senderId} />}</td>
      <td class="when">
        <When time={row.time} />
      </td>
      <td>
        <Said>{saysOf(row)}</Said>
      </td>
    </>
  );
}

function Opened({ client, roomId, row }: RowProps) {
  const message = messageOf(row);
  return (
    <div class="opened">
      <Json value={plainOf(row)} />
      {message !== undefined && message.deleteTime === undefined && (
        <Action
          label="Delete message"
          does="Delete"
          isBad
          act={() => client.messages.deleteMessage({ roomId, seq: message.seq })}
          onDone={() => {}}
        >
          <p>
            {`Delete message ${message.seq}? Nobody can read it any more then; its place in the log stays: `}
            <Said>{saysOf(row)}</Said>
          </p>
        </Action>
      )}
    </div>
  );
}
