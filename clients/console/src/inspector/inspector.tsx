/** The inspector: what an operator looks at. */

import type { Client } from "chatkit-client";

export interface InspectorProps {
  readonly client: Client;
  /** Which page: what stands in the URL behind `#/inspector/`. */
  readonly path: readonly string[];
  readonly go: (path: readonly string[]) => void;
}

/** Show a page of the inspector. */
export function Inspector(_: InspectorProps) {
  return (
    <main>
      <h1>Inspector</h1>
    </main>
  );
}
