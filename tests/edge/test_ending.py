"""How an edge ends: who asks how it is, who has a stream, who sends, and who can't wait for that."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import grpc
import pytest
from chatkit.contract.v1 import error_reason_pb2
from chatkit.files.v1 import files_service_pb2 as files_pb2
from chatkit.messages.v1 import messages_service_pb2 as pb2
from chatkit.messages.v1 import part_pb2
from chatkit.messages.v1.messages_service_pb2_grpc import MessagesServiceStub

from services.edge import public
from services.edge.farewell import Farewell
from services.runtime.settings import TlsFiles
from tests.edge.calling import Call
from tests.support import tokens
from tests.support.backend import running_backend
from tests.support.certificates import Authority
from tests.support.edge import Edge, running_edge
from tests.support.eventually import HANG_SECONDS, eventually, until
from tests.support.faces import FACES, events
from tests.support.suite import Suite

_SUBSCRIPTION = pb2.SubscribeRoomRequest(room_id="lobby", last=0)


@pytest.fixture
async def suite(suite: Suite) -> Suite:
    """Make a room."""
    await suite.make_users("alice", "bob")
    await suite.make_room("lobby", "alice", "bob")
    return suite


async def _send(suite: Suite) -> int:
    part = part_pb2.Part(content_type="text/plain", content="hello")
    request = pb2.SendMessageRequest(room_id="lobby", parts=[part], request_id="only")
    return int((await suite.messages.SendMessage(request, metadata=tokens.user("alice"))).message.seq)


def _tell(edge: Edge, signum: int) -> None:
    assert edge.child.process is not None
    edge.child.process.send_signal(signum)


async def _ended(edge: Edge) -> int:
    assert edge.child.process is not None
    async with asyncio.timeout(HANG_SECONDS):
        return await edge.child.process.wait()


async def test_who_asks_is_told_first_and_everybody_else_served_until_a_second_signal(
    suite: Suite, short_path: Path
) -> None:
    async with running_edge(suite, short_path, CHATKIT_DRAIN_SECONDS="3600") as edge:
        assert (await edge.http.get("/health")).json()["status"] == "SERVING"
        _tell(edge, signal.SIGTERM)

        async def says_so() -> bool:
            return (await edge.http.get("/")).status_code == 503

        await until(says_so)
        for path in ("/", "/health"):
            answer = await edge.http.get(path)
            assert (answer.status_code, answer.json()["details"][0]["reason"]) == (503, "SHUTTING_DOWN")
        # Whom load balancers still send is served as before, on a connection of their own, too.
        async with grpc.aio.insecure_channel(edge.address) as channel:
            stub: Any = MessagesServiceStub(channel)
            stream = stub.SubscribeRoom(_SUBSCRIPTION, metadata=tokens.user("bob"))
            assert await stream.read() is not grpc.aio.EOF
            for face in FACES:
                assert await Call().by("json" if face == "sse" else face, edge) is None
            _tell(edge, signal.SIGTERM)
            assert await _ended(edge) == 0
        assert "streams_ended" not in edge.log


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_a_stream_ends_with_a_reason_and_a_position(
    suite: Suite, short_path: Path, face: str, signum: signal.Signals
) -> None:
    seq = await _send(suite)
    async with running_edge(suite, short_path, CHATKIT_DRAIN_SECONDS="0", **_PATIENT) as edge:
        seen = []
        async with asyncio.timeout(HANG_SECONDS):
            async for event in events(face, edge, _SUBSCRIPTION, tokens.token("bob")):
                seen.append(event)
                if event.HasField("caught_up"):
                    _tell(edge, signum)
        closed = seen[-1].closed
        assert closed.reason == error_reason_pb2.ERROR_REASON_SHUTTING_DOWN, seen
        assert closed.position.seq == seq
        assert closed.HasField("retry_after")
        assert await _ended(edge) == 0
        assert "calls_cut" not in edge.log


# More than anything takes.
_PATIENT = {"CHATKIT_SHUTDOWN_GRACE_SECONDS": "3600"}


async def test_services_that_ask_for_certificates_are_asked_by_the_name_that_theirs_has(tmp_path: Path) -> None:
    ours = Authority()
    pair = ours.sign("localhost")
    credentials = grpc.ssl_server_credentials([(pair.key, pair.certificate)], ours.pem, require_client_auth=True)
    files = TlsFiles(*ours.sign("edge").write(tmp_path, "edge"), ours.write_own(tmp_path))
    async with running_backend(credentials) as service:
        port = service.address.rpartition(":")[2]
        upstreams = {name: [f"localhost:{port}"] for name in public.CLUSTERS}
        telling = asyncio.create_task(Farewell(upstreams, bytes(32), files).say())
        await eventually(lambda: service.calls)
        telling.cancel()
        assert set(service.calls) == {"/chatkit.internal.edges.v1.EdgesService/EndStreams"}


async def _never_ends() -> AsyncIterator[bytes]:
    yield b"some"
    await asyncio.Event().wait()


async def test_what_does_not_come_to_an_end_is_cut_when_the_time_is_over(suite: Suite, short_path: Path) -> None:
    create = files_pb2.CreateFileRequest(room_id="lobby", content_type="image/png", size_bytes=9, request_id="only")
    created = await suite.files.CreateFile(create, metadata=tokens.user("alice"))
    path = created.upload_url.partition("/files/")[2]
    async with running_edge(suite, short_path, CHATKIT_SHUTDOWN_GRACE_SECONDS="0.5") as edge:
        sending = asyncio.create_task(edge.http.put(f"/files/{path}", content=_never_ends()))

        async def arrives() -> bool:
            return "downstream_rq_active: 1" in await edge.admin("/stats?filter=^http.edge.downstream_rq_active$")

        await until(arrives)
        _tell(edge, signal.SIGINT)
        assert await _ended(edge) == 0
        sending.cancel()
        await eventually(lambda: '"event": "calls_cut"' in edge.log and '"calls": 1' in edge.log)


async def test_a_service_that_can_not_be_asked_holds_nothing_up(suite: Suite, short_path: Path) -> None:
    async with running_edge(suite, short_path, CHATKIT_SHUTDOWN_GRACE_SECONDS="2") as edge:
        stream = events("grpc", edge, _SUBSCRIPTION, tokens.token("bob"))
        async with asyncio.timeout(HANG_SECONDS), aclosing(stream) as opened:
            async for event in opened:
                if event.HasField("caught_up"):
                    break
            await suite.stop("users")
            _tell(edge, signal.SIGINT)
            seen = [event async for event in opened]
        assert seen[-1].closed.reason == error_reason_pb2.ERROR_REASON_SHUTTING_DOWN
        assert await _ended(edge) == 0
        assert "streams_not_ended" in edge.log
