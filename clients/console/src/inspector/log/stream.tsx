/** How it stands with the stream of a log: where it is, and how it has begun. */

import { sentenceOf } from "../refusals.js";
import { Facts, When } from "../parts.js";
import type { Status } from "./follow.js";
import type { Log, Opening } from "./log.js";
import { beginningOf } from "./words.js";

interface StreamProps {
  readonly log: Log;
  readonly status: Status;
}

/** Show the stream of a log. */
export function Stream({ log: { position, oldestSeq, openings }, status }: StreamProps) {
  return (
    <>
      <p role="status" class={`stream ${status.status}`}>
        {sayStatus(status)}
      </p>
      {position !== undefined && (
        <Facts
          of={[
            ["Epoch", <code>{position.epoch}</code>],
            ["Position", <code>{String(position.seq)}</code>],
            ["Oldest event that is kept", <code>{String(oldestSeq)}</code>],
            ["Streams", <Openings of={openings} />],
          ]}
        />
      )}
    </>
  );
}

function Openings({ of }: { readonly of: readonly Opening[] }) {
  return (
    <ol class="openings" reversed>
      {of.map((opening) => (
        <li key={opening.time.getTime()}>
          <When time={opening.time} /> {beginningOf(opening)}
        </li>
      ))}
    </ol>
  );
}

function sayStatus(status: Status): string {
  switch (status.status) {
    case "connecting":
      return "Connecting…";
    case "live":
      return "Live";
    case "lost":
      return `Lost: ${sentenceOf(status.why)} Again in ${(status.retryInMs / 1_000).toFixed(1)} s.`;
    case "closed":
      return sentenceOf(status.why);
  }
}
