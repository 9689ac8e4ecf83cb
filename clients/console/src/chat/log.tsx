/** A room's messages, the newest at the bottom: older ones are fetched where the reader comes to the top. */

import type { RoomView, Session } from "chatkit-client";
import { Fragment } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";

import { entriesOf } from "./entries.js";
import { Message, type MessageProps } from "./message.js";

const OLDER = 50;
// Nearer to an end than so many pixels is at it.
const NEAR = 80;
const NEAR_TOP = 400;

type LogProps = Omit<MessageProps, "entry" | "isEdited" | "roomId"> & {
  readonly view: RoomView;
  /** The key of the message that is edited. */
  readonly edited: string | undefined;
};

/** Show the messages of a room, and say that the user has read what they have seen. */
export function Log({ view, edited, ...rest }: LogProps) {
  const { session, ownId } = rest;
  const entries = useMemo(() => entriesOf(view, ownId), [view, ownId]);
  const box = useRef<HTMLDivElement>(null);
  const isAtEnd = useScroll(box, entries[0]?.key, entries.at(-1)?.key);
  const load = useOlder(session, view, box);
  useReading(session, view, isAtEnd);
  return (
    <div class="log-frame">
      <div class="log" ref={box} tabIndex={0} role="log" aria-label="Messages" onScroll={load}>
        <ol>
          {!view.hasOlder && <li class="day faint">This is where the room begins.</li>}
          {entries.map((entry) => (
            <Fragment key={entry.key}>
              {entry.day !== undefined && <li class="day faint">{entry.day}</li>}
              <Message {...rest} roomId={view.id} entry={entry} isEdited={entry.key === edited} />
            </Fragment>
          ))}
        </ol>
      </div>
      {!isAtEnd && (
        <button
          type="button"
          class="to-end"
          onClick={() => {
            box.current?.scrollTo({ top: box.current.scrollHeight });
          }}
        >
          Newest ↓
        </button>
      )}
    </div>
  );
}

/** Keep the place in the list: at the end if it was there, and else where the reader is, whatever comes above. */
function useScroll(box: { current: HTMLDivElement | null }, first: string | undefined, last: string | undefined) {
  const [isAtEnd, setIsAtEnd] = useState(true);
  const seen = useRef({ first, height: 0, isAtEnd: true });
  useLayoutEffect(() => {
    const { current } = box;
    if (current === null) {
      return;
    }
    if (seen.current.isAtEnd) {
      current.scrollTop = current.scrollHeight;
    } else if (first !== seen.current.first) {
      current.scrollTop += current.scrollHeight - seen.current.height;
    }
    seen.current = { ...seen.current, first, height: current.scrollHeight };
  }, [first, last]);
  useEffect(() => {
    const { current } = box;
    const content = current?.firstElementChild;
    if (current === null || !content) {
      return;
    }
    const note = (): void => {
      seen.current.isAtEnd = current.scrollHeight - current.scrollTop - current.clientHeight < NEAR;
      setIsAtEnd(seen.current.isAtEnd);
    };
    // Pictures that come late, and a composer that grows, push nothing out of sight.
    const resized = new ResizeObserver(() => {
      if (seen.current.isAtEnd) {
        current.scrollTop = current.scrollHeight;
      }
      seen.current.height = current.scrollHeight;
    });
    resized.observe(content);
    resized.observe(current);
    current.addEventListener("scroll", note, { passive: true });
    return () => {
      resized.disconnect();
      current.removeEventListener("scroll", note);
    };
  }, []);
  return isAtEnd;
}

/** Return what fetches older messages where the top is near; it is called at first, too, as long as there is room. */
function useOlder(session: Session, view: RoomView, box: { current: HTMLDivElement | null }): () => void {
  const isLoading = useRef(false);
  const load = (): void => {
    const { current } = box;
    const isNear = current !== null && current.scrollTop < NEAR_TOP;
    if (isNear && view.hasOlder && !isLoading.current) {
      isLoading.current = true;
      session
        .loadOlder(view.id, OLDER)
        // A page that was not read is asked for by the next step of the reader.
        .catch(() => 0)
        .finally(() => {
          isLoading.current = false;
        });
    }
  };
  useEffect(load, [view.messages[0]?.seq, view.hasOlder]);
  return load;
}

/** Say how far the user has read: up to the newest message that they look at. */
function useReading(session: Session, view: RoomView, isAtEnd: boolean): void {
  const isLooking = useIsLooking();
  const last = view.messages.at(-1)?.seq ?? 0n;
  const read = view.readState?.cursor?.seq ?? 0n;
  const hasUnread = view.readState !== undefined && view.readState.unreadCount > 0 && last > read;
  useEffect(() => {
    if (isLooking && isAtEnd && hasUnread) {
      // The next message says it again.
      session.setReadCursor(view.id, last).catch(() => {});
    }
  }, [session, view.id, isLooking, isAtEnd, hasUnread, last]);
}

/** Whether somebody may be looking at the page. */
function useIsLooking(): boolean {
  const [isLooking, setIsLooking] = useState(() => document.visibilityState === "visible");
  useLayoutEffect(() => {
    const note = (): void => {
      setIsLooking(document.visibilityState === "visible");
    };
    document.addEventListener("visibilitychange", note);
    return () => {
      document.removeEventListener("visibilitychange", note);
    };
  }, []);
  return isLooking;
}
