"""A session for programs without an event loop."""

from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Self

from chatkit_client.proto.messages.v1 import message_pb2
from chatkit_client.proto.sync.v1 import room_to_follow_pb2
from chatkit_client.proto.users.v1 import presence_event_pb2, user_pb2
from chatkit_client.sending.outcomes import Says
from chatkit_client.session.session import Session as AsyncSession
from chatkit_client.session.views import Change, RoomView
from chatkit_client.sync.following import Connection
from chatkit_client.sync.loop import Iteration, Loop


class Session:
    """What a device shows, kept current by one stream; open it as a context manager.

    Functions that are called with changes run in the client's thread, and may read the session there.
    """

    def __init__(self, loop: Loop, session: AsyncSession) -> None:
        self._loop = loop
        self._session = session
        self.connection = Connection(loop, session.connection)

    @property
    def user_id(self) -> str:
        """The user's own id; empty before it was told."""
        return self._session.user_id

    def rooms(self) -> list[RoomView]:
        """Return the rooms that the user is in, or that are followed, as they are now."""
        return self._loop.read(self._session.rooms)

    def room(self, room_id: str) -> RoomView:
        """Return a room as it is now; raises KeyError for one that the user is not in and that is not followed."""
        return self._loop.read(lambda: self._session.room(room_id))

    def user(self, user_id: str) -> user_pb2.User | None:
        """Return a user as told or read last; None for one of whom nothing is known, see `read_users`."""
        return self._session.user(user_id)

    def presence(self, user_id: str) -> presence_event_pb2.Presence | None:
        """Return whether a user is there; None for one who is not watched, or was not told yet."""
        return self._session.presence(user_id)

    def on_change(self, callback: Callable[[Change], None]) -> Callable[[], None]:
        """Call a function with every change from the next one on, in the client's thread; returns what ends that."""
        forget = self._loop.read(lambda: self._session.on_change(callback))
        return lambda: self._loop.read(forget)

    def changes(self) -> Iterator[Change]:
        """Iterate over the changes from now on, up to CLOSED; whoever is very slow finds MISSED in place of many."""
        return iter(Iteration(self._loop, self._loop.read(self._session.changes)))

    def caught_up(self) -> None:
        """Return when everything was told once, however long that takes; raises when it never will be."""
        self._loop.run(self._session.caught_up())

    def follow(
        self,
        room_id: str,
        detail: "room_to_follow_pb2.RoomDetail" = room_to_follow_pb2.ROOM_DETAIL_UNSPECIFIED,
    ) -> None:
        """Follow a room, or with another detail than before; whether it may be is told by ROOM_RESET or ROOM_CLOSED."""
        self._loop.run(self._session.follow(room_id, detail))

    def unfollow(self, room_id: str) -> None:
        """Follow a room no longer, though the user may be a member; what is known of it grows old."""
        self._loop.run(self._session.unfollow(room_id))

    def watch(self, user_ids: Iterable[str]) -> None:
        """Be told the presence of more users; raises USER_NOT_FOUND."""
        self._loop.run(self._session.watch(list(user_ids)))

    def unwatch(self, user_ids: Iterable[str]) -> None:
        """Be told the presence of users no longer."""
        self._loop.run(self._session.unwatch(list(user_ids)))

    def read_users(self, user_ids: Iterable[str]) -> None:
        """Read those users of whom nothing is known; from then on their changes are told to whom shares a room."""
        self._loop.run(self._session.read_users(list(user_ids)))

    def send(self, room_id: str, says: Says, *, request_id: str | None = None) -> message_pb2.Message:
        """Send a message, a text or parts, and return it as it is stored; it is `pending` until its event has come."""
        return self._loop.run(self._session.send(room_id, says, request_id=request_id))

    def resend(self, room_id: str, request_id: str) -> message_pb2.Message:
        """Send again what has failed: it is stored once, even if it was stored before. Raises KeyError."""
        return self._loop.run(self._session.resend(room_id, request_id))

    def discard(self, room_id: str, request_id: str) -> None:
        """Show a message that has failed no longer."""
        self._loop.read(lambda: self._session.discard(room_id, request_id))

    def typing(self, room_id: str) -> None:
        """Show to others that the user is typing; call it with every key, for it asks the suite once a second."""
        self._loop.run(self._session.typing(room_id))

    def set_read_cursor(self, room_id: str, seq: int | None = None) -> None:
        """Say that the user has read a room up to a message, or up to the last one that is here."""
        self._loop.run(self._session.set_read_cursor(room_id, seq))

    def load_older(self, room_id: str, count: int = 50) -> int:
        """Read messages before the first one that is here, at most so many; returns how many came.

        Raises ValueError where the room's messages are not followed.
        """
        return self._loop.run(self._session.load_older(room_id, count))

    def close(self) -> None:
        """End the stream; what is known stays as it is."""
        self._loop.run(self._session.close())

    def __enter__(self) -> Self:
        self._loop.run(self._session.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
