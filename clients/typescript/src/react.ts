/** A session in React: each hook renders its component again when what it returns is another way, and not otherwise. */

import { useCallback, useEffect, useState, useSyncExternalStore } from "react";

import type { Client } from "./client.js";
import type { ConnectionState } from "./connection.js";
import type { Presence } from "./proto/chatkit/users/v1/presence_event_pb.js";
import type { User } from "./proto/chatkit/users/v1/user_pb.js";
import type { Session, SessionOptions } from "./session/session.js";
import type { RoomView } from "./session/views.js";

const CONNECTING: ConnectionState = { status: "connecting", why: undefined };
const NO_ROOMS: readonly RoomView[] = [];

/**
 * Be a device for as long as the component is there; undefined until it is.
 *
 * Another client is another session. The options are those of the first rendering with a client.
 */
export function useSession(client: Client, options?: SessionOptions): Session | undefined {
  const [asked] = useState(options);
  const [session, setSession] = useState<Session>();
  useEffect(() => {
    const opened = client.session(asked);
    setSession(opened);
    return () => {
      setSession(undefined);
      void opened.close();
    };
  }, [client, asked]);
  return session;
}

/** Return how it stands with the session's stream. */
export function useConnection(session: Session | undefined): ConnectionState {
  const subscribe = useCallback(
    (notify: () => void) => session?.connection.onChange(notify) ?? unsubscribed,
    [session],
  );
  const snapshot = (): ConnectionState => session?.connection.state ?? CONNECTING;
  return useSyncExternalStore(subscribe, snapshot, snapshot);
}

/** Return the rooms that the user is in, or that are followed. */
export function useRooms(session: Session | undefined): readonly RoomView[] {
  return useShown(session, (shown) => shown.rooms()) ?? NO_ROOMS;
}

/** Return a room; undefined for one that the user is not in and that is not followed. */
export function useRoom(session: Session | undefined, roomId: string): RoomView | undefined {
  return useShown(session, (shown) => shown.room(roomId));
}

/** Return a user; undefined for one of whom nothing is known: `session.readUsers` reads them. */
export function useUser(session: Session | undefined, userId: string): User | undefined {
  return useShown(session, (shown) => shown.user(userId));
}

/** Return whether a user is there; undefined for one who is not watched: `session.watch` does that. */
export function usePresence(session: Session | undefined, userId: string): Presence | undefined {
  return useShown(session, (shown) => shown.presence(userId));
}

function useShown<Shown>(session: Session | undefined, show: (session: Session) => Shown): Shown | undefined {
  const subscribe = useCallback((notify: () => void) => session?.onChange(notify) ?? unsubscribed, [session]);
  const snapshot = (): Shown | undefined => session && show(session);
  return useSyncExternalStore(subscribe, snapshot, snapshot);
}

function unsubscribed(): void {}
