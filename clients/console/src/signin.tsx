/** What is shown to whoever has no token yet, or no longer. */

import { useState } from "preact/hooks";

interface SignInProps {
  /** Why there is no token; empty where nobody is to be told. */
  readonly why: string;
  readonly onToken: (token: string) => void;
}

/** Ask for a token. */
export function SignIn({ why, onToken }: SignInProps) {
  const [token, setToken] = useState("");
  const submit = (event: Event): void => {
    event.preventDefault();
    // As a terminal may have broken it.
    const pasted = token.replaceAll(/\s/g, "");
    if (pasted !== "") {
      onToken(pasted);
    }
  };
  return (
    <main class="sign-in">
      <h1>Chatkit</h1>
      {why !== "" && <p role="alert">{why}</p>}
      <form onSubmit={submit}>
        <label for="token">Paste a token of yours</label>
        <textarea
          id="token"
          rows={5}
          spellcheck={false}
          autocomplete="off"
          value={token}
          onInput={({ currentTarget }) => {
            setToken(currentTarget.value);
          }}
        />
        <button type="submit">Sign in</button>
      </form>
      <p class="faint">
        On the machine that runs the suite, <code>./chatkit token --user alice</code> prints one. An application's own
        server makes them for its users.
      </p>
    </main>
  );
}
