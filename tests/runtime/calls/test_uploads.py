"""Methods whose requests are a stream: the first request is admitted as any other, and the rest is bounded."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import grpc
import pytest
from chatkit.files.v1 import files_service_pb2 as pb2
from chatkit.files.v1.files_service_pb2_grpc import FilesServiceStub

from services.runtime.access.port import AccessGrant, AccessQuery
from services.runtime.calls.call import Call
from services.runtime.calls.handlers import Handlers
from services.runtime.calls.observing import Observer
from services.runtime.contract.errors import PermissionDenied
from services.runtime.contract.policies import Limits, methods_of
from services.runtime.ids import RoomUid, UserUid
from services.runtime.metrics.registry import Metrics
from services.runtime.streaming.open_streams import Streams
from tests.runtime.serving import serving
from tests.support import tokens
from tests.support.clock import ManualClock
from tests.support.eventually import eventually
from tests.support.refusals import refused

Behaviour = Callable[[Any, AsyncIterator[Any], Call], Any]
(METHOD,) = [one for one in methods_of(pb2.DESCRIPTOR.services_by_name["FilesService"]) if one.streams_requests]


class Served:
    """A server whose one method does what a test says."""

    def __init__(self, behaviour: Behaviour) -> None:
        limits = Limits({"STREAMS_PER_USER": 2, "FILE_CHUNK_BYTES": 100_000, "BATCH_REQUEST_BYTES": 150_000})
        self.clock = ManualClock()
        self.streams = Streams(limits, self.clock)
        verifier = tokens.verifier(self.clock, limits=limits)
        handlers = Handlers(
            verifier=verifier, limits=limits, streams=self.streams, access=self, observer=Observer(Metrics())
        )
        handler: Any = grpc.stream_unary_rpc_method_handler(handlers.requests(METHOD, behaviour))
        self.generic = grpc.method_handlers_generic_handler("chatkit.files.v1.FilesService", {METHOD.name: handler})
        self.channel: grpc.aio.Channel

    async def check(self, query: AccessQuery) -> AccessGrant:
        """Let everybody into every room but one."""
        if query.room_id == "closed":
            raise PermissionDenied("ROOM_ACCESS_DENIED", "no access", metadata={"room_id": "closed"})
        return AccessGrant(1, RoomUid(UUID(int=1)), UserUid(UUID(int=2)))

    def upload(self, requests: AsyncIterator[pb2.UploadFileRequest], user: str | None = "alice") -> Any:
        """Call the method."""
        token = tokens.token(user, now=self.clock.now()) if user is not None else ""
        return FilesServiceStub(self.channel).UploadFile(requests, metadata=tokens.bearer(token) if token else ())


@asynccontextmanager
async def _serving(behaviour: Behaviour) -> AsyncIterator[Served]:
    served = Served(behaviour)
    async with serving(served.streams, served.generic) as served.channel:
        yield served


async def _counting(first: Any, requests: AsyncIterator[Any], call: Call) -> pb2.UploadFileResponse:
    chunks = [request.chunk async for request in requests]
    response = pb2.UploadFileResponse()
    response.file.id, response.file.owner_id, response.file.size_bytes = first.file_id, call.acting_user, len(chunks)
    return response


async def _frames(*chunks: bytes, room_id: str = "lobby", file_id: str = "f") -> AsyncIterator[pb2.UploadFileRequest]:
    for number, chunk in enumerate(chunks):
        names = {"room_id": room_id, "file_id": file_id} if number == 0 else {}
        yield pb2.UploadFileRequest(chunk=chunk, **names)


async def test_the_method_gets_the_first_request_and_all_of_them_in_order() -> None:
    async with _serving(_counting) as served:
        answer = await served.upload(_frames(b"a", b"b", b"c"))
        assert (answer.file.id, answer.file.owner_id, answer.file.size_bytes) == ("f", "alice", 3)


async def test_the_first_request_is_admitted_as_that_of_every_method() -> None:
    async with _serving(_counting) as served:
        await refused(served.upload(_frames(b"a"), user=None), "TOKEN_MISSING")
        await refused(served.upload(_frames()), "REQUEST_MALFORMED")
        await refused(served.upload(_frames(b"a", file_id="")), "FIELD_REQUIRED")
        await refused(served.upload(_frames(b"a", room_id="closed")), "ROOM_ACCESS_DENIED")
        await refused(served.upload(_frames(b"a" * 100_001)), "LIMIT_EXCEEDED")


async def test_every_later_request_is_bounded_too() -> None:
    async with _serving(_counting) as served:
        error = await refused(served.upload(_frames(b"a", b"b" * 100_001)), "LIMIT_EXCEEDED")
        assert error.metadata == {
            "field": "chunk",
            "limit": "FILE_CHUNK_BYTES",
            "maximum": "100000",
            "actual": "100001",
        }
        await refused(served.upload(_frames(b"a", b"b" * 200_000)), "REQUEST_TOO_LARGE")


async def _refusing(_first: Any, requests: AsyncIterator[Any], _call: Call) -> pb2.UploadFileResponse:
    for _ in range(5):
        await anext(requests)
    raise PermissionDenied("FILE_OWNER_REQUIRED", "not yours", metadata={"file_id": "f"})


async def test_a_client_that_is_still_sending_hears_why_it_was_refused() -> None:
    async with _serving(_refusing) as served:
        for _ in range(5):
            await refused(served.upload(_frames(*[b"x" * 100_000] * 50)), "FILE_OWNER_REQUIRED")


async def _stuck(_first: Any, requests: AsyncIterator[Any], _call: Call) -> pb2.UploadFileResponse:
    async for _ in requests:
        pass
    return pb2.UploadFileResponse()


async def test_an_upload_counts_as_a_stream_and_ends_with_its_token() -> None:
    async with _serving(_stuck) as served:
        hold = asyncio.Event()

        async def held() -> AsyncIterator[pb2.UploadFileRequest]:
            yield pb2.UploadFileRequest(room_id="lobby", file_id="f")
            await hold.wait()

        open_ones = [asyncio.ensure_future(served.upload(held())) for _ in range(2)]
        await eventually(lambda: served.streams.count == 2)
        await refused(served.upload(_frames(b"a")), "QUOTA_EXCEEDED")
        await served.clock.advance(3601)
        for one in open_ones:
            await refused(one, "TOKEN_EXPIRED")
        await eventually(lambda: served.streams.count == 0)
        hold.set()


async def test_whoever_breaks_off_leaves_nothing_open() -> None:
    async with _serving(_stuck) as served:

        async def broken() -> AsyncIterator[pb2.UploadFileRequest]:
            yield pb2.UploadFileRequest(room_id="lobby", file_id="f")
            await eventually(lambda: served.streams.count == 1)
            call.cancel()
            await asyncio.Event().wait()

        call = served.upload(broken())
        with pytest.raises(asyncio.CancelledError):
            await call
        await eventually(lambda: served.streams.count == 0)
