/** The rooms of a user. */

import type { Client } from "chatkit-client";

import { usePaged } from "./answers.js";
import { Section } from "./parts.js";
import { RoomTable } from "./room_table.js";

/** Show the rooms that a user is in. */
export function UserRooms({ client, userId }: { readonly client: Client; readonly userId: string }) {
  const rooms = usePaged(async (pageToken, signal) => {
    const answer = await client.rooms.listUserRooms({ userId, pageToken }, { signal });
    return { items: answer.rooms, nextPageToken: answer.nextPageToken };
  });
  return (
    <Section title="Rooms">
      <RoomTable caption="The user's rooms" rooms={rooms} none="The user is in no room." />
    </Section>
  );
}
