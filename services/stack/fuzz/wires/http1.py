"""One exchange over HTTP/1.1, on a connection of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from services.stack.fuzz.inputs import Answer, End, Input
from services.stack.fuzz.wires.patience import LEFT_SECONDS, MOST_KEPT_BYTES, OPEN_SECONDS

_WITHOUT_BODY = {204, 304}
_FIRST_FINAL_STATUS = 200
_PIECE_BYTES = 65_536


def written(sent: Input, host: str) -> bytes:
    """Return the bytes of an input; its head is written as it is, whatever it holds."""
    if not sent.head:
        return sent.body
    pseudo = {name: value for name, value in sent.head if name.startswith(b":")}
    lines = [b" ".join((pseudo.get(b":method", b"POST"), pseudo.get(b":path", b"/"), b"HTTP/1.1"))]
    lines += [b"host: " + host.encode()]
    lines += [name + b": " + value for name, value in sent.head if not name.startswith(b":")]
    return b"\r\n".join(lines) + b"\r\n\r\n" + sent.body


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sent: Input, host: str) -> Answer:
    """Send an input and return what came back; the caller bounds how long that takes."""
    writer.write(written(sent, host))
    if sent.is_ended and not sent.is_http:
        # There may be more to come, for all that the other end knows.
        with suppress(OSError):
            writer.write_eof()
    reading = _Reading(reader, sent)
    try:
        async with asyncio.timeout(None if sent.is_ended else OPEN_SECONDS):
            await reading.head()
            return await reading.body()
    except TimeoutError:
        return Answer(End.DROPPED)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
        return Answer(End.CLOSED, reading.status, reading.fields)


class _Reading:
    """An answer that is being read."""

    def __init__(self, reader: asyncio.StreamReader, sent: Input) -> None:
        self._reader = reader
        self._sent = sent
        self.status = 0
        self.fields: dict[str, str] = {}

    async def head(self) -> None:
        """Read the head of what is no mere sign that it goes on."""
        while self.status < _FIRST_FINAL_STATUS:
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.split("\r\n")
            status = first.split(" ")[1] if " " in first else ""
            if not status.isdigit():
                raise asyncio.IncompleteReadError(b"", None)
            self.status = int(status)
            pairs = (line.partition(":") for line in lines if line)
            self.fields = {name.strip().lower(): value.strip() for name, _, value in pairs}

    async def body(self) -> Answer:
        """Read the body, of a stream what comes at first."""
        if (b":method", b"HEAD") in self._sent.head or self.status in _WITHOUT_BODY:
            return Answer(End.ANSWERED, self.status, self.fields)
        body = bytearray()
        try:
            async with asyncio.timeout(None) as bound:
                async for piece in self._pieces():
                    if len(body) < MOST_KEPT_BYTES:
                        body += piece
                    if self._sent.is_stream and bound.when() is None:
                        bound.reschedule(asyncio.get_running_loop().time() + LEFT_SECONDS)
        except TimeoutError:
            return Answer(End.LEFT, self.status, self.fields, bytes(body))
        return Answer(End.ANSWERED, self.status, self.fields, bytes(body))

    async def _pieces(self) -> AsyncIterator[bytes]:
        if self.fields.get("transfer-encoding", "").lower() == "chunked":
            while size := int((await self._reader.readuntil(b"\r\n")).split(b";")[0], 16):
                yield await self._reader.readexactly(size)
                await self._reader.readexactly(2)
            await self._reader.readuntil(b"\r\n")
            return
        length = self.fields.get("content-length")
        left = int(length) if length is not None else None
        while left is None or left > 0:
            piece = await self._reader.read(min(_PIECE_BYTES, left or _PIECE_BYTES))
            if not piece:
                if left:
                    raise asyncio.IncompleteReadError(b"", left)
                return
            left = left - len(piece) if left is not None else None
            yield piece
