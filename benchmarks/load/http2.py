"""The least of HTTP/2 that a client of gRPC needs, on bytes: a call costs it a tenth of what it costs the server.

Response headers are never decoded: a unary call that brings a message has succeeded, and one that ends without any was
refused. Windows are as large as they can be, so that a generator which reads never holds anybody back.
"""

import asyncio
import struct
from typing import Protocol, cast

_FRAME = struct.Struct(">HBBBI")
_FRAME_HEAD_BYTES = 9
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _ACK, _END_HEADERS = 0x1, 0x1, 0x4
_CANCEL = 0x8
_ENABLE_PUSH, _INITIAL_WINDOW_SIZE = 2, 4
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DEFAULT_WINDOW = 65_535
_LARGEST_WINDOW = 2**31 - 1
_LARGEST_FRAME = 16_384
_GRPC_HEAD_BYTES = 5
_FIRST_DYNAMIC = 62
_FOUR_BITS, _SEVEN_BITS = 0x0F, 0x7F


class Receiver(Protocol):
    """Whoever made a call."""

    def message(self, payload: bytes) -> None:
        """Take a message of the response."""

    def ended(self) -> None:
        """Learn that nothing more comes, whatever the reason."""


class Head:
    """The headers of calls to one method by one caller, encoded once."""

    def __init__(self, path: str, token: str = "", authority: str = "bench") -> None:
        headers = [
            (b"\x04", path),
            (b"\x01", authority),
            (b"\x0f\x10", "application/grpc"),
            (b"\x00\x02te", "trailers"),
        ]
        if token:
            headers.append((b"\x0f\x08", f"Bearer {token}"))
        self.literal = b"\x83\x86" + b"".join(name + _string(value) for name, value in headers)
        # As real clients do it: the first call on a connection fills the server's table, the others point into it.
        self.first = b"\x83\x86" + b"".join(_remembered(name) + _string(value) for name, value in headers)
        indexes = range(_FIRST_DYNAMIC + len(headers) - 1, _FIRST_DYNAMIC - 1, -1)
        self.indexed = b"\x83\x86" + bytes(0x80 | index for index in indexes)


def _remembered(name: bytes) -> bytes:
    """Return the start of a header that the server puts into its table, from the one of a header that it does not."""
    if name[0] == 0:
        return b"\x40" + name[1:]
    index = name[0] if name[0] < _FOUR_BITS else _FOUR_BITS + name[1]
    return bytes((0x40 | index,))


def _string(value: str) -> bytes:
    encoded = value.encode()
    if len(encoded) < _SEVEN_BITS:
        return bytes((len(encoded),)) + encoded
    rest, length = len(encoded) - _SEVEN_BITS, bytearray((_SEVEN_BITS,))
    while rest > _SEVEN_BITS:
        length.append(rest & _SEVEN_BITS | 0x80)
        rest >>= 7
    return bytes(length) + bytes((rest,)) + encoded


def _frame(kind: int, flags: int, stream_id: int, payload: bytes) -> bytes:
    length = len(payload)
    return _FRAME.pack(length >> 8, length & 0xFF, kind, flags, stream_id) + payload


class Connection(asyncio.Protocol):
    """One connection, and the calls on it."""

    def __init__(self, window: int = _LARGEST_WINDOW) -> None:
        self._window = window
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._receivers: dict[int, Receiver] = {}
        # Messages of which a part has come, by stream.
        self._parts: dict[int, bytes] = {}
        self._next_stream = 1
        self._indexed: Head | None = None
        self._unread = 0
        self._may_send = _DEFAULT_WINDOW
        # Calls that wait until the server has read what was sent before.
        self._held: list[bytes] = []
        self.is_open = False
        # Bytes of HTTP/2, both ways.
        self.sent = self.received = 0

    # The calls.

    def call(self, head: Head, body: bytes, receiver: Receiver) -> int:
        """Make a call; the receiver is told what comes of it. Returns what `cancel` is told."""
        return self._begin(head, _message(body), receiver, _END_STREAM)

    def begin(self, head: Head, part: bytes, receiver: Receiver) -> int:
        """Make a call of whose body only this part comes, never its end."""
        return self._begin(head, part, receiver, 0)

    def send(self, call: int, body: bytes) -> None:
        """Send a message of a call that was begun."""
        message = _message(body)
        self._write(_data_frames(call, message, 0), len(message))

    def _begin(self, head: Head, body: bytes, receiver: Receiver, end: int) -> int:
        if not self.is_open:
            asyncio.get_running_loop().call_soon(receiver.ended)
            return 0
        stream_id = self._next_stream
        self._next_stream += 2
        self._receivers[stream_id] = receiver
        if self._indexed is head:
            block = head.indexed
        elif self._indexed is None:
            block, self._indexed = head.first, head
        else:
            block = head.literal
        self._write(_frame(_HEADERS, _END_HEADERS, stream_id, block) + _data_frames(stream_id, body, end), len(body))
        return stream_id

    def _write(self, frames: bytes, size: int) -> None:
        self._may_send -= size
        if self._may_send < 0 or self._held:
            self._held.append(frames)
        else:
            self._put(frames)

    def cancel(self, call: int) -> None:
        """End a call; its receiver is told nothing more."""
        if self._receivers.pop(call, None) is not None:
            self._parts.pop(call, None)
            self._put(_frame(_RST_STREAM, 0, call, _CANCEL.to_bytes(4, "big")))

    def stop_reading(self) -> None:
        """Read nothing more, as a client that hangs."""
        self._wire().pause_reading()

    def read_on(self) -> None:
        """Read again."""
        self._wire().resume_reading()

    def close(self) -> None:
        """Close the connection; whoever waits for an answer is told that none comes."""
        if self._transport is not None:
            self._transport.close()

    # What asyncio tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet the server."""
        self._transport = cast("asyncio.Transport", transport)
        self.is_open = True
        self._put(greeting(self._window))

    def connection_lost(self, _error: Exception | None) -> None:
        """End every call."""
        self.is_open = False
        receivers, self._receivers = self._receivers, {}
        for receiver in receivers.values():
            receiver.ended()

    def data_received(self, data: bytes) -> None:
        """Take frames."""
        self.received += len(data)
        if self._rest:
            data = self._rest + data
        position, size = 0, len(data)
        while size - position >= _FRAME_HEAD_BYTES:
            high, low, kind, flags, stream_id = _FRAME.unpack_from(data, position)
            start = position + _FRAME_HEAD_BYTES
            end = start + (high << 8 | low)
            if end > size:
                break
            position = end
            if kind == _DATA:
                self._take_data(stream_id, data[start:end])
                if flags & _END_STREAM:
                    self._end(stream_id)
            elif kind == _HEADERS:
                if flags & _END_STREAM:
                    self._end(stream_id)
            else:
                self._take_control(kind, flags, stream_id, data[start:end])
        self._rest = data[position:]

    def _take_data(self, stream_id: int, payload: bytes) -> None:
        self._unread += len(payload)
        if self._unread > self._window // 2:
            self._put(_window_update(self._unread) + self._stream_update(stream_id))
            self._unread = 0
        receiver = self._receivers.get(stream_id)
        if receiver is None:
            return
        # Mostly a frame is one whole message.
        if stream_id not in self._parts and int.from_bytes(payload[1:5], "big") == len(payload) - _GRPC_HEAD_BYTES:
            receiver.message(payload[_GRPC_HEAD_BYTES:])
            return
        payload = self._parts.pop(stream_id, b"") + payload
        while len(payload) >= _GRPC_HEAD_BYTES:
            end = _GRPC_HEAD_BYTES + int.from_bytes(payload[1:5], "big")
            if end > len(payload):
                break
            receiver.message(payload[_GRPC_HEAD_BYTES:end])
            payload = payload[end:]
        if payload:
            self._parts[stream_id] = payload

    def _stream_update(self, stream_id: int) -> bytes:
        # A connection with a small window has one stream that is read at all.
        return _window_update(self._unread, stream_id) if self._window < _LARGEST_WINDOW else b""

    def _take_control(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if kind == _PING and not flags & _ACK:
            self._put(_frame(_PING, _ACK, 0, payload))
        elif kind == _SETTINGS and not flags & _ACK:
            self._put(_frame(_SETTINGS, _ACK, 0, b""))
        elif kind == _RST_STREAM:
            self._end(stream_id)
        elif kind == _WINDOW_UPDATE and stream_id == 0:
            self._may_send += int.from_bytes(payload, "big")
            if self._held and self._may_send >= 0:
                self._put(b"".join(self._held))
                self._held.clear()
        elif kind == _GOAWAY:
            # What is under way may end; the next call needs another connection.
            self.is_open = False

    def _end(self, stream_id: int) -> None:
        self._parts.pop(stream_id, None)
        receiver = self._receivers.pop(stream_id, None)
        if receiver is not None:
            receiver.ended()
        if not self.is_open and not self._receivers:
            self.close()

    def _put(self, data: bytes) -> None:
        self.sent += len(data)
        self._wire().write(data)

    def _wire(self) -> asyncio.Transport:
        if self._transport is None:
            raise RuntimeError("not connected")
        return self._transport


def _message(body: bytes) -> bytes:
    return b"\x00" + len(body).to_bytes(4, "big") + body


def _data_frames(stream_id: int, message: bytes, end: int) -> bytes:
    pieces = range(0, len(message), _LARGEST_FRAME)
    return b"".join(
        _frame(
            _DATA,
            end if start + _LARGEST_FRAME >= len(message) else 0,
            stream_id,
            message[start : start + _LARGEST_FRAME],
        )
        for start in pieces
    )


def greeting(window: int) -> bytes:
    """Return what a client says first."""
    settings = struct.pack(">HIHI", _ENABLE_PUSH, 0, _INITIAL_WINDOW_SIZE, window)
    said = _PREFACE + _frame(_SETTINGS, 0, 0, settings)
    return said + _window_update(window - _DEFAULT_WINDOW) if window > _DEFAULT_WINDOW else said


def taken_back(block: bytes, first_stream: int, count: int) -> bytes:
    """Return calls of which each is reset at once, with the headers of this block."""
    reason = _CANCEL.to_bytes(4, "big")
    return b"".join(
        _frame(_HEADERS, _END_HEADERS, stream_id, block) + _frame(_RST_STREAM, 0, stream_id, reason)
        for stream_id in range(first_stream, first_stream + 2 * count, 2)
    )


def unread(head: Head, count: int) -> bytes:
    """Return what a client says who makes so many calls without a message, and lets nothing of an answer through."""
    last = _END_HEADERS | _END_STREAM
    heads = (_frame(_HEADERS, last, 1 + 2 * number, head.literal) for number in range(count))
    return greeting(0) + b"".join(heads)


def _window_update(count: int, stream_id: int = 0) -> bytes:
    return _frame(_WINDOW_UPDATE, 0, stream_id, count.to_bytes(4, "big"))


async def connect(address: str, window: int = _LARGEST_WINDOW) -> Connection:
    """Open a connection."""
    host, _, port = address.rpartition(":")
    _, connection = await asyncio.get_running_loop().create_connection(lambda: Connection(window), host, int(port))
    return connection
