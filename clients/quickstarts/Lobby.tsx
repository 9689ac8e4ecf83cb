// Show the text of each message of the room lobby, and say Hello there.
//
// The session goes on by itself where the connection is lost. What the hooks return is always how the room is now, so
// there is nothing to do about what was missed.
import { type Client, textOf } from "chatkit-client";
import { useRoom, useSession } from "chatkit-client/react";

/** `client` is made once, outside of what is rendered: connect("http://127.0.0.1:8080", token). */
export function Lobby({ client }: { client: Client }) {
  const session = useSession(client);
  const room = useRoom(session, "lobby");
  return (
    <>
      <button disabled={room === undefined} onClick={() => session?.send("lobby", "Hello")}>
        Say Hello
      </button>
      {room?.messages.map((message) => (
        <p key={`${message.seq}`}>{textOf(message)}</p>
      ))}
    </>
  );
}
