"""The relays of a suite, told from here: a way of its own for each link.

They run in a child process. A thread would share Python's lock with the clients that watch the suite, and what it
carries would slow them; a process takes only its share of the cores.
"""

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from services.stack.chaos.links import NATS, POSTGRES, Link
from services.stack.chaos.relay import Weather
from services.stack.chaos.relaying import Way
from services.stack.trouble import Trouble

# As libpq names it; the folder is what a process is told.
SOCKET = ".s.PGSQL.5432"
_FINE = Weather()


class Relays:
    """The process that carries, and which link goes which way."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        # What each process is told in the place of the other one's address.
        self.ways: dict[Link, str] = {}
        self._process = process
        self._numbers: dict[Link, int] = {}
        self._asking = asyncio.Lock()

    async def open(self, targets: Mapping[Link, str], folder: Path) -> None:
        """Make a relay for each link; `targets` are where they lead, PostgreSQL's socket as a path."""
        self._numbers = {link: number for number, link in enumerate(targets)}
        found = await self._ask([asdict(way) for way in self._described(targets, folder)])
        for link, address in zip(targets, found, strict=True):
            self.ways[link] = str(Path(address).parent) if link[1] == POSTGRES else address

    async def cut(self, link: Link) -> int:
        """Cut the connections of a link, and return how many there were."""
        return int(await self._ask({"number": self._numbers[link], "is_cut": True}))

    @asynccontextmanager
    async def faring(self, link: Link, weather: Weather, *, is_cut: bool = False) -> AsyncIterator[None]:
        """Let a link fare so while the context is open; its connections are cut first, or not."""
        order = {"number": self._numbers[link]}
        await self._ask({**order, "weather": asdict(weather), "is_cut": is_cut})
        try:
            yield
        finally:
            await self._ask({**order, "weather": asdict(_FINE)})

    def _described(self, targets: Mapping[Link, str], folder: Path) -> Iterator[Way]:
        for link, to in targets.items():
            number, path = self._numbers[link], ""
            if link[1] == POSTGRES:
                own = folder / str(number)
                own.mkdir()
                path = str(own / SOCKET)
            yield Way(number, to, path, is_nats=link[1] == NATS)

    async def _ask(self, what: object) -> Any:
        writing, reading = self._process.stdin, self._process.stdout
        assert writing is not None
        assert reading is not None
        async with self._asking:
            return await asyncio.shield(self._exchange(what, writing, reading))

    async def _exchange(self, what: object, writing: asyncio.StreamWriter, reading: asyncio.StreamReader) -> Any:
        with suppress(ConnectionError):
            writing.write(json.dumps(what).encode() + b"\n")
            await writing.drain()
        answer = await reading.readline()
        if not answer:
            raise Trouble("the relays between the processes have ended")
        return json.loads(answer)


@asynccontextmanager
async def relaying(targets: Mapping[Link, str]) -> AsyncIterator[Relays]:
    """Run a relay for each link while the context is open."""
    with tempfile.TemporaryDirectory(prefix="chatkit-") as folder:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services.stack.chaos.relaying"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            # A terminal's Ctrl-C is for the command alone, which then ends everything in order.
            start_new_session=True,
        )
        try:
            relays = Relays(process)
            await relays.open(targets, Path(folder))
            yield relays
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
