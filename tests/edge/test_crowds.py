"""Clients who fill the edge with connections, bodies and downloads that go nowhere, while somebody else sends."""

import asyncio
import itertools
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import h2.exceptions
import httpx
import pytest
from chatkit.messages.v1 import messages_service_pb2, part_pb2

from services.edge import envoy
from services.edge.rendering import overload
from services.edge.rendering.routes import STREAM_IDLE_SECONDS
from tests.edge.calling import Call
from tests.support import http2, tokens, uploads
from tests.support.databases import TestDatabase
from tests.support.edge import Edge, running_edge
from tests.support.envoys import envoy_of
from tests.support.eventually import HANG_SECONDS, eventually, until
from tests.support.suite import Suite, running

# By itself Envoy would take 250 that are given up.
_MOST_MADE = 200
_SEND = "/chatkit.messages.v1.MessagesService/SendMessage"
_CONTENT = b"x" * 5_242_880
_IDLE, _BODIES, _NOBODYS, _DOWNLOADS = 2_000, 300, 200, 1_100
# How many of them have a place: all have the same URL.
_MOST_DOWNLOADS = 100
_UNREAD_CONNECTIONS, _CALLS_OF_CONNECTION = 20, 100
_GIVEN_UP = "http2.tx_flush_timeout"
# How many an edge has room for that may open so many files.
_FILES, _PLACES = "3000", 1_000
# What Envoy may have: it begins to shed at 60 % of this.
_HEAP_MEGABYTES = 256
# Measured were 130 MB, and 190 MB before streams' buffers were small and one URL had its own bound.
_MOST_GROWTH_BYTES = 160 << 20

# Left are 15 MB, and for five minutes 65 MB where the allocator keeps what it expects to need again.
_MOST_LEFT_BYTES = 35 << 20


@pytest.fixture
async def suite(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Suite]:
    """Run the services in this process; a slow machine takes longer to open all downloads than one may stand still."""
    services = ("users", "rooms", "messages", "files")
    async with running(database, tmp_path, *services, file_stall_seconds=10 * HANG_SECONDS) as started:
        yield started


class Crowd:
    """Connections that are opened, told something once, and never read."""

    def __init__(self, edge: Edge) -> None:
        host, _, port = edge.address.rpartition(":")
        self._address = (host, int(port))
        self._open: list[socket.socket] = []

    async def come(self, count: int, said: bytes = b"") -> None:
        """Open so many connections, which say this; those that are turned away may be."""
        loop = asyncio.get_running_loop()
        for _ in range(count):
            opened = socket.socket()
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            opened.setblocking(False)
            self._open.append(opened)
            try:
                await loop.sock_connect(opened, self._address)
                opened.send(said)
            except OSError:
                continue
            await asyncio.sleep(0)

    def answered(self, status: str) -> int:
        """Count those who were answered with a status, and read nothing of it."""
        return sum(self._begins_with(opened, f"HTTP/1.1 {status}".encode()) for opened in self._open)

    @staticmethod
    def _begins_with(opened: socket.socket, said: bytes) -> bool:
        try:
            return opened.recv(len(said), socket.MSG_PEEK | socket.MSG_DONTWAIT) == said
        except OSError:
            return False

    def go(self) -> None:
        """Hang up."""
        for opened in self._open:
            opened.close()


@asynccontextmanager
async def _crowd(edge: Edge) -> AsyncIterator[Crowd]:
    crowd = Crowd(edge)
    try:
        yield crowd
    finally:
        crowd.go()


def _body(path: str, size: int, token: str | None) -> bytes:
    """Return a request in JSON whose last byte never comes."""
    lines = [f"POST {path} HTTP/1.1", "host: edge", "content-type: application/json", f"content-length: {size}"]
    lines += [f"authorization: Bearer {token}"] if token else []
    begun = b'{"roomId": "' + b"x" * 60_000
    return "\r\n".join([*lines, "", ""]).encode() + begun


async def _has_arrived(edge: Edge) -> bool:
    """Tell whether every download has come as far as files."""
    return await edge.stat("cluster.files_http.upstream_rq_total") >= _DOWNLOADS


async def _is_full(edge: Edge) -> bool:
    return await edge.stat("http.edge.downstream_cx_active") >= _PLACES - 10


async def _file(suite: Suite) -> str:
    url = (await uploads.add(suite.files, _CONTENT, tokens.user("bob"))).download_url
    return url[url.index("/files/") :]


@pytest.mark.slow
async def test_a_crowd_that_goes_nowhere_stops_nobody_and_fills_no_memory(suite: Suite, short_path: Path) -> None:
    await suite.make_users("alice", "bob")
    await suite.make_room("lobby", "alice", "bob")
    path = await _file(suite)
    part = part_pb2.Part(content_type="text/plain", content="hello")
    async with (
        asyncio.timeout(2 * HANG_SECONDS),
        running_edge(
            suite,
            short_path,
            CHATKIT_EDGE_HEAP_MEGABYTES=str(_HEAP_MEGABYTES),
            CHATKIT_LIMIT_REQUESTS_PER_USER_PER_SECOND="1000",
            CHATKIT_LIMIT_SENDS_PER_USER_PER_SECOND="1000",
        ) as edge,
        _crowd(edge) as crowd,
    ):

        async def send(number: int) -> None:
            request = messages_service_pb2.SendMessageRequest(room_id="lobby", parts=[part], request_id=f"{number}")
            call = Call(_SEND, request.SerializeToString())
            assert await call.by("grpc", edge) is None

        await send(0)
        before, most = envoy_of(edge).memory_info().rss, 0
        await crowd.come(_IDLE)
        await send(1)
        await crowd.come(_BODIES, _body(_SEND, 380_000, tokens.token("bob")))
        await send(2)
        await crowd.come(_NOBODYS, _body(_SEND, 6_000_000, None))
        await send(3)
        await crowd.come(_DOWNLOADS, f"GET {path} HTTP/1.1\r\nhost: edge\r\n\r\n".encode())
        await until(lambda: _has_arrived(edge))
        for number in range(4, 300):
            await send(number)
            most = max(most, envoy_of(edge).memory_info().rss - before)
        assert most < _MOST_GROWTH_BYTES
        # None has made place for another one because the system had taken the whole file from us.
        assert crowd.answered("200") == _MOST_DOWNLOADS
        crowd.go()
        # Nothing of it is left for long.
        await eventually(lambda: suite.servers["files"].streams.count == 0)
        sent = itertools.count(300)

        async def has_given_back() -> bool:
            await send(next(sent))
            return envoy_of(edge).memory_info().rss - before < _MOST_LEFT_BYTES

        await until(has_given_back)


async def test_answers_of_which_nothing_is_taken_are_given_up(suite: Suite, short_path: Path) -> None:
    async with running_edge(suite, short_path) as edge, _crowd(edge) as crowd:
        await crowd.come(_UNREAD_CONNECTIONS, http2.untaken("/descriptor.binpb", _CALLS_OF_CONNECTION))

        async def all_are_given_up() -> bool:
            # Envoy makes the counts of HTTP/2 with the first connection that speaks it.
            figures = await envoy.figures(edge.admin_socket, f"^{_GIVEN_UP}$")
            return figures.get(_GIVEN_UP) == _UNREAD_CONNECTIONS * _CALLS_OF_CONNECTION

        # Well before a stream has been idle for too long.
        async with asyncio.timeout(STREAM_IDLE_SECONDS / 2):
            await until(all_are_given_up)


async def test_connections_that_do_nothing_make_place_for_those_who_come(suite: Suite, short_path: Path) -> None:
    async with running_edge(suite, short_path, files=_FILES) as edge, _crowd(edge) as crowd:
        await crowd.come(_PLACES)
        await until(lambda: _is_full(edge))

        async def gets_in() -> bool:
            try:
                return (await edge.http.get("/health")).is_success
            except httpx.TransportError:
                return False

        assert not await gets_in()
        # Well before they would have been idle for too long.
        async with asyncio.timeout(STREAM_IDLE_SECONDS / 2):
            await until(gets_in)


async def test_a_connection_that_gives_up_its_calls_as_fast_as_it_makes_them_is_closed(
    suite: Suite, short_path: Path
) -> None:
    async with (
        running_edge(suite, short_path, CHATKIT_LIMIT_SENDS_PER_USER_PER_SECOND="1000") as edge,
        http2.connected(edge.address) as connection,
    ):

        async def is_closed_after_more() -> bool:
            """Give as many calls up as are taken in one turn, and wait for the answer of another one."""
            for _ in range(4):
                await connection.take_back(await connection.begin(_SEND, *tokens.user("alice")))
            answer = connection.answers[await connection.call(_SEND, b"")]
            await connection.until(lambda: answer.ended or connection.closed)
            return connection.closed

        for _ in range(20):
            assert not await is_closed_after_more()
        with suppress(ConnectionError, h2.exceptions.ProtocolError):
            while len(connection.answers) < _MOST_MADE and not await is_closed_after_more():
                pass
        assert len(connection.answers) < _MOST_MADE


async def test_the_edge_says_at_its_start_that_it_may_open_too_few_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 1024))
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
    with pytest.raises(ValueError, match=r"may open 1024 files, and needs 3000: raise the limit \(ulimit -n\)"):
        overload.room_for_connections()


@pytest.mark.parametrize(("hard", "taken"), [(20_000, 20_000), (1 << 30, 65_536), (resource.RLIM_INFINITY, 65_536)])
def test_the_edge_takes_no_more_files_than_it_can_use(monkeypatch: pytest.MonkeyPatch, hard: int, taken: int) -> None:
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: told.append(limits))
    assert overload.room_for_connections() == (taken - 1_000) // 2
    assert told == [(taken, hard)]
