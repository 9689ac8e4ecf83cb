/** Rooms as a table. */

import { type Room, Visibility } from "chatkit-client/types";

import type { Paged } from "./answers.js";
import { shownNumber } from "./format.js";
import { Listing, RoomLink, Said, to, When } from "./parts.js";

interface RoomTableProps {
  readonly caption: string;
  readonly rooms: Paged<Room>;
  /** What is said where there is no room. */
  readonly none: string;
}

/** Show rooms. */
export function RoomTable({ caption, rooms, none }: RoomTableProps) {
  return (
    <Listing
      caption={caption}
      headings={["Id", "Name", "Who may join", "Members", "Created", "Log"]}
      minor={["Who may join", "Created"]}
      paged={rooms}
      none={none}
      row={(room) => (
        <tr key={room.id}>
          <th scope="row">
            <RoomLink id={room.id} />
          </th>
          <td>
            <Said>{room.name}</Said>
          </td>
          <td class="minor">{visibilityOf(room)}</td>
          <td class="number">{shownNumber(room.memberCount)}</td>
          <td class="minor">
            <When time={room.createTime} />
          </td>
          <td>
            <a href={to("rooms", room.id, "log")} aria-label={`Log of ${room.name || room.id}`}>
              Log
            </a>
          </td>
        </tr>
      )}
    />
  );
}

/** Return who may join, in a word. */
export function visibilityOf({ visibility, directUserIds }: Room): string {
  if (directUserIds.length > 0) {
    return "direct";
  }
  return visibility === Visibility.PUBLIC ? "public" : "private";
}
