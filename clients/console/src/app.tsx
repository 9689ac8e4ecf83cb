/** Who is signed in, and which of the two parts is shown: the chat, or the inspector. */

import { connect } from "chatkit-client";
import { useCallback, useEffect, useLayoutEffect, useMemo, useState } from "preact/hooks";

import { Chat } from "./chat/chat.js";
import { Inspector } from "./inspector/inspector.js";
import { go, href, roomOf, usePath } from "./route.js";
import { SignIn } from "./signin.js";
import { type Claims, claimsOf, forget, hasHost, keep, renewing, tokenOfHost, tokenOfLink, tokenOfTab } from "./token.js";

/** The console. */
export function App() {
  const [token, setToken] = useState(tokenOfTab);
  const [why, setWhy] = useState("");
  useEffect(() => {
    if (token === undefined && hasHost()) {
      tokenOfHost().then(setToken, (error: unknown) => {
        setWhy(String(error));
      });
    }
  }, [token]);
  useLayoutEffect(() => {
    // A link that is followed in the tab of the console loads nothing anew.
    const follow = (): void => {
      const given = tokenOfLink();
      if (given !== undefined) {
        setToken(given);
      }
    };
    addEventListener("hashchange", follow);
    return () => {
      removeEventListener("hashchange", follow);
    };
  }, []);
  const signIn = (pasted: string): void => {
    keep(pasted);
    setWhy("");
    setToken(pasted);
  };
  const signOut = useCallback((reason: string): void => {
    forget();
    setWhy(reason);
    setToken(undefined);
  }, []);
  const claims = token === undefined ? undefined : claimsOf(token);
  if (token === undefined || claims === undefined) {
    return <SignIn why={token === undefined ? why : "That is no token."} onToken={signIn} />;
  }
  return <SignedIn token={token} claims={claims} onSignOut={signOut} key={token} />;
}

interface SignedInProps {
  readonly token: string;
  readonly claims: Claims;
  readonly onSignOut: (why: string) => void;
}

function SignedIn({ token, claims, onSignOut }: SignedInProps) {
  const path = usePath();
  const client = useMemo(() => connect(location.origin, hasHost() ? renewing(token) : token), [token]);
  useEffect(() => () => {
    client.close();
  }, [client]);
  const { userId, isSuperuser } = claims;
  if (path[0] === "inspector" || userId === "") {
    return (
      <div class="inspecting">
        <Bar>
          {userId !== "" && <a href={href(["rooms"])}>Chat</a>}
          <SignOut onSignOut={onSignOut} />
        </Bar>
        <Inspector client={client} path={path.slice(1)} go={goInspecting} />
      </div>
    );
  }
  return (
    <Chat client={client} userId={userId} roomId={roomOf(path)} onEnd={onSignOut}>
      {isSuperuser && <a href={href(["inspector"])}>Inspector</a>}
      <SignOut onSignOut={onSignOut} />
    </Chat>
  );
}

function Bar({ children }: { readonly children: preact.ComponentChildren }) {
  return (
    <nav class="bar" aria-label="Console">
      <strong>Chatkit</strong>
      {children}
    </nav>
  );
}

function SignOut({ onSignOut }: Pick<SignedInProps, "onSignOut">) {
  return (
    <button
      type="button"
      class="quiet"
      onClick={() => {
        onSignOut("");
      }}
    >
      Sign out
    </button>
  );
}

function goInspecting(path: readonly string[]): void {
  go(["inspector", ...path]);
}
