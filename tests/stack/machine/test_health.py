"""Who is asked for its health and says nothing is not healthy, and the connection that asked is closed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from services.stack.machine import health
from services.stack.machine.health import EdgeHealth, Health, NatsHealth
from tests.support.eventually import HANG_SECONDS

_SILENT = b""


@asynccontextmanager
async def _serving(answer: bytes) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """Answer who connects, and tell when they have gone."""
    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await reader.read()
        gone.set()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield f"{host}:{port}", gone


@pytest.mark.parametrize(
    ("asked", "answer", "is_healthy"),
    [
        (NatsHealth(), b"INFO {}\r\n", True),
        (NatsHealth(), b"HTTP/1.1 400 Bad Request\r\n", False),
        (EdgeHealth(), b"HTTP/1.1 200 OK\r\n", True),
        (EdgeHealth(), b"HTTP/1.1 503 Service Unavailable\r\n", False),
        (NatsHealth(), _SILENT, False),
        (EdgeHealth(), _SILENT, False),
    ],
)
async def test_whoever_is_asked_is_left_alone_afterwards(
    monkeypatch: pytest.MonkeyPatch, asked: Health, answer: bytes, is_healthy: bool
) -> None:
    if not answer:
        monkeypatch.setattr(health, "_ASK_SECONDS", 0.05)
    async with _serving(answer) as (address, gone):
        assert await asked(address) is is_healthy
        async with asyncio.timeout(HANG_SECONDS):
            # EdgeHealth has said something before.
            await gone.wait()


async def test_nobody_there_is_not_healthy() -> None:
    async with _serving(_SILENT) as (address, _):
        pass
    assert not await NatsHealth()(address)
