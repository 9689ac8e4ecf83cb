"""Streams are counted for exactly as long as they are open, and end with the token that let them in."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import grpc
import pytest
from chatkit.internal.access.v1 import access_service_pb2 as access_pb2
from chatkit.messages.v1 import messages_service_pb2 as pb2
from chatkit.messages.v1.messages_service_pb2_grpc import MessagesServiceStub
from google.protobuf.descriptor import ServiceDescriptor

from services.runtime.access.port import AccessGrant, AccessQuery
from services.runtime.calls.call import Call
from services.runtime.calls.handlers import Handlers
from services.runtime.calls.observing import Observer
from services.runtime.contract.errors import ChatkitError, PermissionDenied
from services.runtime.contract.policies import Limits, methods_of
from services.runtime.deadline import NEVER
from services.runtime.identity.api_keys import ApiKey, mint_token
from services.runtime.identity.tokens import Caller, mint_service_token
from services.runtime.ids import RoomUid, UserId, UserUid
from services.runtime.metrics.registry import Metrics
from services.runtime.streaming.open_streams import Streams
from tests.runtime.serving import serving
from tests.support import tokens
from tests.support.clock import ManualClock
from tests.support.eventually import eventually
from tests.support.refusals import refused

FRAME = pb2.SubscribeRoomResponse().SerializeToString()
SUBSCRIBE = "/chatkit.messages.v1.MessagesService/SubscribeRoom"
WATCH = "/chatkit.internal.access.v1.AccessService/WatchAccess"

Behaviour = Callable[[Any, Call], AsyncIterator[bytes]]
Stub = Callable[..., Any]


class Served:
    """A server whose streams do what a test says."""

    def __init__(self, **limits: int) -> None:
        self.clock = ManualClock()
        # Seen by a behaviour that waits for the test.
        self.go_on = asyncio.Event()
        self.streams = Streams(Limits(limits), self.clock)
        self.verifier = tokens.verifier(self.clock, keys=[tokens.KEY, tokens.SECOND_KEY])
        self.handlers = Handlers(
            verifier=self.verifier, limits=Limits(), streams=self.streams, access=self, observer=Observer(Metrics())
        )
        self.channel: grpc.aio.Channel

    async def check(self, query: AccessQuery) -> AccessGrant:
        """Let everybody into every room but one."""
        if query.room_id == "closed":
            raise PermissionDenied("ROOM_ACCESS_DENIED", "no access", metadata={"room_id": "closed"})
        if query.room_id == "slow":
            await self.go_on.wait()
        return AccessGrant(1, RoomUid(UUID(int=1)), UserUid(UUID(int=2)))

    def metadata(self, user_id: str | None, *, su: bool = False, key: ApiKey = tokens.KEY) -> tokens.Metadata:
        """Return a token that is good for a minute of the clock."""
        minted = mint_token(key, tokens.INSTANCE, user_id, su, timedelta(minutes=1), self.clock.now())
        return tokens.bearer(minted)

    async def open(self, user_id: str | None = "bob", **how: Any) -> Any:
        """Open a stream, and return it once its first frame is here."""
        call = self.subscribe(metadata=self.metadata(user_id, **how))
        assert await call.read() is not grpc.aio.EOF
        return call

    def subscribe(self, room_id: str = "lobby", **how: Any) -> Any:
        """Open a stream."""
        stub: Any = MessagesServiceStub(self.channel)
        return stub.SubscribeRoom(pb2.SubscribeRoomRequest(room_id=room_id), **how)

    def watch(self) -> Any:
        """Open a service's stream."""
        metadata = tokens.bearer(mint_service_token(tokens.SERVICE_KEY, "messages", "tested", self.clock.now()))
        method: Any = self.channel.unary_stream(WATCH)
        return method(access_pb2.WatchAccessRequest().SerializeToString(), metadata=metadata)


def _service(service: ServiceDescriptor, name: str, handlers: Handlers, behaviour: Behaviour) -> grpc.GenericRpcHandler:
    method = next(method for method in methods_of(service) if method.name == name)
    handler: Any = grpc.stream_stream_rpc_method_handler(handlers.stream(method, behaviour))
    return grpc.method_handlers_generic_handler(service.full_name, {name: handler})


@asynccontextmanager
async def _serving(behaviour: Behaviour, **limits: int) -> AsyncGenerator[Served, None]:
    served = Served(**limits)
    messages, access = (
        pb2.DESCRIPTOR.services_by_name["MessagesService"],
        access_pb2.DESCRIPTOR.services_by_name["AccessService"],
    )
    handlers = (
        _service(messages, "SubscribeRoom", served.handlers, behaviour),
        _service(access, "WatchAccess", served.handlers, behaviour),
    )
    async with serving(served.streams, *handlers) as served.channel:
        yield served


async def _forever(_request: object, _call: Call) -> AsyncIterator[bytes]:
    yield FRAME
    await asyncio.Event().wait()


async def test_one_stream_too_many_is_refused_and_room_is_made_when_one_ends() -> None:
    async with _serving(_forever, STREAMS_PER_USER=3) as served:
        opened = [await served.open() for _ in range(3)]
        error = await refused(served.subscribe(metadata=served.metadata("bob")).read(), "QUOTA_EXCEEDED")
        assert error.metadata == {"limit": "STREAMS_PER_USER", "maximum": "3", "actual": "4"}
        assert [violation.field for violation in error.quota] == ["STREAMS_PER_USER"]
        # Also with `su`: who is counted is the token's subject.
        await refused(served.subscribe(metadata=served.metadata("bob", su=True)).read(), "QUOTA_EXCEEDED")
        await served.open("carol")
        assert not any(call.done() for call in opened)
        opened[0].cancel()
        await eventually(lambda: served.streams.count == 3)
        await served.open()


async def test_a_process_has_a_ceiling_under_which_services_do_not_stand() -> None:
    async with _serving(_forever, STREAMS_PER_PROCESS=3) as served:
        for who in ("alice", "bob"):
            await served.open(who)
        await served.open(None, su=True)
        error = await refused(served.subscribe(metadata=served.metadata("dan")).read(), "OVERLOADED")
        assert error.retry_after == timedelta(seconds=1)
        watching = [served.watch() for _ in range(5)]
        for call in watching:
            await call.read()
        assert served.streams.count == 8
        for call in watching:
            call.cancel()
        await eventually(lambda: served.streams.count == 3)
        await refused(served.subscribe(metadata=served.metadata("dan")).read(), "OVERLOADED")


async def test_superusers_without_a_subject_are_counted_as_nobody() -> None:
    async with _serving(_forever, STREAMS_PER_USER=1) as served:
        for _ in range(3):
            await served.open(None, su=True)
        assert served.streams.count == 3


async def _end_at_once(_request: object, _call: Call) -> AsyncIterator[bytes]:
    yield FRAME


async def _fail(_request: object, _call: Call) -> AsyncIterator[bytes]:
    yield FRAME
    raise RuntimeError


async def _refuse(_request: object, _call: Call) -> AsyncIterator[bytes]:
    yield FRAME
    raise PermissionDenied("REMOVED_FROM_ROOM", "removed", metadata={"room_id": "lobby"})


async def _flood(_request: object, _call: Call) -> AsyncIterator[bytes]:
    while True:
        yield FRAME * 1_000 + b"\x0a\xa0\x8d\x06" + b"\0" * 100_000


async def _cancelled_while_idle(served: Served) -> None:
    (await served.open()).cancel()


async def _cancelled_at_admission(served: Served) -> None:
    call = served.subscribe("slow", metadata=served.metadata("bob"))
    await eventually(lambda: served.streams.count == 1)
    call.cancel()


async def _cancelled_while_written_to(served: Served) -> None:
    method: Any = served.channel.unary_stream(SUBSCRIBE)
    request = pb2.SubscribeRoomRequest(room_id="lobby").SerializeToString()
    call = method(request, metadata=served.metadata("bob"))
    await call.read()
    call.cancel()


async def _read_to_the_end(served: Served) -> None:
    try:
        async for _ in served.subscribe(metadata=served.metadata("bob")):
            pass
    except grpc.aio.AioRpcError:
        return


async def _malformed(served: Served) -> None:
    method: Any = served.channel.unary_stream(SUBSCRIBE)
    await refused(method(b"\xff", metadata=served.metadata("bob")).read(), "REQUEST_MALFORMED")


async def _not_let_in(served: Served) -> None:
    await refused(served.subscribe("closed", metadata=served.metadata("bob")).read(), "ROOM_ACCESS_DENIED")


async def _at_exp(served: Served) -> None:
    await served.open()
    await served.clock.advance(61)


async def _at_revocation(served: Served) -> None:
    await served.open()
    await _revoke(served)


async def _revoke(served: Served) -> None:
    served.verifier.use([tokens.SECOND_KEY], [tokens.SERVICE_KEY])
    await served.streams.end_revoked(served.verifier.still_knows)


@pytest.mark.parametrize(
    ("behaviour", "ending"),
    [
        (_forever, _cancelled_while_idle),
        (_forever, _cancelled_at_admission),
        (_flood, _cancelled_while_written_to),
        (_end_at_once, _read_to_the_end),
        (_fail, _read_to_the_end),
        (_refuse, _read_to_the_end),
        (_forever, _malformed),
        (_forever, _not_let_in),
        (_forever, _at_exp),
        (_forever, _at_revocation),
    ],
)
async def test_however_a_stream_ends_it_is_counted_no_more(
    behaviour: Behaviour, ending: Callable[[Served], Any]
) -> None:
    async with _serving(behaviour, STREAMS_PER_USER=1) as served:
        await ending(served)
        await eventually(lambda: served.streams.count == 0)
        # The user's own count as well.
        with served.streams.open(Caller(UserId("bob"), False, None, served.clock.now() + timedelta(hours=1))):
            pass
        assert not served.streams._of_user
        assert served.streams._counted == 0


async def test_what_a_stream_holds_is_let_go_when_its_client_has_gone() -> None:
    closed = asyncio.Event()

    async def hold(_request: object, _call: Call) -> AsyncIterator[bytes]:
        try:
            yield FRAME
            await asyncio.Event().wait()
        finally:
            closed.set()

    async with _serving(hold) as served:
        (await served.open()).cancel()
        await closed.wait()


async def test_an_idle_stream_ends_with_its_token_and_a_services_stream_does_not() -> None:
    async with _serving(_forever) as served:
        call = await served.open()
        watching = served.watch()
        await watching.read()
        await served.clock.advance(59)
        assert served.streams.count == 2
        await served.clock.advance(1)
        await refused(call.read(), "TOKEN_EXPIRED")
        await served.clock.advance(60)
        assert served.streams.count == 1
        assert served.handlers.answers[SUBSCRIBE, "UNAUTHENTICATED"] == 1


async def test_a_stream_that_is_still_being_admitted_ends_with_its_token_too() -> None:
    async with _serving(_forever) as served:
        call = served.subscribe("slow", metadata=served.metadata("bob"))
        await eventually(lambda: served.streams.count == 1)
        await served.clock.advance(60)
        await refused(call.read(), "TOKEN_EXPIRED")


async def test_nothing_is_sent_once_the_token_has_expired_also_between_two_looks() -> None:
    go_on = asyncio.Event()

    async def twice(_request: object, _call: Call) -> AsyncIterator[bytes]:
        yield FRAME
        await go_on.wait()
        yield FRAME

    async with _serving(twice) as served:
        await served.clock.advance(0.5)
        call = await served.open()
        # The clock ticked at 60 s; the token is good until 60 s, because `exp` has no fractions.
        served.clock._elapsed = 60.2
        go_on.set()
        await refused(call.read(), "TOKEN_EXPIRED")


async def test_streams_end_when_their_key_is_revoked_and_others_go_on() -> None:
    async with _serving(_forever) as served:
        revoked, stays = await served.open("bob"), await served.open("carol", key=tokens.SECOND_KEY)
        watching = served.watch()
        await watching.read()
        await _revoke(served)
        await refused(revoked.read(), "TOKEN_INVALID")
        assert served.streams.count == 2
        assert not stays.done()
        served.verifier.use(
            [tokens.SECOND_KEY], [ApiKey(tokens.SERVICE_KEY.id, "the same id and another secret, long enough")]
        )
        await served.streams.end_revoked(served.verifier.still_knows)
        await refused(watching.read(), "TOKEN_INVALID")


async def test_a_method_may_say_goodbye_itself() -> None:
    async def polite(_request: object, call: Call) -> AsyncIterator[bytes]:
        told: asyncio.Queue[ChatkitError] = asyncio.Queue(1)
        call.on_end(told.put_nowait)
        yield FRAME
        error = await told.get()
        yield FRAME
        raise error

    async with _serving(polite) as served:
        call = await served.open()
        await served.clock.advance(60)
        assert await call.read() is not grpc.aio.EOF
        await refused(call.read(), "TOKEN_EXPIRED")


async def test_a_reader_who_does_not_read_is_told_when_it_reads_on() -> None:
    sent, seen = 0, [-1]
    enough = asyncio.Event()

    async def flood(request: object, call: Call) -> AsyncIterator[bytes]:
        nonlocal sent
        async for frame in _flood(request, call):
            sent += 1
            yield frame
            if enough.is_set():
                await asyncio.Event().wait()

    def stands_still() -> bool:
        seen.append(sent)
        return len(seen) > 20 and len(set(seen[-20:])) == 1

    async with _serving(flood) as served:
        method: Any = served.channel.unary_stream(SUBSCRIBE)
        request = pb2.SubscribeRoomRequest(room_id="lobby").SerializeToString()
        call = method(request, metadata=served.metadata("bob"))
        await call.read()
        await eventually(stands_still)
        await served.clock.advance(60)
        assert served.streams.count == 1
        enough.set()

        async def read_on() -> None:
            while await call.read() is not grpc.aio.EOF:
                pass

        await refused(read_on(), "TOKEN_EXPIRED")


async def test_a_cancellation_of_the_client_is_not_taken_for_an_ending() -> None:
    async with _serving(_forever) as served:
        call = await served.open()
        call.cancel()
        await eventually(lambda: served.streams.count == 0)
        assert [code for path, code in served.handlers.answers if path == SUBSCRIBE] == ["CANCELLED"]


async def test_who_is_cancelled_and_ended_at_once_is_cancelled() -> None:
    clock = ManualClock()
    streams = Streams(Limits(), clock)

    async def hold() -> None:
        with streams.open(Caller(UserId("bob"), False, None, clock.now())):
            await asyncio.Event().wait()

    for ending, expected in ((lambda task: task.cancel(), asyncio.CancelledError), (lambda _: None, ChatkitError)):
        task = asyncio.create_task(hold())
        await eventually(lambda: streams.count == 1)
        await streams.end_revoked(lambda _: False)
        ending(task)
        with pytest.raises(expected):
            await task


def test_a_unary_method_has_no_ending_to_take_over() -> None:
    caller = Caller(UserId("bob"), False, None, ManualClock().now())
    with pytest.raises(RuntimeError):
        Call(caller, UserId("bob"), None, None, NEVER).on_end(lambda _: None)
