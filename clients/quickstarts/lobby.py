"""Say Hello in the room lobby, and print the text of each message that comes.

The session goes on by itself where the connection is lost: every message is told once. Where more was missed than the
suite sends again, a change ROOM_RESET comes, and `session.room("lobby").messages` has the last ones.
"""

import asyncio
import sys

from chatkit_client import ChangeKind, connect


async def main(address: str, token: str) -> None:
    """Follow the room until Ctrl-C."""
    async with connect(address, token) as client, client.session() as session:
        await session.caught_up()
        changes = session.changes()
        await session.send("lobby", "Hello")
        async for change in changes:
            if change.kind is ChangeKind.MESSAGE_CREATED and change.room_id == "lobby" and change.message is not None:
                print(change.message.parts[0].content, flush=True)


asyncio.run(main(sys.argv[1], sys.argv[2]))
