"""How it stands with a stream that goes on by itself: connecting, live, lost or closed, and why."""

from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from chatkit_client.errors import ChatkitError
from chatkit_client.listeners import Listeners

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


class StreamPart(StrEnum):
    """What the stream of a device carries."""

    ROOMS = "rooms"
    USER = "user"
    PRESENCE = "presence"


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
    # Of a session that is LIVE: the parts of which not everything was told, at first and while a service is away.
    behind: frozenset[StreamPart] = frozenset()


class Connection:
    """The state of a stream, and everyone who wants to be told of it."""

    def __init__(self) -> None:
        self.state = ConnectionState(ConnectionStatus.CONNECTING)
        self._listeners: Listeners[ConnectionState] = Listeners()

    @property
    def is_live(self) -> bool:
        """Whether the stream is open."""
        return self.state.status is ConnectionStatus.LIVE

    def on_change(self, callback: Callable[[ConnectionState], None]) -> Callable[[], None]:
        """Call a function with every state from the next one on, in the event loop; returns what ends that."""
        return self._listeners.add(callback)

    def changes(self) -> AsyncGenerator[ConnectionState, None]:
        """Iterate over the state as it is, then every other one, until it is CLOSED."""
        return self._listeners.items([self.state], _MOST_CHANGES, lambda state: state.status is ConnectionStatus.CLOSED)

    def become(
        self,
        status: ConnectionStatus,
        why: ChatkitError | None = None,
        retry_in: float | None = None,
        behind: Iterable[StreamPart] = (),
    ) -> None:
        """Tell everyone of another state; after CLOSED there is none."""
        state = ConnectionState(status, why, retry_in, frozenset(behind))
        if state == self.state or self.state.status is ConnectionStatus.CLOSED:
            return
        self.state = state
        self._listeners.tell(state)
