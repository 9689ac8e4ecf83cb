"""The client resumes from its own position, hands out each event once, and never hides a hole."""

import asyncio
from datetime import timedelta

import grpc
import pytest

from chatkit_client import ChatkitError, Client, Gap, connect
from chatkit_client.proto.messages.v1 import messages_service_pb2 as pb2
from chatkit_client.streams.subscription import Subscription
from services.runtime.contract.errors import Aborted, NotFound, ResourceExhausted, Unauthenticated, Unavailable
from tests.clients.scripted import (
    HANG,
    HastyClock,
    Script,
    caught_up,
    closed,
    cursor,
    edited,
    heartbeat,
    message,
    position,
    resumed,
    serve,
    snapshot,
    typing,
)
from tests.support.eventually import HANG_SECONDS

_START = [snapshot("NEW", 2, 1), message(1), message(2), caught_up(2)]


async def _seqs(events: Subscription, last: int) -> list[int | Gap]:
    """Return what comes up to a message: seqs, and gaps."""
    seen: list[int | Gap] = []
    async with asyncio.timeout(HANG_SECONDS):
        async for item in events:
            if isinstance(item, Gap):
                seen.append(item)
            elif item.seq:
                seen.append(item.seq)
            if seen and seen[-1] == last:
                return seen
    raise AssertionError


@pytest.mark.parametrize(
    "ending",
    [
        "SHUTTING_DOWN",
        "SLOW_CONSUMER",
        "LOG_RESET",
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
    ],
)
async def test_it_resumes_from_its_own_position_after_any_ending_that_is_not_final(
    ending: str | grpc.StatusCode,
) -> None:
    script = Script([(_START, ending), ([resumed(4), message(3), message(4), caught_up(4)], HANG)])
    async with serve(script) as address, connect(address, "t", clock=HastyClock()) as client:
        assert await _seqs(client.subscribe("lobby", 20), 4) == [1, 2, 3, 4]
    assert script.requests[0].last == 20
    assert script.requests[1].after == position(2)


async def test_a_closed_event_ends_the_stream_and_says_when_to_come_back() -> None:
    clock = HastyClock()
    script = Script([([*_START, closed("SHUTTING_DOWN", 9)], HANG), ([resumed(3), message(3), caught_up(3)], HANG)])
    async with serve(script) as address, connect(address, "t", clock=clock) as client:
        assert await _seqs(client.subscribe("lobby"), 3) == [1, 2, 3]
    # The server's position may be ahead of what the client has read.
    assert script.requests[1].after == position(2)
    assert min(clock.slept) >= 0.01


@pytest.mark.parametrize("reason", ["REMOVED_FROM_ROOM", "ROOM_DELETED", "ROOM_ACCESS_DENIED", "TOKEN_EXPIRED"])
async def test_a_final_ending_is_raised_with_its_reason(reason: str) -> None:
    for stream in ((_START, reason), ([*_START, closed(reason, 2)], HANG)):
        script = Script([stream])
        async with serve(script) as address, connect(address, "t", clock=HastyClock()) as client:
            with pytest.raises(ChatkitError) as ended:
                await _seqs(client.subscribe("lobby"), 3)
        assert ended.value.reason == reason
        assert len(script.requests) == 1


async def test_an_expired_token_is_fetched_again() -> None:
    tokens = iter(["first", "second"])

    async def fetch() -> str:
        return next(tokens)

    script = Script([([*_START, closed("TOKEN_EXPIRED", 2)], HANG), ([resumed(3), message(3)], HANG)])
    async with serve(script) as address, connect(address, fetch, clock=HastyClock()) as client:
        assert await _seqs(client.subscribe("lobby"), 3) == [1, 2, 3]
    assert script.tokens == ["first", "second"]


async def test_what_a_server_sends_twice_is_handed_out_once_and_counted() -> None:
    script = Script([([*_START, message(2), message(1), message(3)], HANG)])
    async with serve(script) as address, connect(address, "t", clock=HastyClock()) as client:
        events = client.subscribe("lobby")
        assert await _seqs(events, 3) == [1, 2, 3]
        assert events.repeated == 2


@pytest.mark.parametrize("left_out", [message(4), heartbeat(4)], ids=["by a message", "by a heartbeat"])
async def test_what_a_server_leaves_out_is_asked_for_again(left_out: object) -> None:
    script = Script([([*_START, left_out], HANG), ([resumed(4), message(3), message(4)], HANG)])  # type: ignore[list-item]
    async with serve(script) as address, connect(address, "t", clock=HastyClock()) as client:
        events = client.subscribe("lobby")
        assert await _seqs(events, 4) == [1, 2, 3, 4]
        assert events.holes == 1
    assert script.requests[1].after == position(2)


async def test_what_lies_too_far_back_is_read_from_the_pages() -> None:
    far = [snapshot("TOO_FAR", 305, 304), message(304), message(305), caught_up(305), message(306)]
    script = Script([(_START, grpc.StatusCode.UNAVAILABLE), (far, HANG)], log=list(range(1, 306)))
    async with serve(script) as address, connect(address, "t", clock=HastyClock()) as client:
        assert await _seqs(client.subscribe("lobby"), 306) == list(range(1, 307))
    assert script.calls == 4


async def test_what_lies_too_far_back_is_read_from_the_log_edits_and_all() -> None:
    # The snapshot shows the last messages as they are; the log shows what has happened, and the two overlap.
    far = [snapshot("TOO_FAR", 8, 4), message(4), message(7), caught_up(8), message(9)]
    log = [message(3), message(4), edited(5, 1), edited(6, 4), message(7), edited(8, 2)]
    script = Script([(_START, grpc.StatusCode.UNAVAILABLE), (far, HANG)], events=log)
    async with serve(script) as address, connect(address, "t", clock=HastyClock()) as client:
        events = client.subscribe("lobby")
        assert await _seqs(events, 9) == list(range(1, 10))
        assert (events.repeated, events.holes) == (0, 0)
    assert script.calls == 3


async def test_what_retention_takes_away_while_the_log_is_read_is_a_gap() -> None:
    far = [snapshot("TOO_FAR", 8, 8), message(8), caught_up(8), message(9)]
    script = Script([(_START, grpc.StatusCode.UNAVAILABLE), (far, HANG)], events=[message(8)], oldest_seq=8)
    async with serve(script) as address, connect(address, "t", clock=HastyClock()) as client:
        seen = await _seqs(client.subscribe("lobby"), 9)
    assert seen == [1, 2, Gap("TOO_FAR", position(2), position(9), "lobby"), 9]


async def test_a_hole_that_stays_is_read_from_the_log() -> None:
    hole = ([resumed(4), message(4)], HANG)
    script = Script([([*_START, message(4)], HANG), hole], events=[edited(3, 1), message(4)])
    async with serve(script) as address, connect(address, "t", clock=HastyClock()) as client:
        events = client.subscribe("lobby")
        assert await _seqs(events, 4) == [1, 2, 3, 4]
        assert (events.holes, len(script.requests)) == (1, 2)


async def test_what_the_pages_do_not_show_is_a_gap() -> None:
    far = [snapshot("TOO_FAR", 9, 9), message(9), caught_up(9)]
    script = Script([(_START, grpc.StatusCode.UNAVAILABLE), (far, HANG)], log=[1, 2, 3, 6, 7, 9])
    async with serve(script) as address, connect(address, "t", clock=HastyClock()) as client:
        seen = await _seqs(client.subscribe("lobby"), 9)
    assert seen == [
        1,
        2,
        3,
        Gap("TOO_FAR", position(3), position(6), "lobby"),
        6,
        7,
        Gap("TOO_FAR", position(7), position(9), "lobby"),
        9,
    ]


async def test_history_that_is_gone_and_another_log_are_gaps() -> None:
    gone = [snapshot("RETENTION", 9, 8, oldest_seq=8), message(8), message(9), caught_up(9)]
    other = [snapshot("EPOCH", 1, 1, epoch="other"), message(1), caught_up(1)]
    unavailable = grpc.StatusCode.UNAVAILABLE
    script = Script([(_START, unavailable), (gone, unavailable), (other, HANG)], log=[8, 9])
    async with serve(script) as address, connect(address, "t", clock=HastyClock()) as client:
        events = client.subscribe("lobby")
        assert await _seqs(events, 9) == [1, 2, Gap("RETENTION", position(2), position(8), "lobby"), 8, 9]
        assert await _seqs(events, 1) == [Gap("EPOCH", position(9), position(1, "other"), "lobby"), 1]
        assert script.requests[2].after == position(9)


async def test_a_silent_stream_is_dead_after_two_heartbeats_and_five_seconds() -> None:
    clock = HastyClock()
    script = Script([(_START, HANG), ([resumed(3), message(3)], HANG)])
    async with serve(script) as address, connect(address, "t", clock=clock) as client:
        events = client.subscribe("lobby")
        assert await _seqs(events, 2) == [1, 2]
        waiting = asyncio.create_task(_seqs(events, 3))
        await script.hanging.wait()
        # By the time that this is answered, the stream is being read.
        await _listing(client)
        clock.advance(34)
        # Whoever gave up would subscribe again during the first of these calls, and before the second.
        await _listing(client)
        await _listing(client)
        assert len(script.requests) == 1
        clock.advance(1)
        assert await waiting == [3]


def _listing(client: Client) -> "asyncio.Future[pb2.ListMessagesResponse]":
    request = pb2.ListMessagesRequest(room_id="lobby")
    return asyncio.ensure_future(client.call(request, deadline=5))


async def test_a_call_is_repeated_while_that_may_help() -> None:
    clock = HastyClock()
    half = timedelta(seconds=0.5)
    refusals = [
        Unavailable("DATABASE_UNAVAILABLE", "x", retry_after=half),
        ResourceExhausted("RATE_EXCEEDED", "x", retry_after=2 * half),
        Aborted("CONTENTION", "x", retry_after=half),
    ]
    script = Script(log=[1], refusals=list(refusals))
    async with serve(script) as address, connect(address, "t", clock=clock) as client:
        assert (await _listing(client)).messages[0].seq == 1
        assert client.turned_away == {"RATE_EXCEEDED": 1, "CONTENTION": 1}
    assert script.calls == 4
    assert all(slept >= asked for slept, asked in zip(clock.slept, (0.5, 1.0, 0.5), strict=True))


async def test_a_call_that_a_wrong_clock_refuses_is_repeated() -> None:
    early = Unauthenticated("TOKEN_NOT_YET_VALID", "x", retry_after=timedelta(seconds=0.5))
    script = Script(log=[1], refusals=[early])
    async with serve(script) as address, connect(address, "t", clock=HastyClock()) as client:
        assert (await _listing(client)).messages[0].seq == 1
        assert client.turned_away == {"TOKEN_NOT_YET_VALID": 1}


async def test_a_call_that_can_not_succeed_or_takes_too_long_is_raised() -> None:
    script = Script(refusals=[NotFound("ROOM_NOT_FOUND", "gone", metadata={"room_id": "lobby"})])
    async with serve(script) as address, connect(address, "t", clock=HastyClock()) as client:
        with pytest.raises(ChatkitError, match="ROOM_NOT_FOUND: gone") as refused:
            await _listing(client)
        assert refused.value.metadata == {"room_id": "lobby"}
        script.refusals = [Unavailable("OVERLOADED", "x", retry_after=timedelta(seconds=2)) for _ in range(9)]
        script.calls = 0
        with pytest.raises(ChatkitError, match="OVERLOADED"):
            await _listing(client)
        assert script.calls in {2, 3}


async def test_cursors_and_typing_pass_through_and_move_no_position() -> None:
    opening = [snapshot("NEW", 3, 2), message(2), cursor(3, 1), message(3), cursor(3, 1), typing(), caught_up(3)]
    script = Script(
        [
            ([*opening, typing(), cursor(1, 2), message(4), typing()], "SLOW_CONSUMER"),
            ([resumed(5), cursor(1, 2), message(5), caught_up(5)], HANG),
        ]
    )
    async with serve(script) as address, connect(address, "t", clock=HastyClock()) as client:
        seen: list[str | int] = []
        async with client.subscribe("lobby", 20, include_cursors=True) as events, asyncio.timeout(HANG_SECONDS):
            async for item in events:
                assert not isinstance(item, Gap)
                kind = item.WhichOneof("event")
                if kind not in {"opened", "caught_up"}:
                    seen.append(item.seq or str(kind))
                if seen[-1:] == [5]:
                    break
            assert (events.holes, events.repeated, events.position) == (0, 0, position(4))
    at_start = [2, "cursor_set", 3, "cursor_set", "typing"]
    assert seen == [*at_start, "typing", "cursor_set", 4, "typing", "cursor_set", 5]
    assert [(request.after.seq, request.include_cursors) for request in script.requests] == [(0, True), (4, True)]
