"""How it stands with a stream is told as it is: when it is open, why it is lost, and when it is over."""

import asyncio
from datetime import timedelta
from typing import Any

import grpc
import pytest

from chatkit_client import (
    ChatkitError,
    ConnectionState,
    ConnectionStatus,
    Reason,
    SignedOut,
    Subscription,
    TokenError,
    connect,
)
from services.runtime.contract.errors import Unauthenticated
from services.stack.machine.ports import Port
from tests.clients.scripted import HANG, Event, HastyClock, Script, caught_up, closed, message, resumed, serve, snapshot
from tests.support.eventually import HANG_SECONDS, eventually

_START = ([snapshot("NEW", 1, 1), message(1), caught_up(1)], HANG)
_CONNECTING, _LIVE = ConnectionStatus.CONNECTING, ConnectionStatus.LIVE
_LOST, _CLOSED = ConnectionStatus.LOST, ConnectionStatus.CLOSED


async def _read_to(events: Subscription, seq: int) -> None:
    async with asyncio.timeout(HANG_SECONDS):
        async for item in events:
            if getattr(item, "seq", 0) == seq:
                return
    raise AssertionError


def _noted(events: Subscription) -> list[ConnectionState]:
    seen = [events.connection.state]
    events.connection.on_change(seen.append)
    return seen


def _statuses(seen: list[ConnectionState]) -> list[ConnectionStatus]:
    return [state.status for state in seen]


async def test_a_stream_is_connecting_then_live_then_closed() -> None:
    async with serve(Script([_START])) as address, connect(address, "t", clock=HastyClock()) as client:
        async with client.subscribe("lobby") as events:
            seen = _noted(events)
            await _read_to(events, 1)
            assert events.connection.is_live
        assert seen == [ConnectionState(_CONNECTING), ConnectionState(_LIVE), ConnectionState(_CLOSED)]


@pytest.mark.parametrize(("ending", "reason"), [(grpc.StatusCode.UNAVAILABLE, ""), ("SHUTTING_DOWN", "SHUTTING_DOWN")])
async def test_a_lost_stream_says_why_until_the_next_one_is_live(ending: Any, reason: str) -> None:
    script = Script([(_START[0], ending), ([resumed(2), message(2)], HANG)])
    async with (
        serve(script) as address,
        connect(address, "t", clock=HastyClock()) as client,
        client.subscribe("lobby") as events,
    ):
        seen = _noted(events)
        await _read_to(events, 2)
    assert _statuses(seen) == [_CONNECTING, _LIVE, _LOST, _CONNECTING, _LIVE, _CLOSED]
    lost, again, live = seen[2:5]
    assert lost.why is not None
    assert (lost.why.reason, lost.why.is_connection_lost) == (reason, not reason)
    assert lost.retry_in is not None
    assert 0 < lost.retry_in < 1
    assert again == ConnectionState(_CONNECTING, lost.why)
    assert live == ConnectionState(_LIVE)


async def test_a_suite_that_is_not_there_is_a_lost_connection_and_never_live() -> None:
    nobody = Port("127.0.0.1")
    async with connect(nobody.address, "t", clock=HastyClock()) as client, client.subscribe("lobby") as events:
        seen = _noted(events)
        reading = asyncio.create_task(_read_to(events, 1))
        await eventually(lambda: _statuses(seen).count(_LOST) >= 3)
        reading.cancel()
        await asyncio.wait([reading])
    assert _statuses(seen[:4]) == [_CONNECTING, _LOST, _CONNECTING, _LOST]
    assert all(state.why is not None and state.why.is_connection_lost for state in seen[1:4])
    assert _LIVE not in _statuses(seen)
    nobody.release()


async def test_an_ending_that_is_final_closes_it_and_says_why() -> None:
    script = Script([([*_START[0], closed("REMOVED_FROM_ROOM", 1)], HANG)])
    async with serve(script) as address, connect(address, "t", clock=HastyClock()) as client:
        events = client.subscribe("lobby")
        seen = _noted(events)
        with pytest.raises(ChatkitError) as refused:
            await _read_to(events, 2)
        assert seen[-1] == ConnectionState(_CLOSED, refused.value)
        await events.close()
        assert seen[-1].why is refused.value


class _Source:
    """Fetches tokens, and fails as often as it is told to."""

    def __init__(self, *failures: Exception | None) -> None:
        self._failures = list(failures)
        self.fetched = 0

    async def __call__(self) -> str:
        failure = self._failures.pop(0) if self._failures else None
        if failure is not None:
            raise failure
        self.fetched += 1
        return f"token {self.fetched}"


async def _states_until(script: Script, seq: int) -> list[ConnectionStatus]:
    async with (
        serve(script) as address,
        connect(address, _Source(), clock=HastyClock()) as client,
        client.subscribe("lobby") as events,
    ):
        seen = _noted(events)
        await _read_to(events, seq)
    return _statuses(seen)


@pytest.mark.parametrize("reason", ["TOKEN_EXPIRED", "TOKEN_INVALID"])
async def test_a_token_that_ended_is_replaced_at_once_and_nothing_is_lost_by_it(reason: str) -> None:
    script = Script([([*_START[0], closed(reason, 1)], HANG), ([resumed(2), message(2)], HANG)])
    assert await _states_until(script, 2) == [_CONNECTING, _LIVE, _CONNECTING, _LIVE, _CLOSED]
    assert script.tokens == ["token 1", "token 2"]


async def test_a_token_that_was_good_is_replaced_when_the_key_is_gone_at_the_next_stream() -> None:
    script = Script([([*_START[0]], "UNAVAILABLE"), ([], "TOKEN_INVALID"), ([resumed(2), message(2)], HANG)])
    assert (await _states_until(script, 2))[-1] == _CLOSED
    assert script.tokens == ["token 1", "token 1", "token 2"]


async def test_a_token_that_a_wrong_clock_takes_for_one_of_the_future_is_used_again_later() -> None:
    early = Unauthenticated("TOKEN_NOT_YET_VALID", "scripted", retry_after=timedelta(seconds=0.5))
    script = Script([([], early), ([*_START[0]], early), ([resumed(2), message(2)], HANG)])
    states = await _states_until(script, 2)
    assert script.tokens == ["token 1"] * 3
    assert states == [_CONNECTING, _LOST, _CONNECTING, _LIVE, _LOST, _CONNECTING, _LIVE, _CLOSED]


async def test_a_token_that_was_never_good_is_not_replaced() -> None:
    source, script = _Source(), Script([([], "TOKEN_INVALID")])
    async with (
        serve(script) as address,
        connect(address, source, clock=HastyClock()) as client,
        client.subscribe("lobby") as events,
    ):
        with pytest.raises(ChatkitError) as refused:
            await _read_to(events, 1)
    assert (refused.value.reason, source.fetched) == (Reason.TOKEN_INVALID, 1)


async def test_a_server_that_takes_no_token_is_not_asked_without_a_pause() -> None:
    refused: tuple[list[Event], str] = ([], "TOKEN_EXPIRED")
    clock = HastyClock()
    script = Script([refused, refused, refused, _START])
    async with (
        serve(script) as address,
        connect(address, _Source(), clock=clock) as client,
        client.subscribe("lobby") as events,
    ):
        seen = _noted(events)
        await _read_to(events, 1)
    assert len(set(script.tokens)) == 4
    assert _statuses(seen).count(_LOST) == 3


async def test_a_function_that_fails_is_asked_again_and_the_state_says_so() -> None:
    script = Script([([*_START[0], closed("TOKEN_EXPIRED", 1)], HANG), ([resumed(2), message(2)], HANG)])
    source = _Source(None, OSError("no login"), ValueError("no login"))
    async with (
        serve(script) as address,
        connect(address, source, clock=HastyClock()) as client,
        client.subscribe("lobby") as events,
    ):
        seen = _noted(events)
        await _read_to(events, 2)
    assert script.tokens == ["token 1", "token 2"]
    assert _statuses(seen[2:]) == [_CONNECTING, _LOST, _CONNECTING, _LOST, _CONNECTING, _LIVE, _CLOSED]
    causes = [state.why.__cause__ for state in seen if state.status is _LOST and isinstance(state.why, TokenError)]
    assert [type(cause) for cause in causes] == [OSError, ValueError]
    assert not any(state.why.is_connection_lost for state in seen if state.why is not None)


async def test_who_has_signed_out_gets_no_more_streams() -> None:
    script = Script([([*_START[0], closed("TOKEN_EXPIRED", 1)], HANG)])
    source = _Source(None, SignedOut("bye"))
    async with serve(script) as address, connect(address, source, clock=HastyClock()) as client:
        events = client.subscribe("lobby")
        with pytest.raises(SignedOut, match="bye"):
            await _read_to(events, 2)
        assert isinstance(events.connection.state.why, SignedOut)
        assert events.connection.state.status is _CLOSED


async def test_the_changes_are_iterated_until_it_is_closed() -> None:
    script = Script([(_START[0], "SHUTTING_DOWN"), ([resumed(2), message(2)], HANG)])
    async with serve(script) as address, connect(address, "t", clock=HastyClock()) as client:
        events = client.subscribe("lobby")

        async def statuses() -> list[ConnectionStatus]:
            return [state.status async for state in events.connection.changes()]

        reading = asyncio.create_task(statuses())
        await asyncio.sleep(0)
        await _read_to(events, 2)
        await events.close()
        assert await reading == [_CONNECTING, _LIVE, _LOST, _CONNECTING, _LIVE, _CLOSED]
        assert [state.status async for state in events.connection.changes()] == [_CLOSED]


async def test_who_fails_when_told_disturbs_nobody_and_who_has_enough_is_told_no_more(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[ConnectionStatus] = []

    def fail(_state: ConnectionState) -> None:
        raise RuntimeError("of the application")

    async with (
        serve(Script([_START])) as address,
        connect(address, "t", clock=HastyClock()) as client,
        client.subscribe("lobby") as events,
    ):
        events.connection.on_change(fail)
        forget = events.connection.on_change(lambda state: seen.append(state.status))
        await _read_to(events, 1)
        forget()
    assert seen == [_LIVE]
    assert "of the application" in caplog.text


async def test_who_reads_when_the_client_closes_comes_to_an_end() -> None:
    read: list[object] = []
    async with serve(Script([_START])) as address:
        client = connect(address, "t", clock=HastyClock())
        events = client.subscribe("lobby")

        async def go_on() -> None:
            async for item in events:
                read.append(item)  # noqa: PERF401 - what came before the end counts

        reading = asyncio.create_task(go_on())
        await eventually(lambda: len(read) == 3)
        await client.close()
        async with asyncio.timeout(HANG_SECONDS):
            await reading
        assert events.connection.state == ConnectionState(_CLOSED)


async def test_who_is_cancelled_while_reading_is_cancelled() -> None:
    async with serve(Script([_START])) as address, connect(address, "t", clock=HastyClock()) as client:
        events = client.subscribe("lobby")
        reading = asyncio.create_task(_read_to(events, 2))
        await eventually(lambda: events.connection.is_live)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert events.connection.state == ConnectionState(_CLOSED)


@pytest.mark.parametrize(
    ("error", "is_lost", "is_passing", "is_resumable"),
    [
        (ChatkitError(grpc.StatusCode.UNAVAILABLE, "", ""), True, True, True),
        (ChatkitError(grpc.StatusCode.INTERNAL, "", ""), True, True, True),
        (ChatkitError(grpc.StatusCode.CANCELLED, "", ""), True, True, True),
        (ChatkitError(grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE", ""), False, True, True),
        (ChatkitError(grpc.StatusCode.INTERNAL, "INTERNAL", ""), False, False, True),
        (ChatkitError(grpc.StatusCode.DEADLINE_EXCEEDED, "", ""), False, True, True),
        (ChatkitError(grpc.StatusCode.PERMISSION_DENIED, "", ""), False, False, False),
        (ChatkitError(grpc.StatusCode.UNAUTHENTICATED, "USER_DELETED", ""), False, False, False),
        (TokenError(OSError()), False, True, True),
        (SignedOut(), False, False, False),
    ],
)
def test_what_an_error_means(error: ChatkitError, *, is_lost: bool, is_passing: bool, is_resumable: bool) -> None:
    assert error.is_connection_lost is is_lost
    assert error.is_passing is is_passing
    assert error.is_resumable is is_resumable


def test_a_reason_of_a_later_release_stays_a_text() -> None:
    assert ChatkitError(grpc.StatusCode.ABORTED, "LATER", "").reason == "LATER"
    assert ChatkitError(grpc.StatusCode.ABORTED, "LOG_RESET", "").reason is Reason.LOG_RESET
