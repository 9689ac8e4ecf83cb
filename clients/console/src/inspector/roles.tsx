/** The roles of the instance, and what they grant. */

import type { Client } from "chatkit-client";
import { RoleScope } from "chatkit-client/types";

import { usePaged } from "./answers.js";
import { Permissions } from "./permissions.js";
import { Listing, Page, Said } from "./parts.js";

/** Show all roles. */
export function Roles({ client }: { readonly client: Client }) {
  const roles = usePaged(async (pageToken, signal) => {
    const answer = await client.roles.listRoles({ pageToken }, { signal });
    return { items: answer.roles, nextPageToken: answer.nextPageToken };
  });
  return (
    <Page title="Roles" name="Roles">
      <Listing
        caption="All roles, the global ones first"
        headings={["Role", "Scope", "Permissions"]}
        paged={roles}
        none="There is no role."
        row={({ scope, name, permissions }) => (
          <tr key={`${scope} ${name}`}>
            <th scope="row">
              <Said>{name}</Said>
            </th>
            <td>{scope === RoleScope.GLOBAL ? "global" : "in a room"}</td>
            <td>
              <Permissions of={permissions} />
            </td>
          </tr>
        )}
      />
    </Page>
  );
}
