"""A NATS server of the test's own, which it may pause, kill and start again at the same address."""

import json
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from services.runtime.bus.subjects import SUBJECTS
from services.stack.machine.ports import Port
from services.stack.nats import CONFIGURATION, binary, environment, url
from tests.support.eventually import HANG_SECONDS

# What would be a number unquoted, and means something in a URL and in a configuration.
PASSWORDS = {service: f"123e5 {service} @#$" for service in SUBJECTS}
_POLL_SECONDS = 0.01


class Nats:
    """The server."""

    def __init__(self, folder: Path, *options: str, passwords: Mapping[str, str] = PASSWORDS) -> None:
        self._passwords = passwords
        self.log = folder / "nats.log"
        self._options = options or ("--config", str(CONFIGURATION))
        # Held until `close`, so that nobody else has them when the server starts, or starts again.
        self._held = [Port("127.0.0.1", child="reuses address") for _ in range(2)]
        self.port, self._monitor_port = (int(held.address.partition(":")[2]) for held in self._held)
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, service: str = "messages") -> str:
        """Return what a service is told; empty for one that has no subjects."""
        if service not in self._passwords:
            return ""
        return url(f"127.0.0.1:{self.port}", service, quote(self._passwords[service]))

    def ask(self, path: str) -> str:
        """Return what it answers over HTTP."""
        url = f"http://127.0.0.1:{self._monitor_port}{path}"
        with urllib.request.urlopen(url, timeout=HANG_SECONDS) as answer:
            return str(answer.read().decode())

    def subscriptions(self) -> int:
        """Return how many subjects clients listen to, each of them for itself."""
        connections = json.loads(self.ask("/connz?subs=1"))["connections"]
        return sum(connection["subscriptions"] for connection in connections)

    def start(self) -> None:
        """Start it, and return when it takes connections."""
        ports = ("--port", str(self.port), "--http_port", str(self._monitor_port))
        command = [str(binary()), "--addr", "127.0.0.1", *ports, *self._options]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, env=environment(self._passwords), stdout=log, stderr=log)
        deadline = time.monotonic() + HANG_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), HANG_SECONDS).close()
            except OSError:
                assert self._process.poll() is None, self.log.read_text()
                assert time.monotonic() < deadline, self.log.read_text()
                time.sleep(_POLL_SECONDS)
            else:
                return

    def kill(self) -> None:
        """Kill it the hard way."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """Kill it and give its ports back."""
        self.kill()
        for held in self._held:
            held.release()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let it stand still while the context is open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)


@contextmanager
def running(folder: Path, *options: str, passwords: Mapping[str, str] = PASSWORDS) -> Iterator[Nats]:
    """Run a server while the context is open."""
    server = Nats(folder, *options, passwords=passwords)
    try:
        server.start()
        yield server
    finally:
        server.close()
