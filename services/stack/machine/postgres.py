"""A PostgreSQL of our own, from the wheel's binaries: a data folder, a private socket, no TCP.

It never changes the mode or owner of a folder that it did not make. As root it runs in a user namespace.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import psutil
import psycopg

from services.stack.machine import unprivileged
from services.stack.machine.cluster import BINARIES, SUPERUSER
from services.stack.machine.rotation import RotatingLog
from services.stack.trouble import Trouble

_START_SECONDS = 60.0
_POLL_SECONDS = 0.02
_SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "wal_compression": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "log_min_messages": "warning",
}


@dataclass
class Postgres:
    """A cluster; as a context manager it runs while the context is open."""

    data: Path
    log: Path
    password: str
    max_connections: int = 100
    settings: dict[str, str] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = None
    _socket_folder: Path | None = None
    _rotating: RotatingLog = field(init=False)

    def __post_init__(self) -> None:
        """Keep the log bounded."""
        self._rotating = RotatingLog(self.log)

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self.close()

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        return self._running().pid

    @property
    def socket_folder(self) -> Path:
        """Where the socket is: short, because a socket's path has at most 107 bytes, and ours alone."""
        if self._socket_folder is None:
            self._socket_folder = Path(tempfile.mkdtemp(prefix="chatkit-"))
        return self._socket_folder

    def dsn(self, user: str, password: str, database: str, folder: str = "") -> str:
        """Return a libpq URL; `folder` is where another socket leads here."""
        host = quote(folder or str(self.socket_folder))
        return f"postgresql://{quote(user)}:{quote(password)}@/{quote(database)}?host={host}"

    @property
    def superuser_dsn(self) -> str:
        """The URL of the cluster's superuser."""
        return self.dsn(SUPERUSER, self.password, "postgres")

    def start(self) -> None:
        """Start the server, making its data folder first if there is none; return when it takes connections."""
        self.initialise()
        self.end_orphan()
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Start the server and return at once."""
        settings = {**_SETTINGS, "max_connections": str(self.max_connections), **self.settings}
        options = [option for name, value in settings.items() for option in ("-c", f"{name}={value}")]
        command = [*as_ordinary_user(), str(BINARIES / "postgres"), "-D", str(self.data)]
        with self._rotating.taking() as log:
            self._process = subprocess.Popen(
                [*command, "-k", str(self.socket_folder), *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # A terminal's Ctrl-C is for `up` alone, which then stops everything in order.
                start_new_session=True,
            )

    def wait(self) -> None:
        """Return when the server takes connections."""
        deadline = time.monotonic() + _START_SECONDS
        while True:
            if self._running().poll() is not None:
                raise Trouble(f"PostgreSQL did not start; its log is {self.log}:\n{self._rotating.last_lines()}")
            try:
                psycopg.connect(self.superuser_dsn).close()
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline:
                    raise Trouble(f"PostgreSQL does not answer: {error}") from None
                time.sleep(_POLL_SECONDS)
            else:
                return

    def is_alive(self) -> bool:
        """Tell whether the postmaster runs."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """Stop it: open transactions are rolled back, what was committed is kept."""
        self._signal(signal.SIGINT)

    def kill(self) -> None:
        """Kill the postmaster the hard way, as a crash would; its children end by themselves."""
        self._signal(signal.SIGKILL)

    def restart(self) -> None:
        """Stop it and start it again."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop it and remove the socket's folder."""
        if self.is_alive():
            self.stop()
        if self._socket_folder is not None:
            shutil.rmtree(self._socket_folder, ignore_errors=True)
            self._socket_folder = None

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise Trouble("PostgreSQL was not started")
        return self._process

    def _signal(self, signum: int) -> None:
        process = self._running()
        process.send_signal(signum)
        process.wait(_START_SECONDS)

    def initialise(self) -> None:
        """Make the data folder if there is none."""
        if (self.data / "PG_VERSION").exists():
            return
        # Made beside its place and renamed, so that an interrupted start is not taken for a cluster.
        unfinished = self.data.with_name(self.data.name + ".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        with tempfile.NamedTemporaryFile("w") as password:
            password.write(self.password + "\n")
            password.flush()
            made = subprocess.run(
                [
                    *as_ordinary_user(),
                    str(BINARIES / "initdb"),
                    f"--pgdata={unfinished}",
                    f"--username={SUPERUSER}",
                    f"--pwfile={password.name}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--locale-provider=builtin",
                    "--locale=C.UTF-8",
                ],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
        if made.returncode != 0:
            raise Trouble(f"the database could not be made in {self.data.parent}: {made.stderr.strip()}")
        unfinished.rename(self.data)

    def end_orphan(self) -> None:
        """End a server that another `up` left behind in this data folder."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().splitlines()[0])
            process = psutil.Process(pid)
            is_ours = process.name() == "postgres" and str(self.data) in process.cmdline()
        except (OSError, ValueError, IndexError, psutil.Error):
            return
        if is_ours:
            process.send_signal(signal.SIGINT)
            process.wait(_START_SECONDS)


def as_ordinary_user() -> list[str]:
    """Return what to put before a command of PostgreSQL's so that it does not run as root."""
    if os.geteuid() != 0:
        return []
    prefix = [sys.executable, "-I", "-S", unprivileged.__file__]
    tried = subprocess.run(prefix, capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        raise Trouble(
            "PostgreSQL does not run as root, and this machine does not let root make a user namespace"
            f" ({tried.stderr.strip()}): run the command as an ordinary user"
        )
    return prefix
