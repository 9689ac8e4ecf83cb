/** The rooms of the instance. */

import type { Client } from "chatkit-client";
import { Visibility } from "chatkit-client/types";

import { Action, Choice, Field } from "./action.js";
import { usePaged } from "./answers.js";
import { Page } from "./parts.js";
import { RoomTable } from "./room_table.js";
import { Search } from "./search.js";

interface RoomsProps {
  readonly client: Client;
  readonly go: (path: readonly string[]) => void;
}

/** Show all rooms. */
export function Rooms({ client, go }: RoomsProps) {
  const rooms = usePaged(async (pageToken, signal) => {
    const answer = await client.rooms.listRooms({ includePrivate: true, pageToken }, { signal });
    return { items: answer.rooms, nextPageToken: answer.nextPageToken };
  });
  return (
    <Page title="Rooms" name="Rooms" actions={<CreateRoom client={client} go={go} />}>
      <Search label="Id of a room" does="Open" onSearch={(id) => id !== "" && go(["rooms", id])} />
      <RoomTable caption="All rooms, by their ids" rooms={rooms} none="There is no room." />
    </Page>
  );
}

const VISIBILITIES = [
  ["PRIVATE", "Only who is added"],
  ["PUBLIC", "Anybody"],
] as const;

function CreateRoom({ client, go }: RoomsProps) {
  let created = "";
  return (
    <Action
      label="Create room"
      does="Create"
      act={async (fields) => {
        const visibility = fields("visibility") === "PUBLIC" ? Visibility.PUBLIC : Visibility.PRIVATE;
        const [id, name, creatorId] = [fields("id"), fields("name"), fields("creator")];
        const { room } = await client.rooms.createRoom({ id, name, visibility, creatorId });
        created = room?.id ?? id;
      }}
      onDone={() => go(["rooms", created])}
    >
      <Field name="name" label="Name" isRequired isFirst />
      <Field name="id" label="Id" hint="Leave it empty for an id that the suite chooses." />
      <Choice name="visibility" label="Who may join" of={VISIBILITIES} />
      <Field name="creator" label="Id of the creator" hint="The first member. Leave it empty for yourself." />
    </Action>
  );
}
