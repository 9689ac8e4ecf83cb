"""The whole suite as `up` runs it: real processes, which a test may kill."""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from services.stack.home import Home
from services.stack.machine.cluster import DATABASE, SUPERUSER
from services.stack.machine.recorded import environment
from tests.support.eventually import HANG_SECONDS, eventually
from tests.support.folders import files_in
from tests.support.untold import nothing_told, secrets_in


class RunningStack:
    """One home, and the `up` that runs in it now."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._options = options
        self.home = Home(folder / "home")
        self.address = ""
        self.process: asyncio.subprocess.Process | None = None
        self._output = folder / "up.out"

    @property
    def output(self) -> str:
        """What every `up` of this home has printed."""
        return self._output.read_text() if self._output.exists() else ""

    async def start(self) -> None:
        """Run `up`, at the same port as before, and return when it is ready."""
        before = self.output.count("\nready") + self.output.startswith("ready")
        port = self.address.rpartition(":")[2] or "0"
        with self._output.open("ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                *(
                    sys.executable,
                    "-m",
                    "services.stack",
                    "up",
                    "--home",
                    str(self.home.folder),
                    "--port",
                    port,
                    *self._options,
                ),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        await eventually(lambda: self.output.count("\nready") > before or self._ended())
        assert not self._ended(), self.output
        self.address = self.home.running_address()

    def pid(self, name: str) -> int:
        """Return the pid of a process of the suite."""
        return next(running.pid for running in self.home.state().processes if running.name == name)

    def signal(self, name: str, signum: int) -> None:
        """Send a signal to a process of the suite."""
        os.kill(self.pid(name), signum)

    def tables(self, service: str) -> dict[str, str]:
        """Return all that a service has in its tables as text, by table."""
        with psycopg.connect(self.dsn(service)) as connection:
            names = connection.execute(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = %s", (service,)
            ).fetchall()
            return {name: str(connection.execute(f"SELECT * FROM {service}.{name}").fetchall()) for (name,) in names}

    def dsn(self, service: str) -> str:
        """Return where a service's database is, with what it signs in with."""
        return environment(self.home, service)["CHATKIT_DATABASE_URL"].replace("+psycopg", "")

    @property
    def superuser_dsn(self) -> str:
        """Where PostgreSQL is, with what its superuser signs in with."""
        folder = next(running.address for running in self.home.state().processes if running.name == "postgres")
        return make_conninfo(host=folder, user=SUPERUSER, password=self.home.passwords[SUPERUSER], dbname=DATABASE)

    async def kill(self) -> None:
        """Kill `up` itself the hard way; what it started runs on."""
        assert self.process is not None
        self.process.kill()
        await self.process.wait()

    async def stop(self) -> int:
        """Press Ctrl-C, and return the exit status."""
        assert self.process is not None
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(HANG_SECONDS):
            return await self.process.wait()

    def _ended(self) -> bool:
        return self.process is not None and self.process.returncode is not None


@asynccontextmanager
async def running_stack(*options: str) -> AsyncIterator[RunningStack]:
    """Run the suite in a folder of its own; `options` are those of `up`."""
    with tempfile.TemporaryDirectory(prefix="stack-") as folder:
        stack = RunningStack(Path(folder), *options)
        try:
            await stack.start()
            yield stack
        finally:
            await stack.stop()
        nothing_told(files_in(stack.home.logs), secrets_in(stack.home.folder / "secrets"))
