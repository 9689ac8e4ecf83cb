// Say Hello in the room lobby, and print the text of each message that comes.
//
// The session goes on by itself where the connection is lost: every message is told once. Where more was missed than the
// suite sends again, a change `roomReset` comes, and `session.room("lobby").messages` has the last ones.
import { connect, textOf } from "chatkit-client/node";

const [address, token] = process.argv.slice(2);
const session = connect(address, token).session();
await session.caughtUp();
const changes = session.changes();
await session.send("lobby", "Hello");
for await (const change of changes) {
  if (change.kind === "messageCreated" && change.roomId === "lobby") {
    console.log(textOf(change.message));
  }
}
