/** What a person is told beside everything else: that something they did was refused. */

import { type ComponentChildren, createContext } from "preact";
import { useCallback, useState } from "preact/hooks";

const SHOWN_MS = 8_000;

/** Tell the person something. */
export const Say = createContext<(text: string) => void>(() => {});

/** Show what is told, for a while, below the children. */
export function Notices({ children }: { readonly children: ComponentChildren }) {
  const [notice, setNotice] = useState("");
  const say = useCallback((text: string): void => {
    setNotice(text);
    setTimeout(() => {
      setNotice((shown) => (shown === text ? "" : shown));
    }, SHOWN_MS);
  }, []);
  return (
    <Say.Provider value={say}>
      {children}
      <div class="notice" role="status">
        {notice !== "" && <p>{notice}</p>}
      </div>
    </Say.Provider>
  );
}
