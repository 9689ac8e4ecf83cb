"""Many messages go on one stream, in the order of each room, and every one of them is there once or says why not."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from chatkit.messages.v1 import messages_service_pb2_grpc

from chatkit_client import Client, Reason, Sent, connect, text
from chatkit_client.proto.contract.v1 import stream_pb2
from chatkit_client.proto.messages.v1 import message_pb2, send_event_pb2, send_result_pb2
from chatkit_client.proto.messages.v1 import messages_service_pb2 as pb2
from services.runtime.contract.errors import Unauthenticated, Unimplemented, class_of
from tests.clients.scripted import HastyClock, refuse, serve
from tests.support.edge import Edge
from tests.support.eventually import HANG_SECONDS
from tests.support.tokens import token

_NOW = "now"
# What becomes of a message: it is stored, refused for a reason, or the stream ends before it is answered.
Outcome = str | grpc.StatusCode | stream_pb2.TokenExpiring


@dataclass
class _Script(messages_service_pb2_grpc.MessagesServiceServicer):
    """What becomes of the messages of each stream, by their number on it; 0 is the stream. All else is stored."""

    streams: Sequence[dict[int, Outcome]] = ()
    knows_streams: bool = True
    # The request ids that came on each stream, and by calls.
    came: list[list[str]] = field(default_factory=list)
    called: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    async def SendMessages(
        self, requests: AsyncIterator[pb2.SendMessagesRequest], context: Any
    ) -> AsyncIterator[pb2.SendMessagesResponse]:
        if not self.knows_streams:
            await refuse(context, Unimplemented("METHOD_NOT_FOUND", "scripted"))
        self.tokens.append(dict(context.invocation_metadata())["authorization"].removeprefix("Bearer "))
        outcomes = self.streams[len(self.came)] if len(self.came) < len(self.streams) else {}
        came: list[str] = []
        self.came.append(came)
        match outcomes.get(0):
            case grpc.StatusCode() as code:
                await context.abort(code, "scripted")
            case "TOKEN_EXPIRED":
                await refuse(context, Unauthenticated("TOKEN_EXPIRED", "scripted"))
        yield pb2.SendMessagesResponse(events=[send_event_pb2.SendEvent(heartbeat=stream_pb2.StreamHeartbeat())])
        async for frame in requests:
            for request in frame.requests:
                came.append(request.request_id)
                outcome = outcomes.get(len(came), _NOW)
                if isinstance(outcome, grpc.StatusCode):
                    await context.abort(outcome, "scripted")
                yield _answer(len(came), request, outcome)

    async def SendMessage(self, request: pb2.SendMessageRequest, context: Any) -> pb2.SendMessageResponse:
        self.called.append(request.request_id)
        return pb2.SendMessageResponse(message=message_pb2.Message(request_id=request.request_id))


def _answer(number: int, request: pb2.SendMessageRequest, outcome: Any) -> pb2.SendMessagesResponse:
    stored = send_result_pb2.SendResult(message=message_pb2.Message(request_id=request.request_id))
    event = send_event_pb2.SendEvent(number=number, result=stored)
    if isinstance(outcome, stream_pb2.TokenExpiring):
        return pb2.SendMessagesResponse(events=[send_event_pb2.SendEvent(token_expiring=outcome), event])
    if outcome != _NOW:
        failure = send_result_pb2.SendFailure(code=class_of(outcome).code.value[0], reason=outcome)
        event = send_event_pb2.SendEvent(number=number, result=send_result_pb2.SendResult(failure=failure))
    return pb2.SendMessagesResponse(events=[event])


@asynccontextmanager
async def _client(script: _Script, fetch: Any = "t") -> AsyncIterator[Client]:
    async with serve(script, _add) as address, connect(address, fetch, clock=HastyClock()) as client:
        yield client


_add: Callable[[Any, Any], None] = messages_service_pb2_grpc.add_MessagesServiceServicer_to_server


def _requests(count: int, room_id: str = "lobby") -> list[pb2.SendMessageRequest]:
    return [pb2.SendMessageRequest(room_id=room_id, request_id=f"{room_id} {number}") for number in range(1, count + 1)]


def _ids(*numbers: int) -> list[str]:
    return [f"lobby {number}" for number in numbers]


async def _sent(client: Client, requests: Sequence[pb2.SendMessageRequest]) -> list[tuple[str, str]]:
    """Return what became of each: nothing, where it is there, or the reason."""
    return [_short(sent) async for sent in client.send_many(requests)]


def _short(sent: Sent) -> tuple[str, str]:
    assert (sent.message is None) == (sent.error is not None)
    return sent.request.request_id, "" if sent.error is None else sent.error.reason or sent.error.code.name


async def test_a_few_are_sent_by_calls_and_more_on_a_stream() -> None:
    script = _Script()
    async with _client(script) as client:
        await _sent(client, _requests(4))
        assert (script.called, script.came) == (_ids(1, 2, 3, 4), [])
        assert await _sent(client, _requests(5)) == [(one, "") for one in _ids(1, 2, 3, 4, 5)]
        assert (len(script.called), script.came) == (4, [_ids(1, 2, 3, 4, 5)])


async def test_a_suite_of_the_release_before_is_sent_calls() -> None:
    script = _Script(knows_streams=False)
    async with _client(script) as client:
        assert await _sent(client, _requests(5)) == [(one, "") for one in _ids(1, 2, 3, 4, 5)]
    assert script.called == _ids(1, 2, 3, 4, 5)


async def test_what_has_no_answer_when_the_stream_breaks_off_is_sent_again() -> None:
    script = _Script([{3: grpc.StatusCode.UNAVAILABLE}, {1: grpc.StatusCode.INTERNAL}])
    async with _client(script) as client:
        assert await _sent(client, _requests(6)) == [(one, "") for one in _ids(1, 2, 3, 4, 5, 6)]
    assert script.came[0][:3] == _ids(1, 2, 3)
    assert script.came[2] == _ids(3, 4, 5, 6)


async def test_what_is_refused_spoils_no_other_and_is_not_sent_again() -> None:
    script = _Script([{2: "FIELD_INVALID"}])
    async with _client(script) as client:
        sent = await _sent(client, _requests(5))
    assert sent == [("lobby 2", "FIELD_INVALID") if one == "lobby 2" else (one, "") for one in _ids(1, 2, 3, 4, 5)]
    assert len(script.came) == 1


async def test_what_fails_in_passing_is_sent_again_as_long_as_no_later_one_of_its_room_is_there() -> None:
    away = "SERVICE_UNAVAILABLE"
    script = _Script([{2: away, 4: away, 5: away, 6: away}])
    requests = [*_requests(5), *_requests(1, "attic")]
    async with _client(script) as client:
        sent = await _sent(client, requests)
    # The third one was stored behind the second.
    assert sent[:3] == [("lobby 1", ""), ("lobby 2", away), ("lobby 3", "")]
    assert sorted(sent[3:]) == [("attic 1", ""), ("lobby 4", ""), ("lobby 5", "")]
    assert script.came[1] == [*_ids(4, 5), "attic 1"]


async def test_who_is_away_for_long_is_asked_no_more() -> None:
    script = _Script([dict.fromkeys(range(1, 6), "SERVICE_UNAVAILABLE")] * 100)
    async with _client(script) as client:
        sent = await _sent(client, _requests(5))
    assert sent == [(one, "SERVICE_UNAVAILABLE") for one in _ids(1, 2, 3, 4, 5)]
    assert 2 < len(script.came) < 50


async def test_a_stream_that_is_refused_refuses_all() -> None:
    script = _Script([{0: grpc.StatusCode.PERMISSION_DENIED}])
    async with _client(script) as client:
        assert await _sent(client, _requests(5)) == [(one, "PERMISSION_DENIED") for one in _ids(1, 2, 3, 4, 5)]
    assert script.came == [[]]


async def test_a_message_that_is_too_large_for_a_stream_spoils_no_other() -> None:
    script = _Script()
    requests = _requests(6)
    requests[2].parts.append(text("x" * 40_000))
    async with _client(script) as client:
        assert len(await _sent(client, requests)) == 6
    assert (script.called, script.came) == (_ids(1, 2, 3, 4, 5, 6), [])


async def test_a_stream_goes_on_with_another_token_before_its_own_ends_and_where_it_has() -> None:
    script = _Script([{2: stream_pb2.TokenExpiring()}, {0: "TOKEN_EXPIRED"}])
    fetched: list[str] = []

    async def fetch() -> str:
        fetched.append(f"token {len(fetched)}")
        return fetched[-1]

    requests = _requests(200)
    for request in requests:
        # More than a stream takes at once.
        request.parts.append(text("x" * 4_000))
    async with _client(script, fetch) as client:
        assert await _sent(client, requests) == [(request.request_id, "") for request in requests]
    assert script.tokens == ["token 0", "token 1", "token 2"]
    assert 2 <= len(script.came[0]) < 200


async def test_those_of_each_room_are_stored_in_order_and_once(edge: Edge) -> None:
    await edge.suite.make_room("attic", "alice", "bob")
    rooms = ["lobby", "attic", "attic", "lobby", "lobby"] * 6
    requests = [
        pb2.SendMessageRequest(room_id=room_id, parts=[text(f"{number}")]) for number, room_id in enumerate(rooms)
    ]
    requests[7].parts[0].content = "x" * 6_000
    async with connect(edge.address, token("alice")) as client, asyncio.timeout(HANG_SECONDS):
        sent = [sent async for sent in client.send_many(requests)]
        (refused,) = [one.error for one in sent if one.error is not None]
        assert refused.reason is Reason.LIMIT_EXCEEDED
        assert refused.metadata
        for room_id in ("lobby", "attic"):
            stored = [message async for message in client.history(room_id, 0, 100)]
            expected = [f"{number}" for number, of in enumerate(rooms) if of == room_id and number != 7]
            assert [message.parts[0].content for message in stored] == expected
            told = [one.message.seq for one in sent if one.message is not None and one.message.room_id == room_id]
            assert told == [message.seq for message in stored]
