/** One room: its description and its members. */

import type { Client } from "chatkit-client";
import type { Room } from "chatkit-client/types";

import { Action, Field } from "./action.js";
import { useAnswer, usePaged } from "./answers.js";
import { shownNumber } from "./format.js";
import { Answered, Facts, Json, Listing, Page, Said, Section, to, UserLink, When } from "./parts.js";
import { visibilityOf } from "./room_table.js";

interface RoomProps {
  readonly client: Client;
  readonly roomId: string;
}

/** Show a room; its key must be the room. */
export function RoomPage({ client, roomId }: RoomProps) {
  const room = useAnswer(async (signal) => (await client.rooms.getRoom({ roomId }, { signal })).room ?? null);
  const name = room.value?.name || roomId;
  return (
    <Page title={<Said>{name}</Said>} name={name} actions={<a href={to("rooms", roomId, "log")}>Log</a>}>
      <Section title="Room">
        <Answered answer={room}>{(found) => found && <RoomFacts room={found} />}</Answered>
      </Section>
      <Members client={client} roomId={roomId} onChange={room.reload} />
    </Page>
  );
}

function RoomFacts({ room }: { readonly room: Room }) {
  const { customData, creatorId, directUserIds, pushNotificationTitleOverride: pushTitle, retentionDays } = room;
  return (
    <Facts
      of={[
        ["Id", <Said>{room.id}</Said>],
        ["Name", room.name && <Said>{room.name}</Said>],
        ["Who may join", visibilityOf(room)],
        ...(directUserIds.length > 0 ? [["Direct room of", directUserIds.map(userLink)] as const] : []),
        ["Created by", creatorId && <UserLink id={creatorId} />],
        ["Members", shownNumber(room.memberCount)],
        ["Messages are kept", retentionDays === undefined ? "as the deployment says" : `${retentionDays} days`],
        ["Title of push notifications", pushTitle && <Said>{pushTitle}</Said>],
        ["Created", <When time={room.createTime} />],
        ["Changed", <When time={room.updateTime} />],
        ["Etag", <code>{room.etag}</code>],
        ["Custom data", customData && <Json value={customData} />],
      ]}
    />
  );
}

function userLink(id: string) {
  return (
    <span class="apart" key={id}>
      <UserLink id={id} />
    </span>
  );
}

interface MembersProps extends RoomProps {
  readonly onChange: () => void;
}

function Members({ client, roomId, onChange }: MembersProps) {
  const members = usePaged(async (pageToken, signal) => {
    const { userIds, nextPageToken } = await client.memberships.listMembers({ roomId, pageToken }, { signal });
    return { items: userIds, nextPageToken };
  });
  const change = {
    client,
    roomId,
    onDone: () => {
      members.reload();
      onChange();
    },
  };
  return (
    <Section title="Members" actions={<AddMember {...change} />}>
      <Listing
        caption="The room's members, by their ids"
        headings={["Id", "Actions"]}
        paged={members}
        none="The room has no member."
        row={(userId) => (
          <tr key={userId}>
            <th scope="row">
              <UserLink id={userId} />
            </th>
            <td>
              <RemoveMember {...change} userId={userId} />
            </td>
          </tr>
        )}
      />
    </Section>
  );
}

interface ChangeProps extends RoomProps {
  readonly onDone: () => void;
}

function AddMember({ client, roomId, onDone }: ChangeProps) {
  return (
    <Action
      label="Add member"
      does="Add"
      act={(fields) => client.memberships.addMembers({ roomId, userIds: [fields("user")] })}
      onDone={onDone}
    >
      <Field name="user" label="Id of the user" isRequired isFirst />
    </Action>
  );
}

function RemoveMember({ client, roomId, userId, onDone }: ChangeProps & { readonly userId: string }) {
  return (
    <Action
      label="Remove"
      fullLabel={`Remove ${userId}`}
      does="Remove"
      isBad
      act={() => client.memberships.removeMembers({ roomId, userIds: [userId] })}
      onDone={onDone}
    >
      <p>
        {"Remove "}
        <Said>{userId}</Said>
        {" from the room? Their streams of the room end; their messages stay."}
      </p>
    </Action>
  );
}
