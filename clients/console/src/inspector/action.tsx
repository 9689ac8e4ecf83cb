/** What an operator can do: a button, and a dialog that asks for what is needed, or whether it is meant. */

import type { ComponentChildren } from "preact";
import { useId, useRef, useState } from "preact/hooks";

import { Dialog } from "../chat/dialog.js";
import { Refusal } from "./parts.js";

/** Return what stands in a field of the form. */
export type Fields = (name: string) => string;

interface ActionProps {
  /** What the button says, and the dialog's title. */
  readonly label: string;
  /** The same for those who don't see beside what the button stands. */
  readonly fullLabel?: string;
  /** What the dialog's button says. */
  readonly does: string;
  /** Whether something is lost by it. */
  readonly isBad?: boolean;
  /** Do it; what it throws is told, and the dialog stays. */
  readonly act: (fields: Fields) => Promise<unknown>;
  /** It was done. */
  readonly onDone: () => void;
  readonly children: ComponentChildren;
}

/** A button that opens its dialog. */
export function Action(props: ActionProps) {
  const { label, fullLabel, isBad } = props;
  const [isOpen, setOpen] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  return (
    <>
      <button
        type="button"
        class="quiet"
        aria-haspopup="dialog"
        aria-label={fullLabel}
        ref={button}
        onClick={() => setOpen(true)}
      >
        <span class={isBad ? "bad-text" : undefined}>{label}</span>
      </button>
      {isOpen && (
        <Ask
          {...props}
          onClose={() => {
            setOpen(false);
            button.current?.focus();
          }}
        />
      )}
    </>
  );
}

function Ask({ label, fullLabel, does, isBad, act, onDone, onClose, children }: ActionProps & { onClose: () => void }) {
  const [error, setError] = useState<unknown>();
  const [isBusy, setBusy] = useState(false);
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    setBusy(true);
    setError(undefined);
    try {
      await act((name) => {
        const value = form.get(name);
        return typeof value === "string" ? value : "";
      });
      onClose();
      onDone();
    } catch (thrown) {
      setError(thrown);
      setBusy(false);
    }
  };
  return (
    <Dialog title={fullLabel ?? label} onClose={onClose}>
      <form class="form" onSubmit={(event) => void submit(event)}>
        {children}
        {error !== undefined && <Refusal error={error} />}
        <div class="row">
          <button type="button" class="quiet" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class={isBad ? "bad" : undefined} disabled={isBusy}>
            {does}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

interface FieldProps {
  readonly name: string;
  readonly label: string;
  /** What it is for, where the label does not say it. */
  readonly hint?: string;
  readonly value?: string;
  readonly isRequired?: boolean;
  readonly isFirst?: boolean;
}

/** A text that the form asks for. */
export function Field({ name, label, hint, value, isRequired, isFirst }: FieldProps) {
  const id = useId();
  return (
    <div>
      <label for={id}>{label}</label>
      <input
        id={id}
        name={name}
        dir="auto"
        autocomplete="off"
        spellcheck={false}
        defaultValue={value}
        required={isRequired}
        autofocus={isFirst}
        aria-describedby={hint === undefined ? undefined : `${id}-hint`}
      />
      {hint !== undefined && (
        <p class="faint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
    </div>
  );
}

interface ChoiceProps {
  readonly name: string;
  readonly label: string;
  /** The values and what they are called. */
  readonly of: readonly (readonly [string, string])[];
}

/** One of several that the form asks for; the first, unless another is chosen. */
export function Choice({ name, label, of }: ChoiceProps) {
  const id = useId();
  return (
    <div>
      <label for={id}>{label}</label>
      <select id={id} name={name}>
        {of.map(([value, called]) => (
          <option key={value} value={value}>
            {called}
          </option>
        ))}
      </select>
    </div>
  );
}
