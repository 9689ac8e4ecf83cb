"""A session of the Python client through kill -9, with tokens that end after seconds and a function that often fails.

Every event is told once and in order, the stream lives on from token to token, and how it stands is told as it is.
"""

import asyncio
import signal
from datetime import timedelta

import pytest

from chatkit_client import Change, ChangeKind, ConnectionState, ConnectionStatus, Session, StreamPart, connect
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

    def check(self, kills: int) -> None:
        """Fail unless each state could follow the one before, and told what was so."""
        assert self._stood == {ConnectionStatus.LIVE}
        for before, after in zip(self.states, self.states[1:], strict=False):
            match after.status:
                case ConnectionStatus.LOST:
                    assert after.why is not None
                    assert after.retry_in is not None
                case ConnectionStatus.CONNECTING:
                    assert before.status is ConnectionStatus.LOST, self.states
                case ConnectionStatus.LIVE if before.status is ConnectionStatus.CONNECTING:
                    assert after.behind == set(StreamPart)
        opened = [state for state in self.states if state.behind == set(StreamPart)]
        assert len(opened) >= kills


class _Sending:
    """Bob, who talks without end, never far ahead of whom he talks to."""

    def __init__(self, session: Session, listener: _Watching) -> None:
        self.sent: list[str] = []
        self._session = session
        self._listener = listener

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            content = f"message {len(self.sent)}"
            await self._session.send("lobby", content)
            self.sent.append(content)
            await eventually(lambda: len(self.sent) - len(self._listener.events) < _MOST_AHEAD)

    async def more(self, count: int) -> None:
        """Return when so many more were sent."""
        goal = len(self.sent) + count
        await eventually(lambda: len(self.sent) >= goal)


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
            sending = _Sending(bob, told)
            running = asyncio.create_task(sending.run())
            for name in ("messages", "edge"):
                await sending.more(20)
                since, bobs_since = len(told.states), len(own.states)
                stack.signal(name, signal.SIGKILL)
                await told.lost(since)
                await own.lost(bobs_since)
            await sending.more(20)

            states, fetched = len(told.states), alices.fetched
            await eventually(lambda: alices.fetched >= fetched + 3)
            await sending.more(20)
            assert told.states[states:] == []

            running.cancel()
            await asyncio.wait([running])
            assert running.cancelled()
            await eventually(lambda: not [pending for pending in bob.room("lobby").pending if pending.error is None])
            for watching in (told, own):
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
