/** The users: all, or those that are found. */

import type { Client } from "chatkit-client";
import type { User } from "chatkit-client/types";

import { Action, Field } from "./action.js";
import { type Paged, usePaged } from "./answers.js";
import { Listing, Page, Said, UserLink, When } from "./parts.js";
import { Search } from "./search.js";

interface UsersProps {
  readonly client: Client;
  /** How the name or the id of those begins who are shown; empty for everybody. */
  readonly prefix: string;
  readonly go: (path: readonly string[]) => void;
}

/** Show the users; its key must be the prefix. */
export function Users({ client, prefix, go }: UsersProps) {
  const users = useUsers(client, prefix);
  return (
    <Page title="Users" name="Users" actions={<CreateUser client={client} go={go} />}>
      <Search
        label="Name or id begins with"
        does="Search"
        value={prefix}
        onSearch={(text) => go(text === "" ? ["users"] : ["search", text])}
      />
      <Listing
        caption={prefix === "" ? "All users, the oldest first" : "The users that were found"}
        headings={["Id", "Name", "Created"]}
        minor={["Created"]}
        paged={users}
        none={prefix === "" ? "There is no user." : "No user's name or id begins like this."}
        row={({ id, name, createTime }) => (
          <tr key={id}>
            <th scope="row">
              <UserLink id={id} />
            </th>
            <td>
              <Said>{name}</Said>
            </td>
            <td class="minor">
              <When time={createTime} />
            </td>
          </tr>
        )}
      />
    </Page>
  );
}

function useUsers(client: Client, prefix: string): Paged<User> {
  return usePaged(async (pageToken, signal) => {
    const { users, nextPageToken } = await (prefix === ""
      ? client.users.listUsers({ pageToken }, { signal })
      : client.users.searchUsers({ prefix, pageToken }, { signal }));
    return { items: users, nextPageToken };
  });
}

function CreateUser({ client, go }: Pick<UsersProps, "client" | "go">) {
  let created = "";
  return (
    <Action
      label="Create user"
      does="Create"
      act={async (fields) => {
        await client.users.createUser({ id: fields("id"), name: fields("name") });
        created = fields("id");
      }}
      onDone={() => go(["users", created])}
    >
      <Field name="id" label="Id" hint="It never changes." isRequired isFirst />
      <Field name="name" label="Name" isRequired />
    </Action>
  );
}
