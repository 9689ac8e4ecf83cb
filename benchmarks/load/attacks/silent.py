"""Connections in HTTP/1.1, or in nothing at all, that are told something once and then next to nothing."""

import asyncio
import socket
from contextlib import suppress
from typing import Any, cast

from benchmarks.load.jobs import SilentJob
from benchmarks.load.room import spawn

_SMALL_BUFFER_BYTES = 4_096
_SEND_BUFFER_BYTES = 65_536
_SETTLE_SECONDS = 1.0
_SAID_SECONDS = 30.0
_HEAD = b"HTTP/1.1 "
_STATUS_BYTES = 3


class _Client(asyncio.Protocol):
    def __init__(self, opened: socket.socket, *, is_read: bool) -> None:
        self._socket = opened
        self._is_read = is_read
        self.transport: asyncio.Transport | None = None
        self.is_lost = False
        self._answer = b""
        self.may_write = asyncio.Event()
        self.may_write.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(0)

    def data_received(self, data: bytes) -> None:
        if not self._answer:
            self._answer = data[: len(_HEAD) + _STATUS_BYTES]

    def connection_lost(self, _error: Exception | None) -> None:
        self.is_lost = True
        self.may_write.set()

    def pause_writing(self) -> None:
        self.may_write.clear()

    def resume_writing(self) -> None:
        self.may_write.set()

    def status(self) -> str:
        """Return the status that was answered, empty when none was."""
        if not self._is_read and not self._answer:
            with suppress(OSError):
                # It stays where it is, so that nothing is read.
                self._answer = self._socket.recv(len(_HEAD) + _STATUS_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        return self._answer.removeprefix(_HEAD).decode("latin-1")


class Silent:
    """All the connections."""

    def __init__(self, job: SilentJob) -> None:
        self._job = job
        host, _, port = job.address.rpartition(":")
        self._address = (host, int(port))
        self._clients: list[_Client] = []
        self._failed = 0

    async def begin(self) -> None:
        """Open them all and say on each what is said."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number, said in enumerate(self._job.said):
            await asyncio.sleep(max(0.0, began + number / self._job.per_second - loop.time()))
            await self._come(said)
        with suppress(TimeoutError):
            async with asyncio.timeout(_SAID_SECONDS):
                for client in self._clients:
                    await client.may_write.wait()
        if self._job.drip_seconds:
            spawn(self._drip())
        await asyncio.sleep(_SETTLE_SECONDS)

    async def _come(self, said: bytes) -> None:
        loop = asyncio.get_running_loop()
        opened = socket.socket()
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER_BYTES)
        # What waits here is not the suite's.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        opened.setblocking(False)
        client = _Client(opened, is_read=self._job.is_read)
        try:
            await loop.sock_connect(opened, self._address)
            await loop.create_connection(lambda: client, sock=opened)
        except OSError:
            # Turned away, or no more files may be opened here.
            self._failed += 1
            opened.close()
            return
        self._clients.append(client)
        if client.transport is None:
            return
        if not self._job.is_read:
            # Not before: uvloop begins to read after it has told of the connection.
            client.transport.pause_reading()
        if said:
            client.transport.write(said)

    async def _drip(self) -> None:
        while True:
            await asyncio.sleep(self._job.drip_seconds)
            for client in self._clients:
                if client.transport is not None and not client.is_lost:
                    client.transport.write(b"x")

    def found(self) -> dict[str, Any]:
        """Return how many came, how many were turned away or closed, and what was answered."""
        answers: dict[str, int] = {}
        for client in self._clients:
            if status := client.status():
                answers[status] = answers.get(status, 0) + 1
        lost = sum(client.is_lost for client in self._clients)
        told = {f"answered_{status}": count for status, count in sorted(answers.items())}
        return {"came": len(self._clients), "turned_away": self._failed, "closed": lost, **told}
