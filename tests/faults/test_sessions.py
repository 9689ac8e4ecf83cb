"""A session of the Python client through kill -9, with tokens that end after seconds and a function that often fails.

Every event is told once and in order, the stream lives on from token to token, and how it stands is told as it is.
"""

import asyncio
import signal
from datetime import timedelta

import pytest

from chatkit_client import (
    Change,
    ChangeKind,
    ConnectionState,
    ConnectionStatus,
    Sent,
    Session,
    StreamPart,
    connect,
    text,
)
from chatkit_client.types import SendMessageRequest
from services.stack import sign_in
from services.stack.home import Home
from tests.support.eventually import eventually
from tests.support.stack import running_stack

_LIFETIME = timedelta(seconds=10)
_LIVE = ConnectionState(ConnectionStatus.LIVE)
_EVENTS = {ChangeKind.MESSAGE_CREATED, ChangeKind.MESSAGE_CHANGED, ChangeKind.MESSAGE_DELETED}
# Fewer than the suite replays.
_MOST_AHEAD = 50


class _Tokens:
    """Fetches tokens, and fails every third time."""

    def __init__(self, home: Home, user_id: str) -> None:
        self._home = home
        self._user_id = user_id
        self.asked = self.fetched = 0

    async def __call__(self) -> str:
        self.asked += 1
        if self.asked % 3 == 0:
            raise OSError("the login does not answer")
        self.fetched += 1
        return sign_in.token(self._home, self._user_id, lifetime=_LIFETIME)


class _Watching:
    """What a session has told, and how it stood meanwhile."""

    def __init__(self, session: Session) -> None:
        self.events: list[Change] = []
        self.resets = 0
        self.states = [session.connection.state]
        # How it stood when an event was told.
        self._stood: set[ConnectionStatus] = set()
        self._session = session
        session.on_change(self._note)
        session.connection.on_change(self.states.append)

    def _note(self, change: Change) -> None:
        self.resets += change.kind is ChangeKind.ROOM_RESET
        if change.kind in _EVENTS:
            self.events.append(change)
            self._stood.add(self._session.connection.state.status)

    async def lost(self, since: int) -> None:
        """Return when the stream was lost and another one has told everything."""
        await eventually(lambda: ConnectionStatus.LOST in [state.status for state in self.states[since:]])
        await eventually(lambda: self._session.connection.state == _LIVE)

    @property
    def streams(self) -> int:
        """How many were opened since it began."""
        return sum(state.behind == set(StreamPart) for state in self.states)

    def check(self, kills: int) -> None:
        """Fail unless each state could follow the one before, and told what was so."""
        assert self._stood == {ConnectionStatus.LIVE}
        for before, after in zip(self.states, self.states[1:], strict=False):
            match after.status:
                case ConnectionStatus.LOST:
                    assert after.why is not None
                    assert after.retry_in is not None
                case ConnectionStatus.CONNECTING:
                    # A machine that is busy may be too slow for tokens of some seconds.
                    is_of_token = after.why is not None and after.why.wants_another_token
                    assert before.status is ConnectionStatus.LOST or is_of_token
                case ConnectionStatus.LIVE if before.status is ConnectionStatus.CONNECTING:
                    assert after.behind == set(StreamPart)
        assert self.streams >= kills


class _Sending:
    """Bob, who talks without end, never far ahead of those who listen."""

    def __init__(self, session: Session, *listeners: _Watching) -> None:
        self.sent: list[str] = []
        self._session = session
        self._listeners = listeners

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            content = f"message {len(self.sent)}"
            await self._session.send("lobby", content)
            self.sent.append(content)
            await eventually(lambda: len(self.sent) - self._heard < _MOST_AHEAD)

    @property
    def _heard(self) -> int:
        return min(len(listener.events) for listener in self._listeners)

    async def more(self, count: int) -> None:
        """Return when so many more were sent."""
        goal = len(self.sent) + count
        await eventually(lambda: len(self.sent) >= goal)


@pytest.mark.slow
async def test_many_messages_are_stored_once_and_in_order_though_the_stream_breaks_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What is sent takes long enough for both to be killed meanwhile.
    monkeypatch.setenv("CHATKIT_LIMIT_SENDS_PER_USER_PER_SECOND", "30")
    requests = [SendMessageRequest(room_id="lobby", parts=[text(f"message {number}")]) for number in range(600)]
    async with running_stack() as stack, connect(stack.address, _Tokens(stack.home, "bob")) as client:
        sent: list[Sent] = []
        async for one in client.send_many(requests):
            sent.append(one)
            if len(sent) in {100, 300}:
                stack.signal("messages" if len(sent) == 100 else "edge", signal.SIGKILL)
        assert [one.error for one in sent if one.error is not None] == []
        assert [one.request.parts for one in sent] == [request.parts for request in requests]
        stored = [message async for message in client.history("lobby", 0, 10_000)]
        assert [message.parts[0].content for message in stored if message.sender_id == "bob"] == [
            f"message {number}" for number in range(600)
        ]


@pytest.mark.slow
async def test_every_event_is_told_once_and_in_order_whatever_is_killed_and_whatever_fails() -> None:
    async with running_stack() as stack:
        alices, bobs = _Tokens(stack.home, "alice"), _Tokens(stack.home, "bob")
        async with (
            connect(stack.address, alices) as to_alice,
            connect(stack.address, bobs) as to_bob,
            to_alice.session() as alice,
            to_bob.session() as bob,
        ):
            told, own = _Watching(alice), _Watching(bob)
            await alice.caught_up()
            await bob.caught_up()
            sending = _Sending(bob, told, own)
            running = asyncio.create_task(sending.run())
            for name in ("messages", "edge"):
                await sending.more(20)
                since, bobs_since = len(told.states), len(own.states)
                stack.signal(name, signal.SIGKILL)
                await told.lost(since)
                await own.lost(bobs_since)
            await sending.more(20)

            streams, fetched = told.streams, alices.fetched
            await eventually(lambda: alices.fetched >= fetched + 4)
            await sending.more(20)
            # It lives by several tokens, one after the other.
            assert told.streams < streams + 4

            running.cancel()
            await asyncio.wait([running])
            assert running.cancelled()
            await eventually(lambda: not [pending for pending in bob.room("lobby").pending if pending.error is None])
            for watching in (told, own):
                assert watching.resets == 1
                await eventually(lambda seen=watching: len(seen.events) >= len(sending.sent))  # type: ignore[misc]
                seqs = [event.seq for event in watching.events]
                assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
                contents = [event.message.parts[0].content for event in watching.events if event.message is not None]
                # The last one may have been sent, and nobody has waited for its answer.
                assert contents[: len(sending.sent)] == sending.sent
                assert len(contents) <= len(sending.sent) + 1
                assert watching.resets == 1
                watching.check(kills=2)
            assert alices.asked > alices.fetched >= 4
