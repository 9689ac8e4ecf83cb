"""The real Envoy in front of services that run in the test's process."""

import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx

from services.stack.ports import Port
from services.stack.processes import Program
from services.stack.supervisor import Child, EdgeHealth
from tests.support.suite import Suite


@dataclass
class Edge:
    """A running edge, and ways to call it."""

    address: str
    suite: Suite
    child: Child
    channel: grpc.aio.Channel
    http: httpx.AsyncClient

    async def json(self, path: str, body: object, token: str | None = None, **headers: str) -> httpx.Response:
        """Call a method in JSON."""
        return await self.http.post(path, json=body, headers={**_bearer(token), **headers})

    async def web(self, path: str, body: bytes, token: str | None = None) -> httpx.Response:
        """Call a method in gRPC-Web with the bytes of its message."""
        framed = b"\0" + len(body).to_bytes(4, "big") + body
        headers = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1", **_bearer(token)}
        return await self.http.post(path, content=framed, headers=headers)


def _bearer(token: str | None) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"} if token is not None else {}


@asynccontextmanager
async def running_edge(suite: Suite, folder: Path) -> AsyncIterator[Edge]:
    """Run `services.edge serve` as in production, in front of the suite."""
    held = Port("127.0.0.1")
    environment = {
        **os.environ,
        "CHATKIT_LISTEN": held.address,
        "CHATKIT_RUN_DIR": str(folder),
        "CHATKIT_SHUTDOWN_GRACE_SECONDS": "1",
        **{f"CHATKIT_{name.upper()}_ADDRESS": server.address for name, server in suite.servers.items()},
    }
    program = Program("edge", (sys.executable, "-m", "services.edge", "serve"), environment, held.address)
    child = Child(program, folder / "edge.log", lambda _: None, lambda: None)
    await child.start()
    try:
        await child.wait_until(EdgeHealth(), deadline=float("inf"))
        async with (
            grpc.aio.insecure_channel(held.address) as channel,
            httpx.AsyncClient(base_url=f"http://{held.address}", timeout=30, trust_env=False) as http,
        ):
            yield Edge(held.address, suite, child, channel, http)
    finally:
        await child.stop(5.0)
        held.release()


def kill(child: Child) -> None:
    """Kill a child the hard way."""
    if child.process is not None:
        os.kill(child.process.pid, signal.SIGKILL)
