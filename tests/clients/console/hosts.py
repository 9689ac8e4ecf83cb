"""Pages of other origins, which show the console or open it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass
class Host:
    """A site of one page, which may be another one each time."""

    origin: str
    page: str = ""


@asynccontextmanager
async def running_host() -> AsyncIterator[Host]:
    """Serve a page at an origin of its own."""
    host = Host("")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n" + host.page.encode())
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        host.origin = f"http://localhost:{server.sockets[0].getsockname()[1]}"
        yield host
