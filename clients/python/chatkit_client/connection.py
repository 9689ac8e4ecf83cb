"""How it stands with a stream that goes on by itself: connecting, live, lost or closed, and why."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from enum import StrEnum

from chatkit_client.errors import ChatkitError

_LOGGER = logging.getLogger(__name__)
# What a reader who is slow finds of the past.
_MOST_CHANGES = 100


class ConnectionStatus(StrEnum):
    """The four states of a stream."""

    # A stream is being opened.
    CONNECTING = "connecting"
    # The suite has opened it, and was heard within two heartbeats and five seconds.
    LIVE = "live"
    # There is none, and another one will be opened after `retry_in` seconds.
    LOST = "lost"
    # There will be none any more.
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class ConnectionState:
    """How it stands. `why` is what ended the last stream, or the last attempt at one, until the next one is live.

    A TokenError among them is not the suite's: the application's function has failed. When it is CLOSED, `why` is the
    ending that was final, or None where the program itself has closed it.
    """

    status: ConnectionStatus
    why: ChatkitError | None = None
    # How long it is until the next attempt, from the moment when this began.
    retry_in: float | None = None


class Connection:
    """The state of a stream, and everyone who wants to be told of it."""

    def __init__(self) -> None:
        self.state = ConnectionState(ConnectionStatus.CONNECTING)
        self._callbacks: list[Callable[[ConnectionState], None]] = []

    @property
    def is_live(self) -> bool:
        """Whether the stream is open."""
        return self.state.status is ConnectionStatus.LIVE

    def on_change(self, callback: Callable[[ConnectionState], None]) -> Callable[[], None]:
        """Call a function with every state from the next one on, in the event loop; returns what ends that."""
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    async def changes(self) -> AsyncGenerator[ConnectionState, None]:
        """Yield the state as it is, then every other one, until it is CLOSED."""
        seen = deque([self.state], _MOST_CHANGES)
        moved = asyncio.Event()

        def note(state: ConnectionState) -> None:
            seen.append(state)
            moved.set()

        forget = self.on_change(note)
        try:
            while True:
                while seen:
                    state = seen.popleft()
                    yield state
                    if state.status is ConnectionStatus.CLOSED:
                        return
                moved.clear()
                await moved.wait()
        finally:
            forget()

    def become(self, status: ConnectionStatus, why: ChatkitError | None = None, retry_in: float | None = None) -> None:
        """Tell everyone of another state; after CLOSED there is none."""
        state = ConnectionState(status, why, retry_in)
        if state == self.state or self.state.status is ConnectionStatus.CLOSED:
            return
        self.state = state
        for callback in tuple(self._callbacks):
            try:
                callback(state)
            except Exception:
                _LOGGER.exception("a function that wanted to know of a connection has failed")
