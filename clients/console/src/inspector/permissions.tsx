/** What a role grants. */

/** Show permissions. */
export function Permissions({ of }: { readonly of: readonly string[] }) {
  if (of.length === 0) {
    return <span class="faint">none</span>;
  }
  return (
    <details>
      <summary>{of.length}</summary>
      <ul class="permissions">
        {of.map((permission) => (
          <li key={permission}>
            <code>{permission}</code>
          </li>
        ))}
      </ul>
    </details>
  );
}
