"""A device of the TypeScript client, in a Node of its own, which does what a test tells it."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from protos import node
from tests.clients.typescript.tools import FOLDER
from tests.support.eventually import HANG_SECONDS, eventually

_PROGRAM = FOLDER / "build" / "test" / "programs" / "device.js"


class Device:
    """What a device has said, and ways to tell it what to do."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.said: list[dict[str, Any]] = []
        self._process = process

    @property
    def events(self) -> list[tuple[str, int, str]]:
        """The events of logs that it was told, in their order."""
        return [(one["kind"], one["seq"], one["text"]) for one in self.said if "seq" in one]

    @property
    def statuses(self) -> list[str]:
        """How it stood with its stream, but for how it began."""
        return [one["status"] for one in self.said if "status" in one]

    async def do(self, *words: object) -> dict[str, Any]:
        """Let it do something, and return how that ended."""
        line = await self.begin(*words)
        await eventually(lambda: self._answers(line))
        return self._answers(line)[-1]

    async def begin(self, *words: object) -> str:
        """Let it do something."""
        line = "|".join(map(str, words))
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
        await self._process.stdin.drain()
        return line

    async def shown(self, room_id: str = "lobby") -> dict[str, Any]:
        """Return what it shows of a room."""
        before = len(self.said)
        await self.begin("show", room_id)
        await eventually(lambda: any("shown" in one for one in self.said[before:]))
        return next(one for one in self.said[before:] if "shown" in one)

    async def listen(self) -> None:
        """Hear what it says, to its end."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.said.append(json.loads(line))

    def _answers(self, line: str) -> list[dict[str, Any]]:
        return [one for one in self.said if line in {one.get("done"), one.get("failed")}]


@asynccontextmanager
async def running_device(way: str, address: str, token: str) -> AsyncIterator[Device]:
    """Run a device until it was left; it must end well."""
    process = await asyncio.create_subprocess_exec(
        node.NODE, _PROGRAM, way, address, token, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    device = Device(process)
    listening = asyncio.create_task(device.listen())
    try:
        await eventually(lambda: any("ready" in one for one in device.said) or listening.done())
        yield device
        assert process.stdin is not None
        process.stdin.close()
        async with asyncio.timeout(HANG_SECONDS):
            await listening
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await listening
