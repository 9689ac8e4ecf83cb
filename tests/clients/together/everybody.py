"""Clients of every kind, in one room."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from chatkit_client import ChangeKind, Client, Session, connect
from tests.clients.console.browser import running_browser
from tests.clients.together.curl import Curl
from tests.clients.together.login import Login
from tests.clients.together.tab import Tab, opened
from tests.clients.typescript.device import Device, running_device
from tests.stack.commands.typed import start_chatkit
from tests.support.eventually import HANG_SECONDS, eventually
from tests.support.stack import RunningStack

USERS = ("python", "node", "ann", "ben", "curl", "term")
_OF_THE_LOG = {ChangeKind.MESSAGE_CREATED, ChangeKind.MESSAGE_CHANGED, ChangeKind.MESSAGE_DELETED}


class Terminal:
    """`chatkit watch`, and what it has printed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.lines: list[dict[str, Any]] = []
        self.process = process

    async def read(self) -> None:
        """Read what it prints, to its end."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.append(json.loads(line))


@dataclass
class Everybody:
    """The clients that are in the room."""

    python: Session
    client: Client
    events: list[tuple[int, ChangeKind]]
    resets: list[int]
    node: Device
    tabs: list[Tab]
    ben: Tab
    curl: Curl
    terminal: Terminal


@asynccontextmanager
async def in_the_room(stack: RunningStack, login: Login) -> AsyncIterator[Everybody]:
    """Let everybody come into the room."""
    login.home, login.console = stack.home, f"http://{stack.address}"

    async def fetch() -> str:
        return login.token("python")

    watching = await start_chatkit(stack, "watch", "--json", "--as", "term")
    terminal, curl = Terminal(watching), Curl(stack.address, login, "curl")
    tasks = [asyncio.create_task(terminal.read()), asyncio.create_task(curl.follow())]
    try:
        async with (
            running_browser() as browser,
            running_device("node", stack.address, login.tokens_of("node")) as node,
            connect(stack.address, fetch) as client,
            client.session(watch=USERS) as session,
        ):
            events: list[tuple[int, ChangeKind]] = []
            resets: list[int] = []
            session.on_change(lambda one: events.append((one.seq, one.kind)) if one.kind in _OF_THE_LOG else None)
            session.on_change(lambda one: resets.append(one.seq) if one.kind is ChangeKind.ROOM_RESET else None)
            async with asyncio.timeout(HANG_SECONDS):
                await session.caught_up()
            tabs = await opened(browser, login.origin, "ann", 2)
            (ben,) = await opened(browser, login.origin, "ben", 1)
            await eventually(lambda: curl.streams and terminal.process.returncode is None)
            yield Everybody(session, client, events, resets, node, tabs, ben, curl, terminal)
    finally:
        # Not by Ctrl-C, which whoever runs tests in the background has told all of it to pass over.
        watching.terminate()
        await watching.wait()
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
