"""A service's command as a process of its own: what it is fed, and what it answers, a JSON object a line."""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from services.runtime.process.records import LOOKED
from services.stack.trouble import Trouble

GO_ON = "what was done is kept: run the command again to go on"
# Of a line that a service writes.
_LINE_BYTES = 64 * 1024 * 1024
_SAID_LINES = 3
# As much as a pipe holds.
_PIPE_BYTES = 64 * 1024

Answer = Mapping[str, Any]


class Child:
    """A process that runs, and the last lines that it has written for people."""

    def __init__(self, service: str, process: asyncio.subprocess.Process) -> None:
        self._service = service
        self._process = process
        self._said: list[str] = []
        self._waiting = bytearray()
        self._listening = asyncio.create_task(self._listen())

    async def feed(self, number: int, record: str) -> None:
        """Hand over a record, an object as JSON, by its number; raises Trouble when the process has ended."""
        self._waiting += f'{{"where": "{number}", {record[1:]}\n'.encode()
        # Each of them by itself would cost as much again.
        if len(self._waiting) >= _PIPE_BYTES:
            await self._flush()

    async def end_look(self) -> None:
        """Say that what follows is to be written; raises Trouble when the process has ended."""
        self._waiting += b"\n"
        await self._flush()

    async def finish(self) -> None:
        """Say that nothing more comes; raises Trouble when the process has ended."""
        await self._flush()
        if self._process.stdin is not None:
            self._process.stdin.close()

    async def _flush(self) -> None:
        if self._process.stdin is not None:
            try:
                self._process.stdin.write(bytes(self._waiting))
                self._waiting.clear()
                await self._process.stdin.drain()
            except ConnectionError:
                await self.ended()
                raise Trouble(f"{self._service}: has ended too early") from None

    async def answers(self) -> AsyncIterator[Answer]:
        """Yield what the process answers, to its end."""
        if self._process.stdout is not None:
            async for line in self._process.stdout:
                yield json.loads(line)

    async def ended(self) -> None:
        """Wait for the end, or raise Trouble with what the process has said."""
        await self._listening
        if await self._process.wait() != 0:
            said = next(reversed(self._said), f"{self._service}: ended with status {self._process.returncode}")
            raise Trouble(f"{said}; {GO_ON}")

    async def kill(self) -> None:
        """End the process in any case; what it has not committed is not there."""
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await self._listening

    async def _listen(self) -> None:
        if self._process.stderr is not None:
            async for line in self._process.stderr:
                self._said = [*self._said[1 - _SAID_LINES :], line.decode(errors="replace").strip()]


@asynccontextmanager
async def feeding(child: Child, heard: Callable[[Answer], None], *, is_look: bool) -> AsyncIterator[Child]:
    """Feed an import that runs what it is to look at, or then to write.

    When the context is left, all that it was fed is answered, or it is Trouble.
    """

    async def hear() -> bool:
        async for answer in child.answers():
            if LOOKED in answer:
                return True
            heard(answer)
        return False

    hearing = asyncio.create_task(hear())
    try:
        yield child
        await (child.end_look() if is_look else child.finish())
        if not await hearing:
            await child.ended()
    finally:
        hearing.cancel()


async def exported(service: str, environ: Mapping[str, str]) -> AsyncGenerator[Answer, None]:
    """Yield the records of a service's export; raises Trouble when it breaks off."""
    async with running(service, environ, "export") as child:
        async for record in child.answers():
            yield record
        await child.ended()


@asynccontextmanager
async def running(service: str, environ: Mapping[str, str], *arguments: str) -> AsyncIterator[Child]:
    """Run a command of a service until the context is left."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"services.{service}", *arguments),
        env=environ,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=_LINE_BYTES,
        # Ctrl-C is for the command alone.
        start_new_session=True,
    )
    child = Child(service, process)
    try:
        yield child
    finally:
        await child.kill()
