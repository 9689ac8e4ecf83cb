"""The real Envoy in front of services that run in the test's process."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx

from services.edge import envoy
from services.stack.machine.health import EdgeHealth, Health
from services.stack.machine.ports import Port
from services.stack.machine.processes import Program
from services.stack.machine.supervisor import Child
from tests.support import tokens
from tests.support.eventually import HANG_SECONDS
from tests.support.suite import Suite
from tests.support.untold import nothing_told


@dataclass
class Edge:
    """A running edge, and ways to call it."""

    address: str
    suite: Suite
    child: Child
    channel: grpc.aio.Channel
    http: httpx.AsyncClient
    folder: Path
    metrics_address: str

    @property
    def log(self) -> str:
        """Everything that the edge has written."""
        file = self.folder / "edge.log"
        return file.read_text() if file.exists() else ""

    @property
    def admin_socket(self) -> Path:
        """Envoy's admin interface."""
        return self.folder / "run" / "admin.sock"

    async def admin(self, path: str, method: str = "GET") -> str:
        """Ask Envoy's admin interface."""
        return await envoy.admin(self.admin_socket, method, path)

    async def stat(self, name: str) -> int:
        """Return one of Envoy's counts."""
        answer = await self.admin(f"/stats?filter=^{name}$")
        return int(answer.strip().rpartition(" ")[2])

    async def json(self, path: str, body: object, token: str | None = None, **headers: str) -> httpx.Response:
        """Call a method in JSON."""
        return await self.http.post(path, json=body, headers={**_bearer(token), **headers})

    async def web(self, path: str, body: bytes, token: str | None = None, **headers: str) -> httpx.Response:
        """Call a method in gRPC-Web with the bytes of its message."""
        framed = b"\0" + len(body).to_bytes(4, "big") + body
        fixed = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1"}
        return await self.http.post(path, content=framed, headers={**fixed, **_bearer(token), **headers})


def _bearer(token: str | None) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"} if token is not None else {}


@asynccontextmanager
async def running_edge(
    suite: Suite, folder: Path, without: str = "", files: str = "", listen: str = "", **settings: str
) -> AsyncIterator[Edge]:
    """Run `services.edge serve` as in production, in front of the suite.

    `without` is a rule of edge_without, taken out of the rendering; `files` how many it may open, if not as many as
    the test may; `listen` where it listens, for whoever has to know before; `settings` are environment variables.
    """
    held, metrics = Port("127.0.0.1"), Port("127.0.0.1")
    address = listen or held.address
    command = _with_files(files, _command(without))
    program = Program("edge", command, _environment(suite, folder, address, metrics, settings), address)
    child = Child(program, folder / "edge.log", lambda _: None, lambda: None)
    await child.start()
    health = Listening() if "CHATKIT_EDGE_TLS_KEY_FILE" in settings else EdgeHealth()
    try:
        await child.wait_until(health, deadline=float("inf"))
        async with (
            grpc.aio.insecure_channel(address) as channel,
            httpx.AsyncClient(base_url=f"http://{address}", timeout=HANG_SECONDS, trust_env=False) as http,
        ):
            yield Edge(address, suite, child, channel, http, folder, metrics.address)
    finally:
        await child.stop(5.0)
        held.release()
        metrics.release()
    nothing_told([folder / "edge.log"])


class Listening(Health):
    """Tells whether a process accepts connections, encrypted or not."""

    async def __call__(self, address: str) -> bool:
        """Connect."""
        host, _, port = address.rpartition(":")
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except OSError:
            return False
        writer.close()
        return True


def _command(without: str) -> tuple[str, ...]:
    if without:
        return (sys.executable, "-m", "tests.support.edge_without", without)
    return (sys.executable, "-m", "services.edge", "serve")


def _with_files(most: str, command: tuple[str, ...]) -> tuple[str, ...]:
    return ("sh", "-c", 'ulimit -n "$0" && exec "$@"', most, *command) if most else command


def _environment(suite: Suite, folder: Path, listen: str, metrics: Port, settings: Mapping[str, str]) -> dict[str, str]:
    keys_file, _ = tokens.write_keys(folder)
    return {
        **os.environ,
        "CHATKIT_LISTEN": listen,
        "CHATKIT_METRICS_LISTEN": metrics.address,
        "CHATKIT_RUN_DIR": str(folder / "run"),
        "CHATKIT_INSTANCE": tokens.INSTANCE,
        "CHATKIT_KEYS_FILE": str(keys_file),
        "CHATKIT_KEYS_POLL_INTERVAL_SECONDS": "0.1",
        "CHATKIT_SHUTDOWN_GRACE_SECONDS": "1",
        # Whatever holds the worker up is met by everybody.
        "CHATKIT_CONCURRENCY": "1",
        **{f"CHATKIT_{name.upper()}_ADDRESS": server.address for name, server in suite.servers.items()},
        **{
            f"CHATKIT_{name.upper()}_HTTP_ADDRESS": server.http_address
            for name, server in suite.servers.items()
            if server.http_address
        },
        **settings,
    }


def kill(child: Child) -> None:
    """Kill a child the hard way."""
    if child.process is not None:
        os.kill(child.process.pid, signal.SIGKILL)
