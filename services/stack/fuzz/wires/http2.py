"""One call over HTTP/2, on a connection of its own: the other end may think of it what it likes, and of no other call.

Windows are kept to, and nothing else that a client owes.
"""

import asyncio
from contextlib import suppress
from enum import IntEnum

from services.stack.fuzz.inputs import Answer, End, Input
from services.stack.fuzz.wires import hpack
from services.stack.fuzz.wires.patience import LEFT_SECONDS, MOST_KEPT_BYTES, OPEN_SECONDS

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_END_STREAM = _ACK = 1
_END_HEADERS, _PADDED, _PRIORITY = 4, 8, 32
_TABLE_SIZE, _PUSH, _INITIAL_WINDOW = 1, 2, 4
_LARGEST_WINDOW, _FIRST_WINDOW, _FRAME_BYTES = 2**31 - 1, 65_535, 16_384
_STREAM = 1
_CANCEL = 8


class Kind(IntEnum):
    """What a frame is."""

    DATA = 0
    HEADERS = 1
    RESET = 3
    SETTINGS = 4
    PING = 6
    GOAWAY = 7
    WINDOW = 8
    CONTINUATION = 9


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Write a frame."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def greeting() -> bytes:
    """Write what a client begins with: it keeps no table, and takes whatever comes at once."""
    settings = ((_TABLE_SIZE, 0), (_PUSH, 0), (_INITIAL_WINDOW, _LARGEST_WINDOW))
    said = b"".join(name.to_bytes(2, "big") + value.to_bytes(4, "big") for name, value in settings)
    more = (_LARGEST_WINDOW - _FIRST_WINDOW).to_bytes(4, "big")
    return _PREFACE + frame(Kind.SETTINGS, 0, 0, said) + frame(Kind.WINDOW, 0, 0, more)


async def call(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sent: Input) -> Answer:
    """Send an input and return what came back; the caller bounds how long that takes."""
    exchange = _Exchange(writer, sent)
    exchange.begin()
    try:
        async with asyncio.timeout(None if sent.is_ended else OPEN_SECONDS) as bound:
            while not exchange.is_over:
                header = await reader.readexactly(9)
                payload = await reader.readexactly(int.from_bytes(header[:3], "big"))
                exchange.take(header[3], header[4], int.from_bytes(header[5:], "big"), payload)
                if exchange.has_begun and sent.is_stream:
                    now = asyncio.get_running_loop().time()
                    bound.reschedule(min(bound.when() or now + LEFT_SECONDS, now + LEFT_SECONDS))
    except TimeoutError:
        return exchange.answer(End.LEFT if exchange.has_begun else End.DROPPED)
    except (asyncio.IncompleteReadError, ConnectionError):
        return exchange.answer(End.CLOSED)
    return exchange.answer(exchange.end)


class _Exchange:
    """What was said so far on both sides."""

    def __init__(self, writer: asyncio.StreamWriter, sent: Input) -> None:
        self._writer = writer
        self._sent = sent
        self._rest = memoryview(sent.body)
        self._windows = {0: _FIRST_WINDOW, _STREAM: _FIRST_WINDOW}
        self._initial = _FIRST_WINDOW
        self._block = b""
        self._head: dict[str, str] = {}
        self._body = bytearray()
        self.is_over = self.has_begun = False
        self.end = End.ANSWERED

    def begin(self) -> None:
        """Greet, and send as much as may be sent."""
        if not self._sent.head:
            # It is about frames, and has its own.
            self._writer.write(self._sent.body)
            with suppress(OSError):
                self._writer.write_eof()
            return
        block = hpack.encoded(self._sent.head)
        pieces = [block[at : at + _FRAME_BYTES] for at in range(0, len(block), _FRAME_BYTES)] or [b""]
        ends = _END_STREAM if not self._sent.body and self._sent.is_ended else 0
        self._writer.write(greeting())
        for number, piece in enumerate(pieces):
            last = _END_HEADERS if number == len(pieces) - 1 else 0
            kind, flags = (Kind.CONTINUATION, last) if number else (Kind.HEADERS, last | ends)
            self._writer.write(frame(kind, flags, _STREAM, piece))
        self._go_on()

    def take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        """Take a frame."""
        match kind:
            case Kind.DATA:
                self._take_body(flags, _unpadded(flags, payload))
            case Kind.HEADERS | Kind.CONTINUATION:
                self._take_head(flags, _unpadded(flags, payload) if kind == Kind.HEADERS else payload)
            case Kind.RESET if stream == _STREAM:
                self.is_over, self.end = True, self._reset_as(payload)
            case Kind.SETTINGS if self._sent.head and not flags & _ACK:
                self._settle(payload)
            case Kind.PING if self._sent.head and not flags & _ACK:
                self._writer.write(frame(Kind.PING, _ACK, 0, payload))
            case Kind.WINDOW if self._sent.head:
                self._windows[stream] = self._windows.get(stream, 0) + int.from_bytes(payload, "big")
                self._go_on()
            case Kind.GOAWAY if not self._sent.is_http:
                self.is_over, self.end = True, End.CLOSED

    def answer(self, end: End) -> Answer:
        """Return what has come, and let the other end know that no more is wanted."""
        if end in {End.LEFT, End.DROPPED}:
            with suppress(ConnectionError):
                self._writer.write(frame(Kind.RESET, 0, _STREAM, _CANCEL.to_bytes(4, "big")))
        status = self._head.get(":status", "0")
        return Answer(end, int(status) if status.isdigit() else 0, self._head, bytes(self._body))

    def _reset_as(self, payload: bytes) -> End:
        # Who has answered with everything may say that it reads no more.
        is_told = "grpc-status" in self._head or (payload == b"\0\0\0\0" and ":status" in self._head)
        return End.ANSWERED if is_told else End.RESET

    def _take_body(self, flags: int, payload: bytes) -> None:
        self.has_begun = self.has_begun or bool(payload)
        if len(self._body) < MOST_KEPT_BYTES:
            self._body += payload
        self.is_over = bool(flags & _END_STREAM)

    def _take_head(self, flags: int, payload: bytes) -> None:
        self._block += payload
        if flags & _END_STREAM:
            self.is_over = True
        if flags & _END_HEADERS:
            self._head.update(hpack.decoded(self._block))
            self._block = b""

    def _settle(self, payload: bytes) -> None:
        for at in range(0, len(payload), 6):
            if int.from_bytes(payload[at : at + 2], "big") == _INITIAL_WINDOW:
                initial = int.from_bytes(payload[at + 2 : at + 6], "big")
                self._windows[_STREAM] += initial - self._initial
                self._initial = initial
        self._writer.write(frame(Kind.SETTINGS, _ACK, 0))
        self._go_on()

    def _go_on(self) -> None:
        while self._rest and self._sent.head and not self.is_over:
            size = min(len(self._rest), _FRAME_BYTES, *self._windows.values())
            if size <= 0:
                return
            piece, self._rest = self._rest[:size], self._rest[size:]
            ends = _END_STREAM if not self._rest and self._sent.is_ended else 0
            self._writer.write(frame(Kind.DATA, ends, _STREAM, bytes(piece)))
            for stream in self._windows:
                self._windows[stream] -= size


def _unpadded(flags: int, payload: bytes) -> bytes:
    start, end = 0, len(payload)
    if flags & _PADDED:
        start, end = 1, end - payload[0]
    if flags & _PRIORITY:
        start += 5
    return payload[start:end]
