/** The roles that a user has: the global one, and those in rooms. */

import type { Client } from "chatkit-client";
import type { AssignedRole } from "chatkit-client/types";

import { Action, Field } from "./action.js";
import { usePaged } from "./answers.js";
import { Permissions } from "./permissions.js";
import { Listing, RoomLink, Said, Section } from "./parts.js";

interface UserRolesProps {
  readonly client: Client;
  readonly userId: string;
}

/** Show a user's roles. */
export function UserRoles({ client, userId }: UserRolesProps) {
  const roles = usePaged(async (pageToken, signal) => {
    const { assignedRoles, nextPageToken } = await client.roles.listUserRoles({ userId, pageToken }, { signal });
    return { items: assignedRoles, nextPageToken };
  });
  return (
    <Section title="Roles" actions={<AssignRole client={client} userId={userId} onDone={roles.reload} />}>
      <Listing
        caption="The user's roles"
        headings={["Where", "Role", "Permissions", "Actions"]}
        minor={["Permissions"]}
        paged={roles}
        none="The user has no role."
        row={(assigned) => (
          <RoleRow assigned={assigned} client={client} userId={userId} onDone={roles.reload} key={assigned.roomId} />
        )}
      />
    </Section>
  );
}

interface ChangeProps extends UserRolesProps {
  readonly onDone: () => void;
}

function RoleRow({ assigned: { role, roomId }, ...change }: ChangeProps & { readonly assigned: AssignedRole }) {
  const name = role?.name ?? "";
  // Who was assigned no other role has this one, and it can't be taken away.
  const isDefault = roomId === "" && name === "default";
  return (
    <tr>
      <th scope="row">{roomId === "" ? "everywhere" : <RoomLink id={roomId} />}</th>
      <td>
        <Said>{name}</Said>
      </td>
      <td class="minor">
        <Permissions of={role?.permissions ?? []} />
      </td>
      <td>{!isDefault && <UnassignRole {...change} roomId={roomId} name={name} />}</td>
    </tr>
  );
}

function AssignRole({ client, userId, onDone }: ChangeProps) {
  return (
    <Action
      label="Assign role"
      does="Assign"
      act={(fields) => client.roles.assignRole({ userId, roleName: fields("role"), roomId: fields("room") })}
      onDone={onDone}
    >
      <Field name="role" label="Role" hint="It replaces the one that the user has there." isRequired isFirst />
      <Field name="room" label="Id of the room" hint="Leave it empty for a role everywhere." />
    </Action>
  );
}

interface UnassignProps extends ChangeProps {
  readonly roomId: string;
  readonly name: string;
}

function UnassignRole({ client, userId, roomId, name, onDone }: UnassignProps) {
  return (
    <Action
      label="Unassign"
      fullLabel={`Unassign ${name}`}
      does="Unassign"
      isBad
      act={() => client.roles.unassignRole({ userId, roomId })}
      onDone={onDone}
    >
      <p>
        {"Take the role "}
        <Said>{name}</Said>
        {roomId === "" ? " away? The user has the role default then." : " in this room away?"}
      </p>
    </Action>
  );
}
