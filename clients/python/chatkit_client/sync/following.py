"""Streams that go on by themselves, as iterators."""

from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from chatkit_client.connection import Connection as AsyncConnection
from chatkit_client.connection import ConnectionState
from chatkit_client.proto.messages.v1 import position_pb2
from chatkit_client.proto.rooms.v1 import user_event_pb2
from chatkit_client.proto.users.v1 import presence_event_pb2
from chatkit_client.streams.following import Following
from chatkit_client.streams.room_log import Item
from chatkit_client.streams.rooms_subscription import RoomsSubscription as AsyncRoomsSubscription
from chatkit_client.streams.state_subscriptions import PresenceSubscription as AsyncPresenceSubscription
from chatkit_client.streams.state_subscriptions import UserSubscription as AsyncUserSubscription
from chatkit_client.streams.subscription import Subscription as AsyncSubscription
from chatkit_client.sync.loop import Iteration, Loop

_Item = TypeVar("_Item")
_Following = TypeVar("_Following", bound=Following[Any, Any])


class Connection:
    """The state of a stream, and everyone who wants to be told of it."""

    def __init__(self, loop: Loop, connection: AsyncConnection) -> None:
        self._loop = loop
        self._connection = connection

    @property
    def state(self) -> ConnectionState:
        """How it stands."""
        return self._connection.state

    @property
    def is_live(self) -> bool:
        """Whether the stream is open."""
        return self._connection.is_live

    def on_change(self, callback: Callable[[ConnectionState], None]) -> Callable[[], None]:
        """Call a function with every state from the next one on, in the client's thread; returns what ends that."""
        forget = self._loop.call(lambda: self._connection.on_change(callback))
        return lambda: self._loop.call(forget)

    def changes(self) -> Iterator[ConnectionState]:
        """Yield the state as it is, then every other one, until it is CLOSED."""
        return iter(Iteration(self._loop, self._loop.call(self._connection.changes)))


class _Followed(Iteration[_Item], Generic[_Following, _Item]):
    """An iterator of what streams bring; use it as a context manager to close its stream when you stop."""

    def __init__(self, loop: Loop, make: Callable[[], _Following]) -> None:
        self._following = loop.call(make)
        self.connection = Connection(loop, self._following.connection)
        super().__init__(loop, aiter(self._following))

    @property
    def streams(self) -> int:
        """How often a stream was opened."""
        return self._following.streams

    def close(self) -> None:
        """End the stream; nothing more is yielded."""
        super().close()
        self._loop.run(self._following.close())


class Subscription(_Followed[AsyncSubscription, Item]):
    """An iterator of a room's events."""

    @property
    def position(self) -> position_pb2.Position | None:
        """After the last event that was processed, which it is when the next one is asked for."""
        return self._following.position


class RoomsSubscription(_Followed[AsyncRoomsSubscription, Item]):
    """An iterator of the events of several rooms."""

    @property
    def positions(self) -> dict[str, position_pb2.Position]:
        """After the last event that was processed, by room; rooms that were never opened are left out."""
        return self._following.positions


class UserSubscription(_Followed[AsyncUserSubscription, user_event_pb2.UserEvent]):
    """An iterator of a user's rooms and of those who are in them."""


class PresenceSubscription(_Followed[AsyncPresenceSubscription, presence_event_pb2.PresenceEvent]):
    """An iterator of who comes and goes."""
