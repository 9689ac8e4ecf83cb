"""A NATS server of the test's own, which it may pause, kill and start again at the same address."""

import json
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from services.stack.nats import CONFIGURATION, binary, quoted

TOKEN = "123e5 the token, which would be a number unquoted"
_START_SECONDS = 20.0


class Nats:
    """The server."""

    def __init__(self, folder: Path, *options: str, token: str = TOKEN) -> None:
        self._token = token
        self.log = folder / "nats.log"
        self._options = options or ("--config", str(CONFIGURATION))
        self.port, self._monitor_port = _free_port(), _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """What a service is told."""
        return f"nats://{quote(self._token)}@127.0.0.1:{self.port}"

    def subscriptions(self) -> int:
        """Return how many subjects clients listen to, each of them for itself."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._monitor_port}/connz?subs=1", timeout=5) as answer:
            return sum(connection["subscriptions"] for connection in json.load(answer)["connections"])

    def start(self) -> None:
        """Start it, and return when it takes connections."""
        ports = ("--port", str(self.port), "--http_port", str(self._monitor_port))
        command = [str(binary()), "--addr", "127.0.0.1", *ports, *self._options]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, env={"NATS_TOKEN": quoted(self._token)}, stdout=log, stderr=log)
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert self._process.poll() is None, self.log.read_text()
                assert time.monotonic() < deadline, self.log.read_text()
            else:
                return

    def kill(self) -> None:
        """Kill it the hard way."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let it stand still while the context is open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def running(folder: Path, token: str = TOKEN) -> Iterator[Nats]:
    """Run a server while the context is open."""
    server = Nats(folder, token=token)
    server.start()
    try:
        yield server
    finally:
        server.kill()
