"""A client that speaks HTTP/2 frame by frame, for what no well-behaved client does."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings

from tests.support.eventually import HANG_SECONDS


class _Rude(h2.connection.H2Connection):
    """A connection that opens more streams than the other end allows."""

    @property
    def open_outbound_streams(self) -> int:
        """Claim that nothing is open."""
        return 0


@dataclass
class Answer:
    """What came back on a stream so far."""

    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    reset: int | None = None
    ended: bool = False


def untaken(path: str, calls: int) -> bytes:
    """Return all that a client says who asks for a page so many times, and lets not a byte of the answers through."""
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    closed = {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0}
    connection.local_settings = h2.settings.Settings(client=True, initial_values=closed)
    connection.initiate_connection()
    head = [(":method", "GET"), (":path", path), (":scheme", "http"), (":authority", "edge")]
    for number in range(calls):
        connection.send_headers(1 + 2 * number, head, end_stream=True)
    return connection.data_to_send()


class Connection:
    """An open connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str) -> None:
        config = h2.config.H2Configuration(client_side=True, header_encoding="utf-8", validate_outbound_headers=False)
        self._h2 = _Rude(config)
        self._reader = reader
        self._writer = writer
        self._address = address
        self.answers: dict[int, Answer] = {}
        # Set when the other end has closed the whole connection.
        self.closed = False
        self._progress = asyncio.Event()

    async def start(self) -> None:
        """Greet."""
        self._h2.initiate_connection()
        await self._flush()

    async def call(self, path: str, body: bytes, *headers: tuple[str, str]) -> int:
        """Send a gRPC call and return its stream's number."""
        number = await self.begin(path, *headers)
        await self.send(number, b"\0" + len(body).to_bytes(4, "big") + body)
        return number

    async def begin(self, path: str, *headers: tuple[str, str]) -> int:
        """Send the headers of a gRPC call and nothing else."""
        number = self._h2.get_next_available_stream_id()
        fixed = ((":method", "POST"), (":scheme", "http"), (":authority", self._address), (":path", path))
        grpc = (("content-type", "application/grpc"), ("te", "trailers"))
        self.answers[number] = Answer()
        self._h2.send_headers(number, [*fixed, *grpc, *headers])
        await self._flush()
        return number

    async def send(self, number: int, body: bytes) -> None:
        """Send the whole body of a call that has begun."""
        self._h2.send_data(number, body, end_stream=True)
        await self._flush()

    async def take_back(self, number: int) -> None:
        """Give a call up."""
        self._h2.reset_stream(number, error_code=h2.errors.ErrorCodes.CANCEL)
        await self._flush()

    async def until(self, condition: Callable[[], object]) -> None:
        """Return once the condition holds."""
        async with asyncio.timeout(HANG_SECONDS):
            while not condition():
                self._progress.clear()
                await self._progress.wait()

    async def read(self) -> None:
        """Take in what the other end sends, until it closes the connection."""
        try:
            while data := await self._reader.read(65536):
                for event in self._h2.receive_data(data):
                    self._take(event)
                await self._flush()
                self._progress.set()
        except ConnectionError:
            # Closed while something was on its way there.
            pass
        finally:
            self.closed = True
            self._progress.set()

    def _take(self, event: h2.events.Event) -> None:
        answer = self.answers.get(getattr(event, "stream_id", None) or 0, Answer())
        match event:
            case h2.events.ResponseReceived() | h2.events.TrailersReceived():
                answer.headers.update({str(name): str(value) for name, value in event.headers or ()})
            case h2.events.DataReceived():
                answer.body += event.data or b""
                self._h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
            case h2.events.StreamEnded():
                answer.ended = True
            case h2.events.StreamReset():
                answer.reset = int(event.error_code or 0)

    async def _flush(self) -> None:
        self._writer.write(self._h2.data_to_send())
        await self._writer.drain()


@asynccontextmanager
async def connected(address: str) -> AsyncIterator[Connection]:
    """Open a connection."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    connection = Connection(reader, writer, address)
    await connection.start()
    reading = asyncio.create_task(connection.read())
    try:
        yield connection
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        writer.close()


@asynccontextmanager
async def unread(address: str) -> AsyncIterator[Connection]:
    """Open a connection from which nothing is ever read."""
    host, _, port = address.rpartition(":")
    # Nothing is read into memory here either, beyond what the reader takes before it lets the socket wait.
    reader, writer = await asyncio.open_connection(host, int(port), limit=1)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    connection = Connection(reader, writer, address)
    await connection.start()
    try:
        yield connection
    finally:
        writer.transport.abort()
