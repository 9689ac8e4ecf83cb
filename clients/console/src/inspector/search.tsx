/** A field that leads somewhere: the users that are found, or a room of this id. */

import { useId } from "preact/hooks";

interface SearchProps {
  readonly label: string;
  readonly does: string;
  readonly value?: string;
  /** Called with what stands in the field. */
  readonly onSearch: (text: string) => void;
}

/** Ask for a text, and act when it is entered. */
export function Search({ label, does, value = "", onSearch }: SearchProps) {
  const id = useId();
  return (
    <form
      class="search"
      role="search"
      onSubmit={(event) => {
        event.preventDefault();
        const text = new FormData(event.currentTarget).get("text");
        onSearch(typeof text === "string" ? text : "");
      }}
    >
      <label for={id}>{label}</label>
      <input id={id} name="text" type="search" dir="auto" defaultValue={value} autocomplete="off" spellcheck={false} />
      <button type="submit" class="quiet">
        {does}
      </button>
    </form>
  );
}
