"""Two edges behind a load balancer are restarted, one after the other, while everything goes through them.

Nobody repeats anything: no call, no PUT and no GET may fail, however long it is under way. Streams end with `closed`,
and the client library resumes them without a hole.
"""

import asyncio
import itertools
import random
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
import httpx
import pytest
from chatkit.contract.v1 import error_reason_pb2
from chatkit.files.v1 import files_service_pb2 as files_pb2
from chatkit.files.v1.files_service_pb2_grpc import FilesServiceStub
from chatkit.messages.v1 import messages_service_pb2 as pb2
from chatkit.messages.v1 import part_pb2
from chatkit.messages.v1.messages_service_pb2_grpc import MessagesServiceStub

from chatkit_client.client import Client, connect
from services.edge import envoy
from services.stack.machine.health import EdgeHealth
from tests.faults.rolling import Call, Callers
from tests.support import tokens, uploads
from tests.support.balancer import Balancer, running_balancer, until_it_turns_to
from tests.support.edge import Edge, running_edge
from tests.support.eventually import HANG_SECONDS, eventually
from tests.support.faces import events
from tests.support.suite import Suite

_CALLERS = 2
_CONTENT = random.Random(1).randbytes(300_000)
_LARGE = random.Random(2).randbytes(4_000_000)
# A transfer is in so many pieces, and takes longer than an edge takes to send clients away.
_PIECES, _PAUSE_SECONDS = 20, (envoy.GOODBYE_SECONDS + 4) / 20
_GET_USER = "/chatkit.users.v1.UsersService/GetUser"
_SETTINGS = {
    # Longer than the balancer takes to notice, on a slow machine too.
    "CHATKIT_DRAIN_SECONDS": "10",
    # Longer than anything here takes: what is cut is not cut because the machine is slow.
    "CHATKIT_SHUTDOWN_GRACE_SECONDS": "3600",
    "CHATKIT_LIMIT_REQUESTS_PER_USER_PER_SECOND": "10000",
    "CHATKIT_LIMIT_SENDS_PER_USER_PER_SECOND": "10000",
}
# Each channel has a connection of its own, which the balancer gives to an edge.
_OWN = (("grpc.use_local_subchannel_pool", 1),)


@dataclass
class _World:
    suite: Suite
    edges: list[Edge]
    balancer: Balancer
    # A client's way to the suite, as an edge is to those who have one.
    front: Edge


@pytest.fixture
async def world(suite: Suite, short_path: Path) -> AsyncIterator[_World]:
    """Run two edges, and a balancer before them."""
    await suite.make_users("alice", "bob")
    await suite.make_room("lobby", "alice", "bob")
    async with AsyncExitStack() as stack:
        edges = []
        for name in ("one", "two"):
            folder = short_path / name
            folder.mkdir()
            edges.append(await stack.enter_async_context(running_edge(suite, folder, **_SETTINGS)))
        balancer = await stack.enter_async_context(running_balancer([edge.address for edge in edges], short_path))
        for edge in edges:
            await until_it_turns_to(balancer, edge.address)
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(balancer.address, options=_OWN))
        http = await stack.enter_async_context(
            httpx.AsyncClient(base_url=f"http://{balancer.address}", timeout=HANG_SECONDS, trust_env=False)
        )
        front = Edge(balancer.address, suite, edges[0].child, channel, http, short_path, "")
        yield _World(suite, edges, balancer, front)


class _Load(Callers):
    """Calls in gRPC and in JSON, and content that is long on its way up and down."""

    def __init__(self, world: _World, channels: Sequence[grpc.aio.Channel], large: str) -> None:
        super().__init__(_CALLERS)
        self._front = world.front
        self._messages = [MessagesServiceStub(channel) for channel in channels]
        self._files = [FilesServiceStub(channel) for channel in channels]
        self._large = large
        self.sent = 0

    def calls(self) -> Sequence[Call]:
        """List every kind of call."""
        return (self._send, self._call_json, self._upload, self._stream_up, self._download)

    async def _send(self, number: int) -> None:
        part = part_pb2.Part(content_type="text/plain", content=f"{number}")
        request = pb2.SendMessageRequest(room_id="lobby", parts=[part], request_id=f"{number}")
        await self._messages[number % _CALLERS].SendMessage(request, metadata=tokens.user("alice"))
        self.sent += 1

    async def _call_json(self, _number: int) -> None:
        answer = await self._front.json(_GET_USER, {"userId": "bob"}, tokens.token("alice"))
        assert answer.status_code == httpx.codes.OK, f"{answer.status_code} {answer.text}"

    async def _upload(self, number: int) -> None:
        create = _create(len(_CONTENT), f"put {number}")
        created = await self._files[number % _CALLERS].CreateFile(create, metadata=tokens.user("alice"))
        put = await self._front.http.put(_path(created.upload_url), content=_slowly(_CONTENT))
        assert put.status_code == httpx.codes.OK, f"PUT {put.status_code} {put.text}"

    async def _stream_up(self, number: int) -> None:
        stub = self._files[number % _CALLERS]
        created = await stub.CreateFile(_create(len(_CONTENT), f"stream {number}"), metadata=tokens.user("alice"))

        async def frames() -> AsyncIterator[files_pb2.UploadFileRequest]:
            yield files_pb2.UploadFileRequest(room_id="lobby", file_id=created.file.id)
            async for chunk in _slowly(_CONTENT):
                yield files_pb2.UploadFileRequest(chunk=chunk)

        upload: Any = stub.UploadFile
        await upload(frames(), metadata=tokens.user("alice"))

    async def _download(self, _number: int) -> None:
        read = b""
        async with self._front.http.stream("GET", self._large) as answer:
            assert answer.status_code == httpx.codes.OK, f"GET {answer.status_code}"
            async for chunk in answer.aiter_raw(len(_LARGE) // _PIECES):
                read += chunk
                await asyncio.sleep(_PAUSE_SECONDS)
        assert read == _LARGE, f"{len(read)} bytes of {len(_LARGE)}"


def _create(size: int, request_id: str) -> files_pb2.CreateFileRequest:
    return files_pb2.CreateFileRequest(
        room_id="lobby", content_type="image/png", size_bytes=size, request_id=request_id
    )


def _path(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


async def _slowly(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), len(content) // _PIECES):
        yield content[start : start + len(content) // _PIECES]
        await asyncio.sleep(_PAUSE_SECONDS)


@dataclass
class _Stream:
    """A subscription that is opened anew whenever it ends, and how each one ended."""

    front: Edge
    face: str
    opened: int = 0
    endings: list[str] = field(default_factory=list)
    seqs: list[int] = field(default_factory=list)

    async def go_on(self) -> None:
        """Read for ever."""
        while True:
            last = ""
            request = pb2.SubscribeRoomRequest(room_id="lobby", last=0)
            async with aclosing(events(self.face, self.front, request, tokens.token("bob"))) as opened:
                async for event in opened:
                    last = str(event.WhichOneof("event"))
                    self.opened += last == "caught_up"
                    if last == "closed":
                        last += f" {error_reason_pb2.ErrorReason.Name(event.closed.reason)}"
                        await asyncio.sleep(event.closed.retry_after.ToTimedelta().total_seconds())
                    if last == "message_created":
                        self.seqs.append(event.seq)
            self.endings.append(last)


async def _follow(client: Client, seqs: list[int], opened: list[int]) -> None:
    """Follow the room with the client library, which goes on by itself."""
    async with client.subscribe("lobby", 0) as subscription:
        async for item in subscription:
            if getattr(item, "seq", 0):
                seqs.append(item.seq)  # type: ignore[union-attr]
            opened.append(subscription.streams)
            assert (subscription.repeated, subscription.holes) == (0, 0)


async def _restart(world: _World, edge: Edge) -> None:
    """End an edge as a deployment does, and return when another one serves in its place."""
    child = edge.child
    assert child.process is not None
    child.process.send_signal(signal.SIGTERM)
    assert await child.process.wait() == 0
    assert "calls_cut" not in edge.log
    await child.start()
    await child.wait_until(EdgeHealth(), deadline=float("inf"))
    await until_it_turns_to(world.balancer, edge.address)


async def test_both_edges_are_restarted_and_nobody_loses_a_call_content_or_a_stream(world: _World) -> None:
    file = await uploads.add(world.suite.files, _LARGE, tokens.user("alice"))
    got = await world.suite.files.GetFile(
        files_pb2.GetFileRequest(room_id="lobby", file_id=file.id), metadata=tokens.user("alice")
    )
    async with AsyncExitStack() as stack:
        channels = [
            await stack.enter_async_context(grpc.aio.insecure_channel(world.balancer.address, options=_OWN))
            for _ in range(_CALLERS)
        ]
        client = await stack.enter_async_context(connect(world.balancer.address, tokens.token("bob"), options=_OWN))
        load = _Load(world, channels, _path(got.file.download_url))
        streams = [_Stream(world.front, face) for face in ("grpc", "grpc-web", "sse", "grpc", "grpc-web", "sse")]
        seqs: list[int] = []
        opened: list[int] = []
        tasks = [asyncio.create_task(stream.go_on()) for stream in streams]
        tasks.append(asyncio.create_task(_follow(client, seqs, opened)))
        await eventually(lambda: opened and all(stream.opened for stream in streams))
        load.begin()
        await load.some_more(1)
        async with asyncio.timeout(2 * HANG_SECONDS):
            for edge in world.edges:
                await _restart(world, edge)
                await load.some_more(1)
        await load.end()
        assert not load.failed
        assert not load.repeated
        assert load.answered
        await eventually(lambda: len(seqs) == load.sent or any(task.done() for task in tasks))
        assert seqs == list(range(1, load.sent + 1))
        for task in tasks:
            task.cancel()
        # Every stream met a restart.
        assert opened[-1] > 1
        endings = list(itertools.chain.from_iterable(stream.endings for stream in streams))
        assert set(endings) == {"closed SHUTTING_DOWN"}
        assert len(endings) >= len(streams)
        assert all(stream.seqs[-1:] for stream in streams)
