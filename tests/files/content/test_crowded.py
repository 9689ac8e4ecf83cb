"""Those who take every place there is, and hold it with a byte now and then: nobody else is kept out for it."""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import grpc
import pytest
from chatkit.files.v1 import files_service_pb2 as pb2

from services.files.content.places import TICK_SECONDS, Bounds
from services.files.content.uploads import Uploads
from services.files.model import File, FileUid
from services.files.service import Files
from services.runtime.contract.errors import ResourceExhausted, Unavailable
from services.runtime.ids import UserUid
from tests.files.http.reading import Reader
from tests.files.library import PICTURE, Library, library, sha256, user
from tests.files.world import World
from tests.support.databases import TestDatabase
from tests.support.eventually import eventually
from tests.support.refusals import check, refused

# The default of LIMIT_TRANSFER_BYTES_PER_SECOND.
_PACE = 1_024
# Longer than a test may hang: whoever is ended was ended by the pace, and by no real time.
_PATIENCE = 200
_LARGE = bytes(5_242_880)
# What gRPC's client says when it was just sending while its call was ended: the reason is lost.
_CUT_WHILE_SENDING = "Internal error from Core"


@dataclass
class _Put:
    """A PUT over a connection of its own, and all that came back on it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    content: bytes
    sent: int = 0
    answer: bytes = b""
    _reading: "asyncio.Task[None] | None" = field(default=None)

    def send(self, count: int) -> None:
        """Send so many bytes more."""
        self.writer.write(self.content[self.sent : self.sent + count])
        self.sent = min(self.sent + count, len(self.content))

    async def read(self) -> None:
        """Read the answer to its end."""
        self.answer = await self.reader.read()

    @property
    def is_answered(self) -> bool:
        """Whether all of the answer is there."""
        if self._reading is None:
            self._reading = asyncio.create_task(self.read())
        return self._reading.done()


@asynccontextmanager
async def _put(url: str, content: bytes) -> AsyncIterator[_Put]:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    head = f"PUT {parts.path}?{parts.query} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
    writer.write(f"{head}content-length: {len(content)}\r\n\r\n".encode())
    try:
        yield _Put(reader, writer, content)
    finally:
        writer.close()


@pytest.fixture
async def patient(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Library]:
    """Run the service with a patience that no test can wait for."""
    async with library(database, tmp_path, file_stall_seconds=_PATIENCE) as running:
        yield running


def _stepping(shelf: Library, has_ended: Callable[[], bool], step: Callable[[], None]) -> Callable[[], bool]:
    """Return a condition that lets a second pass, and every third time does something, until it holds."""
    count = 0

    def condition() -> bool:
        nonlocal count
        count += 1
        shelf.clock.leap(TICK_SECONDS)
        if has_ended():
            return True
        if count % 3 == 0:
            step()
        return False

    return condition


async def test_a_put_of_a_byte_every_three_seconds_is_ended_and_one_at_the_pace_goes_on(patient: Library) -> None:
    content = bytes(range(256)) * 4 * 3 * (_PATIENCE // 2)
    async with (
        _put((await patient.create()).upload_url, PICTURE) as slow,
        _put((await patient.create(content)).upload_url, content) as honest,
    ):
        honest.send(1)
        slow.send(1)
        await eventually(lambda: patient.database.count("files.uploads") == 2)

        def step() -> None:
            if not slow.is_answered:
                slow.send(1)
            honest.send(3 * _PACE)

        await eventually(_stepping(patient, lambda: slow.is_answered and honest.is_answered, step))
        assert slow.answer.startswith(b"HTTP/1.1 408 ")
        assert b'"DEADLINE_EXCEEDED"' in slow.answer
        assert b"the content must move at 1024 bytes per second or more" in slow.answer
        assert honest.answer.startswith(b"HTTP/1.1 200 ")
        # It took longer than anybody may pause.
        assert slow.sent < len(PICTURE)
        assert len(content) > _PACE * _PATIENCE
    await eventually(lambda: patient.database.count("files.uploads") == 0)
    assert len(patient.stored()) == 1


async def _frames_of_a_byte(patient: Library) -> grpc.aio.AioRpcError:
    """Send content in frames of a byte until that is ended."""
    created = await patient.create()
    wanted: asyncio.Queue[bytes] = asyncio.Queue()

    async def frames() -> AsyncIterator[pb2.UploadFileRequest]:
        yield pb2.UploadFileRequest(room_id="lobby", file_id=created.file.id)
        while True:
            yield pb2.UploadFileRequest(chunk=await wanted.get())

    call = patient.stub.UploadFile(frames(), metadata=user("alice"))
    await eventually(lambda: patient.database.count("files.uploads") == 1)
    await eventually(_stepping(patient, call.done, lambda: wanted.put_nowait(b"x")))
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await call
    return ended.value


async def test_frames_of_a_byte_every_three_seconds_are_ended(patient: Library) -> None:
    ended = await _frames_of_a_byte(patient)
    while ended.details() == _CUT_WHILE_SENDING:
        ended = await _frames_of_a_byte(patient)
    error = check(ended, "DEADLINE_EXCEEDED")
    assert error.metadata == {"limit": "TRANSFER_BYTES_PER_SECOND", "minimum": "1024"}
    await eventually(lambda: patient.database.count("files.uploads") == 0)
    assert patient.stored() == []


async def test_a_reader_of_a_byte_every_three_seconds_loses_the_connection(patient: Library) -> None:
    url = urlsplit((await patient.add(_LARGE)).download_url)
    loop = asyncio.get_running_loop()
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setblocking(False)
        await loop.sock_connect(connection, (url.hostname, url.port))
        connection.send(f"GET {url.path}?{url.query} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        assert (await loop.sock_recv(connection, 12)).startswith(b"HTTP/1.1 200")
        read = 0

        def step() -> None:
            nonlocal read
            read += len(connection.recv(1))

        def is_cut() -> bool:
            # Before it has read what lies in buffers for it: nobody waits for that.
            return connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNRESET

        await eventually(_stepping(patient, is_cut, step))
        assert 0 < read <= _PATIENCE


async def test_who_takes_all_places_gives_one_to_somebody_else_and_is_told_to_come_again(
    database: TestDatabase, tmp_path: Path
) -> None:
    overrides = {"UPLOADS_PER_PROCESS": 4, "UPLOADS_PER_USER": 4}
    async with library(database, tmp_path, limit_overrides=overrides) as shelf, AsyncExitStack() as stack:
        puts = []
        for _ in range(3):
            put = await stack.enter_async_context(_put((await shelf.create()).upload_url, PICTURE))
            put.send(1_000)
            puts.append(put)
            await eventually(lambda: shelf.database.count("files.uploads") == len(puts))
        go_on = asyncio.Event()
        created = await shelf.create()

        async def frames() -> AsyncIterator[pb2.UploadFileRequest]:
            yield pb2.UploadFileRequest(room_id="lobby", file_id=created.file.id)
            yield pb2.UploadFileRequest(chunk=PICTURE[:1_000])
            await go_on.wait()

        call = shelf.stub.UploadFile(frames(), metadata=user("alice"))
        await eventually(lambda: shelf.database.count("files.uploads") == 4)
        # First the newest, which came in frames, and then the newest of the others.
        first = await stack.enter_async_context(_put((await shelf.create(as_user="bob")).upload_url, PICTURE))
        first.send(1_000)
        error = await refused(call, "OVERLOADED")
        assert error.retry_after is not None
        go_on.set()
        bob = await shelf.add(as_user="bob")
        assert bob.sha256 == sha256(PICTURE)
        await puts[-1].read()
        assert puts[-1].answer.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1\r\n" in puts[-1].answer
        assert b'"OVERLOADED"' in puts[-1].answer
        # What was ended has gone, and the others come to their ends.
        await eventually(lambda: shelf.database.count("files.uploads") == 3)
        for put in (*puts[:2], first):
            put.send(len(PICTURE))
            await put.read()
            assert put.answer.startswith(b"HTTP/1.1 200 ")
        await eventually(lambda: shelf.database.count("files.uploads") == 0)
        assert len(shelf.stored()) == 4
        # Whoever was ended comes again.
        assert (await shelf.upload(created.file.id, [PICTURE])).sha256 == sha256(PICTURE)


class _Hostile:
    """Somebody who begins an upload and sends no more than a byte."""

    def __init__(self, uploads: Uploads, file: File) -> None:
        self.is_waiting = asyncio.Event()
        self.may_end = asyncio.Event()
        self.done = asyncio.create_task(uploads.take(file, self._content()))

    async def _content(self) -> AsyncIterator[bytes]:
        yield PICTURE[:1]
        self.is_waiting.set()
        await self.may_end.wait()


async def _all_of(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def test_ten_users_with_twenty_uploads_each_keep_no_eleventh_out(shelf: Library) -> None:
    world = World(shelf)
    uploads = world.uploads(world.store, Bounds(200, 20, _PATIENCE, _PACE))
    file = await world.store.find(FileUid(UUID((await shelf.create()).file.id)))
    own = await world.store.find(FileUid(UUID((await shelf.create(as_user="bob")).file.id)))
    assert file is not None
    assert own is not None
    owners = [replace(file, owner_uid=UserUid(uuid4())) for _ in range(10)]
    hostile = []
    for owner in owners:
        hostile += [_Hostile(uploads, owner) for _ in range(20)]
        await asyncio.gather(*(each.is_waiting.wait() for each in hostile))
    for owner in owners:
        with pytest.raises(ResourceExhausted, match="at most 20 uploads"):
            await uploads.take(owner, _all_of(PICTURE))
    assert (await uploads.take(own, _all_of(PICTURE))).sha256 == bytes.fromhex(sha256(PICTURE))
    ended = [each for each in hostile if each.done.done()]
    assert [type(each.done.exception()) for each in ended] == [Unavailable]
    assert uploads.places.count == 199
    for each in hostile:
        each.may_end.set()
    await asyncio.gather(*(each.done for each in hostile), return_exceptions=True)
    assert uploads.places.count == 0
    await uploads.close()
    assert shelf.database.count("files.uploads") == 0
    assert len(shelf.stored()) == 1
    await world.database.close()


async def test_ten_files_that_are_opened_a_hundred_times_each_keep_no_eleventh_from_being_read(shelf: Library) -> None:
    urls = [(await shelf.add()).download_url for _ in range(10)]
    other = (await shelf.add(_LARGE)).download_url
    world = World(shelf)
    http = world.http(Bounds(1_000, 100, _PATIENCE, _PACE))
    readers = []
    for url in urls * 5:
        readers += [Reader(http, url) for _ in range(20)]
        await asyncio.gather(*(reader.is_told.wait() for reader in readers))
    assert http.downloads.count == 1_000
    again = Reader(http, urls[0])
    await again.done
    assert (again.status, b"OVERLOADED" in again.body) == (503, True)
    honest = Reader(http, other)
    honest.may_read.set()
    await honest.done
    assert (honest.status, honest.body) == (200, _LARGE)
    assert [type(reader.done.exception()) for reader in readers if reader.done.done()] == [Unavailable]
    assert http.downloads.count == 999
    for reader in readers:
        reader.may_read.set()
    await asyncio.gather(*(reader.done for reader in readers), return_exceptions=True)
    assert http.downloads.count == 0
    await world.database.close()


class _SlowFiles:
    """Files whose content comes when a test says so."""

    def __init__(self, files: Files) -> None:
        self.find = files.find
        self.asked = 0
        self.may_come = asyncio.Event()
        self._files = files

    async def content(self, file: File, start: int, end: int) -> AsyncIterator[bytes]:
        self.asked += 1
        await self.may_come.wait()
        async for piece in self._files.content(file, start, end):
            yield piece


async def test_a_download_whose_place_goes_before_its_answer_begins_is_answered(shelf: Library) -> None:
    url, other = (await shelf.add()).download_url, (await shelf.add(name="other")).download_url
    world = World(shelf)
    slow = _SlowFiles(world.files()[0])
    http = world.http(Bounds(2, 2, 60, 1), cast("Files", slow))
    readers = []
    for each in (url, url, other):
        readers.append(Reader(http, each))
        await eventually(lambda: slow.asked == len(readers))
    slow.may_come.set()
    first, second, third = readers
    await second.done
    assert (second.status, b"OVERLOADED" in second.body) == (503, True)
    for reader in (first, third):
        reader.may_read.set()
        await reader.done
        assert reader.status == 200
    assert http.downloads.count == 0
    await world.database.close()
