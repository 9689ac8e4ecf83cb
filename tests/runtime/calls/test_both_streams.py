"""Methods whose requests and responses are streams: admitted before the first request, and each request is bounded."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

import grpc
import pytest
from chatkit.messages.v1 import messages_service_pb2 as pb2

from services.runtime.access.port import AccessGrant, AccessQuery
from services.runtime.calls.call import Call
from services.runtime.calls.edge_header import EDGE_HEADER
from services.runtime.calls.handlers import Handlers
from services.runtime.calls.observing import Observer
from services.runtime.contract.errors import PermissionDenied, Unavailable
from services.runtime.contract.policies import Limits, methods_of
from services.runtime.ids import RoomUid, UserUid
from services.runtime.metrics.registry import Metrics
from services.runtime.streaming.open_streams import Streams
from tests.runtime.serving import serving
from tests.support import tokens
from tests.support.clock import ManualClock
from tests.support.eventually import eventually
from tests.support.refusals import refused

Behaviour = Callable[[AsyncIterator[Any], Call], AsyncIterator[Any]]
_SERVICE = pb2.DESCRIPTOR.services_by_name["MessagesService"]
# Its first request may be an empty one, as that of every such method.
METHOD = replace(
    next(one for one in methods_of(_SERVICE) if one.name == "SubscribeRooms"), name="Both", streams_requests=True
)


class Served:
    """A server whose one method does what a test says."""

    def __init__(self, behaviour: Behaviour) -> None:
        limits = Limits({"STREAMS_PER_USER": 2, "BATCH_REQUEST_BYTES": 150_000, "ROOMS_PER_SUBSCRIPTION": 3})
        self.clock = ManualClock()
        self.streams = Streams(limits, self.clock)
        verifier = tokens.verifier(self.clock, limits=limits)
        self.handlers = Handlers(
            verifier=verifier, limits=limits, streams=self.streams, access=self, observer=Observer(Metrics())
        )
        handler: Any = grpc.stream_stream_rpc_method_handler(self.handlers.both(METHOD, behaviour))
        self.generic = grpc.method_handlers_generic_handler(_SERVICE.full_name, {METHOD.name: handler})
        self.channel: grpc.aio.Channel

    async def check(self, query: AccessQuery) -> AccessGrant:
        """Let everybody do everything: whether nobody asks is not the handler's business."""
        return AccessGrant(1, RoomUid(UUID(int=1)), UserUid(UUID(int=2)))

    def open(self, user: str | None = "alice", *, su: bool = False, edge: str = "", signed_in: bool = True) -> Any:
        """Call the method."""
        token = tokens.token(user, su=su, now=self.clock.now())
        metadata = (*(tokens.bearer(token) if signed_in else ()), (EDGE_HEADER, edge))
        method: Any = self.channel.stream_stream(
            f"/{_SERVICE.full_name}/{METHOD.name}",
            request_serializer=lambda request: request if isinstance(request, bytes) else request.SerializeToString(),
            response_deserializer=pb2.SubscribeRoomsResponse.FromString,
        )
        return method(metadata=metadata)


@asynccontextmanager
async def _serving(behaviour: Behaviour) -> AsyncIterator[Served]:
    served = Served(behaviour)
    async with serving(served.streams, served.generic) as served.channel:
        yield served


def _request(*rooms: str) -> pb2.SubscribeRoomsRequest:
    return pb2.SubscribeRoomsRequest(rooms=[{"room_id": room} for room in rooms])


def _response(room_id: str) -> pb2.SubscribeRoomsResponse:
    return pb2.SubscribeRoomsResponse(events=[{"room_id": room_id}])


async def _names(call: Any, count: int) -> list[str]:
    return [(await call.read()).events[0].room_id for _ in range(count)]


async def _echo(requests: AsyncIterator[Any], _call: Call) -> AsyncIterator[Any]:
    yield _response("open")
    async for request in requests:
        for room in request.rooms:
            yield _response(room.room_id)
    yield _response("over")


async def test_each_request_is_answered_while_others_may_come() -> None:
    async with _serving(_echo) as served:
        call = served.open()
        # Before there was any request.
        assert await _names(call, 1) == ["open"]
        for name in ("a", "b"):
            await call.write(_request(name))
            assert await _names(call, 1) == [name]
        await call.write(_request())
        await call.write(_request("c", "d"))
        assert await _names(call, 2) == ["c", "d"]
        await call.done_writing()
        assert await _names(call, 1) == ["over"]
        assert await call.read() is grpc.aio.EOF
        assert await call.code() is grpc.StatusCode.OK
        assert served.handlers.answers == {(METHOD.path, "OK"): 1}


async def test_a_caller_is_admitted_before_there_is_a_request_and_known_by_the_token() -> None:
    async def who(_requests: AsyncIterator[Any], call: Call) -> AsyncIterator[Any]:
        assert call.query is not None
        yield _response(f"{call.acting_user}, {call.query.permission}")

    async with _serving(who) as served:
        assert await _names(served.open("alice"), 1) == ["alice, room:messages:get"]
        await refused(served.open(signed_in=False).read(), "TOKEN_MISSING")
        await refused(served.open(None, su=True).read(), "SUBJECT_REQUIRED")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"\x0a", "REQUEST_MALFORMED"),
        (b"\x0a" + bytes(150_001), "REQUEST_TOO_LARGE"),
        (_request("a", "b", "c", "d").SerializeToString(), "LIMIT_EXCEEDED"),
    ],
)
async def test_every_request_is_checked_and_ends_the_call_where_it_is_none(bad: bytes, reason: str) -> None:
    async with _serving(_echo) as served:
        call = served.open()
        await call.write(_request("a"))
        assert await _names(call, 2) == ["open", "a"]
        await call.write(bad)
        await refused(call.read(), reason)


async def _refusing(requests: AsyncIterator[Any], _call: Call) -> AsyncIterator[Any]:
    for _ in range(5):
        await anext(requests)
    yield _response("refused")
    raise _refusal()


async def _giving_up(requests: AsyncIterator[Any], _call: Call) -> AsyncIterator[Any]:
    """Refuse while another task reads, which is given up with the call."""
    has_read = asyncio.Event()

    async def read() -> None:
        for _ in range(5):
            await anext(requests)
        has_read.set()
        await anext(requests)

    reading = asyncio.create_task(read())
    await has_read.wait()
    yield _response("refused")
    reading.cancel()
    await asyncio.wait({reading})
    raise _refusal()


def _refusal() -> PermissionDenied:
    return PermissionDenied("FILE_OWNER_REQUIRED", "not yours", metadata={"file_id": "f"})


@pytest.mark.parametrize("behaviour", [_refusing, _giving_up])
async def test_a_client_that_is_still_sending_hears_why_it_was_refused(behaviour: Behaviour) -> None:
    async def send(call: Any) -> None:
        for number in range(50):
            await call.write(_request(f"{number}" if number < 5 else "x" * 100_000))
        await call.done_writing()

    async with _serving(behaviour) as served:
        for _ in range(5):
            call = served.open()
            sending = asyncio.create_task(send(call))
            assert await _names(call, 1) == ["refused"]
            await refused(call.read(), "FILE_OWNER_REQUIRED")
            await sending


async def _waiting(_requests: AsyncIterator[Any], call: Call) -> AsyncIterator[Any]:
    yield _response("open")
    await asyncio.Event().wait()


async def test_it_counts_as_a_stream_from_the_start_and_ends_with_its_token(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with _serving(_waiting) as served:
        open_ones = [served.open() for _ in range(2)]
        for one in open_ones:
            assert await _names(one, 1) == ["open"]
        await refused(served.open().read(), "QUOTA_EXCEEDED")
        await served.clock.advance(3601)
        for one in open_ones:
            await refused(one.read(), "TOKEN_EXPIRED")
        await eventually(lambda: served.streams.count == 0)
        # The read that was under way is over as well.
        gc.collect()
    assert [record.message for record in caplog.records if record.name == "asyncio"] == []


async def test_a_method_that_can_say_goodbye_is_told_when_its_edge_ends() -> None:
    async def polite(_requests: AsyncIterator[Any], call: Call) -> AsyncIterator[Any]:
        told: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        call.on_end(told.set_result)
        yield _response("open")
        error = await told
        yield _response("goodbye")
        raise error

    async with _serving(polite) as served:
        of_edge, of_another = served.open(edge="one"), served.open(edge="two")
        for call in (of_edge, of_another):
            assert await _names(call, 1) == ["open"]
        assert await served.streams.end_of_edge("one", lambda: Unavailable("SHUTTING_DOWN", "")) == 1
        assert await _names(of_edge, 1) == ["goodbye"]
        await refused(of_edge.read(), "SHUTTING_DOWN")
        assert not of_another.done()


@pytest.mark.parametrize("behaviour", [_echo, _waiting])
async def test_whoever_breaks_off_leaves_nothing_open(behaviour: Behaviour) -> None:
    before = len(asyncio.all_tasks())
    async with _serving(behaviour) as served:
        call = served.open()
        assert await _names(call, 1) == ["open"]
        call.cancel()
        await eventually(lambda: served.streams.count == 0)
    await eventually(lambda: len(asyncio.all_tasks()) == before)
