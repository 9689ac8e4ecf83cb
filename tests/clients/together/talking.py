"""What everybody says, each by the ways of their own client, while processes are killed."""

import asyncio
import functools
import signal
from collections.abc import Awaitable, Callable

from chatkit_client import text
from chatkit_client.types import Part
from tests.clients.together.everybody import Everybody
from tests.clients.together.tab import Tab
from tests.stack.commands.typed import run_chatkit
from tests.support.eventually import eventually
from tests.support.stack import RunningStack

_PICTURE = (
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\10\4\0\0\0\xb5\x1c\x0c\2\0\0\0\x0bIDATx\xdac"
    b"d\xf8\x0f\0\1\5\1\1'\x18\xe3f\0\0\0\0IEND\xaeB`\x82"
)
# Who sends how many: 500 with the pictures.
_COUNTS = {"python": 145, "node": 150, "ann": 40, "ben": 40, "curl": 110, "term": 10}
PICTURES = 5
SENT = sum(_COUNTS.values()) + PICTURES
# What is killed when so much has happened.
_KILLS = ((100, "messages"), (250, "edge"), (400, "messages"))
# Nobody is so far ahead of those who listen that these would have to begin anew.
_MOST_AHEAD = 40


class Talking:
    """Everybody talks at once."""

    def __init__(self, stack: RunningStack, everybody: Everybody) -> None:
        self._stack = stack
        self._everybody = everybody

    async def run(self) -> None:
        """Return when all was sent."""
        one = self._everybody
        async with asyncio.TaskGroup() as group:
            group.create_task(self._say("python", self._by_python))
            group.create_task(self._say("node", self._by_node))
            group.create_task(self._say("ann", lambda content: _by_tab(one.tabs[0], content)))
            group.create_task(self._say("ben", lambda content: _by_tab(one.ben, content)))
            group.create_task(self._say("curl", one.curl.send))
            group.create_task(self._say("term", self._by_terminal))
            group.create_task(self._show_pictures())
            group.create_task(self._kill())

    async def _say(self, user_id: str, send: Callable[[str], Awaitable[None]]) -> None:
        for number in range(_COUNTS[user_id]):
            await send(f"{user_id} {number}")
            await eventually(self._is_near)

    def _is_near(self) -> bool:
        one = self._everybody
        heard = [len(one.events), len(one.node.events), len(one.curl.events), len(one.terminal.lines)]
        shown = [tab.newest for tab in (*one.tabs, one.ben)]
        return max(heard) - min(heard + shown) < _MOST_AHEAD

    async def _by_python(self, content: str) -> None:
        one = self._everybody
        message = await one.python.send("lobby", content)
        if message.seq % 10 == 0:
            parts = [text(f"{content}, edited")]
            await one.client.messages.edit_message(room_id="lobby", seq=message.seq, parts=parts)
        elif message.seq % 10 == 5:
            await one.client.messages.delete_message(room_id="lobby", seq=message.seq)

    async def _by_node(self, content: str) -> None:
        assert "done" in await self._everybody.node.do("send", "lobby", content)

    async def _by_terminal(self, content: str) -> None:
        # Whoever types a command repeats it where it has failed.
        command = ("send", "--as", "term", "--request-id", content, content)
        while (await run_chatkit(self._stack, *command))[0] != 0:
            pass

    async def _show_pictures(self) -> None:
        one = self._everybody
        for number in range(PICTURES):
            file = await one.client.upload("lobby", _PICTURE, name=f"picture-{number}.png", content_type="image/png")
            await one.python.send("lobby", [text(f"picture {number}"), Part(content_type="image/png", file_id=file.id)])

    async def _kill(self) -> None:
        events = self._everybody.events
        for goal, name in _KILLS:
            await eventually(functools.partial(lambda count: len(events) >= count, goal))
            self._stack.signal(name, signal.SIGKILL)


async def _by_tab(tab: Tab, content: str) -> None:
    await tab.write(content)
    await tab.page.locator(".message[data-seq]").get_by_text(content, exact=True).wait_for()
