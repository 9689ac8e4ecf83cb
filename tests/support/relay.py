"""A way to a server over TCP that only carries bytes, and whose connections a test can cut."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Relay:
    """Carries bytes to an address and back."""

    def __init__(self, to: str) -> None:
        # Whether new connections are taken; others are cut at once.
        self.is_open = True
        # How many were cut.
        self.broken = 0
        self._to = to
        self._connections: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Listen, and give the address."""
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        try:
            yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            connections = tuple(self._connections)
            for connection in connections:
                connection.cancel()
            await asyncio.gather(*connections, return_exceptions=True)

    def cut(self) -> None:
        """Cut every connection."""
        for connection in self._connections:
            self.broken += 1
            connection.cancel()

    def carries(self, _piece: bytes) -> bool:
        """Tell whether the connection lives on with this piece."""
        return True

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.create_task(self._carry(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)
        await asyncio.wait([connection])

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = self._to.rpartition(":")
        writers = [writer]
        try:
            if not self.is_open:
                return
            inner_reader, inner_writer = await asyncio.open_connection(host, int(port))
            writers.append(inner_writer)
            pumps = [
                asyncio.create_task(self._pump(reader, inner_writer)),
                asyncio.create_task(self._pump(inner_reader, writer)),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        finally:
            for one in writers:
                one.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(16_384):
            if not self.carries(piece):
                return
            writer.write(piece)
            await writer.drain()
