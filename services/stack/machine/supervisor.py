"""Runs programs: starts them, waits until they are healthy, restarts those that crash, stops them in order."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from services.stack.machine.health import Health
from services.stack.machine.processes import Program
from services.stack.machine.rotation import RotatingLog
from services.stack.trouble import Trouble

_POLL_SECONDS = 0.05
_FIRST_DELAY_SECONDS = 0.2
_LONGEST_DELAY_SECONDS = 5.0
# A child that ran for this long starts anew with a short delay when it crashes.
_STEADY_SECONDS = 30.0

Say = Callable[[str], None]


class Child:
    """One program and the process that runs it now."""

    def __init__(self, program: Program, log: Path, say: Say, on_start: Callable[[], None]) -> None:
        self.program = program
        self.process: asyncio.subprocess.Process | None = None
        self._log = RotatingLog(log)
        self._say = say
        self._on_start = on_start
        self._stopping = False
        # Held by whoever puts another process in the place of the one that runs.
        self._replacing = asyncio.Lock()
        # What a process that is started from now on is told besides.
        self.told: dict[str, str] = {}

    async def start(self) -> None:
        """Start the process; its output goes to its log."""
        with self._log.taking() as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.program.command,
                env={**self.program.environment, **self.told},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # A terminal's Ctrl-C is for `up` alone, which then stops everything in order.
                start_new_session=True,
            )
        self._on_start()

    async def keep_alive(self) -> None:
        """Restart the process whenever it ends by itself, until it is stopped."""
        delay = _FIRST_DELAY_SECONDS
        while not self._stopping:
            started, process = time.monotonic(), self._running()
            status = await process.wait()
            async with self._replacing:
                if process is not self.process or self._stopping:
                    continue
                delay = _FIRST_DELAY_SECONDS if time.monotonic() - started > _STEADY_SECONDS else delay
                ended = f"{self.program.name} ended ({_status(status)})"
                self._say(f"{ended} and is started again; its log: {self._log.path}")
                await asyncio.sleep(delay)
                delay = min(delay * 2, _LONGEST_DELAY_SECONDS)
                if not self._stopping:
                    await self.start()

    @asynccontextmanager
    async def down(self, signum: int, seconds: float) -> AsyncIterator[None]:
        """End the process by a signal, and keep it from being started again while the context is open."""
        async with self._replacing:
            process = self._running()
            with suppress(ProcessLookupError):
                process.send_signal(signum)
            try:
                async with asyncio.timeout(seconds):
                    await process.wait()
            except TimeoutError:
                raise Trouble(f"{self.program.name} did not end within {seconds:.0f} s of signal {signum}") from None
            try:
                yield
            finally:
                await self.start()

    async def stop(self, seconds: float) -> None:
        """Ask the process to stop at once, because nothing takes its place, and end it when it does not."""
        self._stopping = True
        process = self.process
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
        try:
            async with asyncio.timeout(seconds):
                await process.wait()
        except TimeoutError:
            self._say(f"{self.program.name} did not end within {seconds:.0f} s and is killed")
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def wait_until(self, is_healthy: Health, deadline: float) -> None:
        """Return when the process is healthy."""
        while not await is_healthy(self.program.address):
            if self._running().returncode is not None:
                raise Trouble(f"{self.program.name} ended at once; {self._shown_log()}")
            if time.monotonic() > deadline:
                raise Trouble(f"{self.program.name} does not become healthy; {self._shown_log()}")
            await asyncio.sleep(_POLL_SECONDS)

    def last_words(self) -> str:
        """Return the last lines of the log."""
        return self._log.last_lines()

    def _shown_log(self) -> str:
        return f"its log is {self._log.path}:\n{self.last_words()}"

    def _running(self) -> asyncio.subprocess.Process:
        if self.process is None:
            raise Trouble(f"{self.program.name} was not started")
        return self.process


async def run_once(program: Program, log: Path) -> None:
    """Run a program to its end; one that fails is Trouble."""
    child = Child(program, log, say=lambda _: None, on_start=lambda: None)
    await child.start()
    process = child.process
    status = await process.wait() if process is not None else 0
    if status != 0:
        raise Trouble(f"the migration of {program.name} failed ({_status(status)}):\n{child.last_words()}")


def _status(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit status {status}"
