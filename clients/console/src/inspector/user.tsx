/** One user: what is kept of them, whether they are there, their roles and their rooms. */

import type { Client } from "chatkit-client";
import { type Presence, PresenceState, type User } from "chatkit-client/types";

import { useAnswer } from "./answers.js";
import { Answered, Facts, Json, Page, Said, Section, When } from "./parts.js";
import { UserRoles } from "./user_roles.js";
import { UserRooms } from "./user_rooms.js";

interface UserProps {
  readonly client: Client;
  readonly userId: string;
}

/** Show a user; its key must be the user. */
export function UserPage({ client, userId }: UserProps) {
  const user = useAnswer(async (signal) => (await client.users.getUser({ userId }, { signal })).user ?? null);
  return (
    <Page title={<Said>{user.value?.name ?? userId}</Said>} name={user.value?.name ?? userId}>
      <Section title="User">
        <Answered answer={user}>{(found) => found && <UserFacts user={found} />}</Answered>
      </Section>
      <Section title="Presence">
        <UserPresence client={client} userId={userId} />
      </Section>
      <UserRoles client={client} userId={userId} />
      <UserRooms client={client} userId={userId} />
    </Page>
  );
}

function UserFacts({ user: { id, avatarUrl, name, createTime, updateTime, customData } }: { readonly user: User }) {
  return (
    <Facts
      of={[
        ["Id", <Said>{id}</Said>],
        ["Name", <Said>{name}</Said>],
        ["Avatar", avatarUrl && <Said>{avatarUrl}</Said>],
        ["Created", <When time={createTime} />],
        ["Changed", <When time={updateTime} />],
        ["Custom data", customData && <Json value={customData} />],
      ]}
    />
  );
}

function UserPresence({ client, userId }: UserProps) {
  const presence = useAnswer(
    async (signal) => (await client.presence.getPresence({ userIds: [userId] }, { signal })).presences[0] ?? null,
  );
  return (
    <Answered answer={presence}>
      {(found) => (
        <p>
          {stateOf(found)}
          {found?.changeTime !== undefined && (
            <>
              {" since "}
              <When time={found.changeTime} />
            </>
          )}{" "}
          <button type="button" class="quiet" onClick={presence.reload}>
            Look again
          </button>
        </p>
      )}
    </Answered>
  );
}

function stateOf(presence: Presence | null): string {
  if (presence === null) {
    return "Not known";
  }
  if (presence.state === PresenceState.ONLINE) {
    return "Online";
  }
  return presence.changeTime === undefined ? "Never was online" : "Offline";
}
