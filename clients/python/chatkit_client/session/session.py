"""A session: one device of one user, and all that it knows, for as long as it is open."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from types import TracebackType
from typing import Any, Self

import grpc

from chatkit_client.calls import Calls
from chatkit_client.connection import Connection
from chatkit_client.errors import ChatkitError
from chatkit_client.listeners import Listeners
from chatkit_client.proto.messages.v1 import message_pb2, messages_service_pb2
from chatkit_client.proto.sync.v1 import room_to_follow_pb2, sync_service_pb2
from chatkit_client.proto.users.v1 import presence_event_pb2, user_pb2
from chatkit_client.sending.outcomes import Says, request
from chatkit_client.services import Services
from chatkit_client.session.device import Device, Wish
from chatkit_client.session.room import Room
from chatkit_client.session.state import State
from chatkit_client.session.views import Change, ChangeKind, RoomView

_LOGGER = logging.getLogger(__name__)
_MOST_CHANGES = 10_000
_USERS_AT_ONCE = 100
# More often nobody sees it.
_TYPING_SECONDS = 1.0


class Session:
    """What a device shows, kept current by one stream; open it as a context manager, in the event loop.

    Everything is read as it was told so far, also while the connection is lost: `connection` says how it stands.
    Methods that ask the suite raise ChatkitError.
    """

    def __init__(self, wish: Wish, calls: Calls) -> None:
        self._wish = wish
        self._calls = calls
        self._services = Services(calls)
        self._state = State(wish.window, calls.clock)
        self._state.watched.update(wish.watch)
        self._device = Device(wish, self._state, calls, self._spawn)
        self._listeners: Listeners[Change] = Listeners()
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: asyncio.Task[None] | None = None
        # Done when everything was told once; fails when it never will be.
        self._caught_up = asyncio.Event()
        self._ending: Change | None = None
        self._typed: dict[str, float] = {}

    # How it stands.

    @property
    def connection(self) -> Connection:
        """How it stands with the stream, and of which parts not everything was told."""
        return self._device.connection

    @property
    def user_id(self) -> str:
        """The user's own id; empty before it was told."""
        return self._state.user_id

    def rooms(self) -> list[RoomView]:
        """Return the rooms that the user is in, or that are followed, as they are now."""
        return self._state.views()

    def room(self, room_id: str) -> RoomView:
        """Return a room as it is now; raises KeyError for one that the user is not in and that is not followed."""
        room = self._state.rooms[room_id]
        if not room.is_shown and not room.pending:
            raise KeyError(room_id)
        return room.view()

    def user(self, user_id: str) -> user_pb2.User | None:
        """Return a user as told or read last; None for one of whom nothing is known, see `read_users`."""
        return self._state.users.get(user_id)

    def presence(self, user_id: str) -> presence_event_pb2.Presence | None:
        """Return whether a user is there; None for one who is not watched, or was not told yet."""
        return self._state.presence.get(user_id)

    def on_change(self, callback: Callable[[Change], None]) -> Callable[[], None]:
        """Call a function with every change from the next one on, in the event loop; returns what ends that."""
        return self._listeners.add(callback)

    def changes(self) -> AsyncGenerator[Change, None]:
        """Iterate over the changes from now on, up to CLOSED; whoever is very slow finds MISSED in place of many."""
        first = [self._ending] if self._ending is not None else []
        missed = Change(ChangeKind.MISSED)
        return self._listeners.items(first, _MOST_CHANGES, lambda change: change.kind is ChangeKind.CLOSED, missed)

    async def caught_up(self) -> None:
        """Return when everything was told once, however long that takes; raises when it never will be."""
        await self._caught_up.wait()
        if self._ending is not None:
            raise self._ending.error or ChatkitError(grpc.StatusCode.CANCELLED, "", "the session was closed")

    # What is followed.

    async def follow(
        self,
        room_id: str,
        detail: "room_to_follow_pb2.RoomDetail" = room_to_follow_pb2.ROOM_DETAIL_UNSPECIFIED,
    ) -> None:
        """Follow a room, or with another detail than before; whether it may be is told by ROOM_RESET or ROOM_CLOSED."""
        room = self._state.room(room_id)
        room.is_followed, room.is_unwanted, room.detail = True, False, detail
        asked = [room.request(self._wish.last)]
        await self._device.update(sync_service_pb2.UpdateSubscriptionRequest(follow_rooms=asked))

    async def unfollow(self, room_id: str) -> None:
        """Follow a room no longer, though the user may be a member; what is known of it grows old."""
        room = self._state.room(room_id)
        room.is_followed, room.is_unwanted = False, True
        self._tell(room.drop_stored())
        await self._device.update(sync_service_pb2.UpdateSubscriptionRequest(unfollow_room_ids=[room_id]))

    async def watch(self, user_ids: Iterable[str]) -> None:
        """Be told the presence of more users; raises USER_NOT_FOUND."""
        new = sorted(set(user_ids) - self._state.watched)
        self._state.watched.update(new)
        try:
            await self._device.update(sync_service_pb2.UpdateSubscriptionRequest(watch_user_ids=new))
        except ChatkitError:
            self._state.watched.difference_update(new)
            raise

    async def unwatch(self, user_ids: Iterable[str]) -> None:
        """Be told the presence of users no longer."""
        gone = sorted(set(user_ids) & self._state.watched)
        self._state.watched.difference_update(gone)
        for user_id in gone:
            self._state.presence.pop(user_id, None)
        await self._device.update(sync_service_pb2.UpdateSubscriptionRequest(unwatch_user_ids=gone))

    async def read_users(self, user_ids: Iterable[str]) -> None:
        """Read those users of whom nothing is known; from then on their changes are told to whom shares a room."""
        unknown = sorted(set(user_ids) - self._state.users.keys())
        while unknown:
            asked, unknown = unknown[:_USERS_AT_ONCE], unknown[_USERS_AT_ONCE:]
            with self._state.reading() as doubtful:
                answer = await self._services.users.batch_get_users(user_ids=asked)
            self._tell(self._state.know(user for user in answer.users if user.id not in doubtful))
            unknown += sorted(doubtful.intersection(asked))

    # What is done.

    async def send(self, room_id: str, says: Says, *, request_id: str | None = None) -> message_pb2.Message:
        """Send a message, a text or parts, and return it as it is stored.

        It is `pending` in the room until its event has come. Where sending fails it stays there with the error, until
        it is sent again, `resend`, or taken away, `discard`. Messages of a room are sent one after the other.
        """
        one = request(room_id, says, self._wish.user_id or self.user_id or None, request_id)
        room = self._state.room(room_id)
        self._tell([room.add_pending(one)])
        return await self._deliver(room, one)

    async def resend(self, room_id: str, request_id: str) -> message_pb2.Message:
        """Send again what has failed: it is stored once, even if it was stored before. Raises KeyError."""
        room = self._state.room(room_id)
        one = room.pending[request_id].request
        self._tell([room.add_pending(one)])
        return await self._deliver(room, one)

    def discard(self, room_id: str, request_id: str) -> None:
        """Show a message that has failed no longer."""
        self._tell(self._state.room(room_id).drop_pending(request_id))

    async def typing(self, room_id: str) -> None:
        """Show to others that the user is typing; call it with every key, for it asks the suite once a second."""
        now = self._calls.clock.monotonic()
        if now - self._typed.get(room_id, float("-inf")) >= _TYPING_SECONDS:
            self._typed[room_id] = now
            # What comes late is no longer so.
            await self._services.messages.send_typing(
                room_id=room_id, user_id=self._wish.user_id or None, deadline=_TYPING_SECONDS
            )

    async def set_read_cursor(self, room_id: str, seq: int | None = None) -> None:
        """Say that the user has read a room up to a message, or up to the last one that is here."""
        if seq is None:
            seq = max((message.seq for message in self._state.room(room_id).window), default=0)
        await self._services.read_states.set_read_cursor(room_id=room_id, seq=seq, user_id=self._wish.user_id or None)

    async def load_older(self, room_id: str, count: int = 50) -> int:
        """Read messages before the first one that is here, at most so many; returns how many came.

        Raises ValueError where the room's messages are not followed.
        """
        room = self._state.room(room_id)
        window = room.window
        if room.position is None:
            raise ValueError(f"the messages of {room_id!r} are not followed")
        if not window.has_older:
            return 0
        with window.loading():
            page = await self._services.messages.list_messages(
                room_id=room_id,
                direction=messages_service_pb2.DIRECTION_OLDER,
                from_seq=window.first_seq,
                page_size=count,
            )
            added = window.put_older(page.messages, are_all=not page.next_page_token)
        self._tell([room.change(ChangeKind.HISTORY_LOADED)])
        return added

    async def _deliver(self, room: Room, one: messages_service_pb2.SendMessageRequest) -> message_pb2.Message:
        failure = ChatkitError(grpc.StatusCode.CANCELLED, "", "nobody waits for it any more")
        message = None
        try:
            async with room.sending:
                answer: messages_service_pb2.SendMessageResponse = await self._calls.call(one)
            message = answer.message
        except ChatkitError as error:
            failure = error
            raise
        finally:
            self._tell(room.answer_pending(one.request_id, message, failure if message is None else None))
        return message

    # How it goes on.

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the stream; what is known stays as it is."""
        tasks = [*self._tasks, *([self._running] if self._running is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._device.close()
        self._end(None)

    async def _run(self) -> None:
        failure: ChatkitError | None = None
        try:
            async for change in self._device:
                self._tell([change])
        except ChatkitError as error:
            failure = error
        except Exception as error:
            # It is nobody's who would hear of it: whoever waits for changes is told, instead of waiting for ever.
            _LOGGER.exception("a session has failed")
            failure = ChatkitError(grpc.StatusCode.INTERNAL, "", f"the session has failed: {error!r}")
            failure.__cause__ = error
        self._end(failure)

    def _end(self, error: ChatkitError | None) -> None:
        if self._ending is None:
            self._ending = Change(ChangeKind.CLOSED, error=error)
            self._listeners.tell(self._ending)
            self._caught_up.set()

    def _tell(self, changes: Iterable[Change]) -> None:
        for change in changes:
            if change.kind is ChangeKind.CAUGHT_UP:
                self._caught_up.set()
            elif change.kind is ChangeKind.TYPING:
                self._watch_typing(change)
            self._listeners.tell(change)

    def _watch_typing(self, change: Change) -> None:
        room = self._state.room(change.room_id)
        if change.user_id in room.typing:
            self._spawn(self._end_typing(room, change.user_id))

    async def _end_typing(self, room: Room, user_id: str) -> None:
        clock = self._calls.clock
        while (left := room.typing.get(user_id, 0.0) - clock.monotonic()) > 0:
            await clock.sleep(left)
        if room.typing.pop(user_id, None) is not None:
            self._tell([room.change(ChangeKind.TYPING, user_id=user_id)])

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._has_done)

    def _has_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, ChatkitError):
            _LOGGER.warning("what a session wanted beside its stream was refused: %s", error)
        elif error is not None:
            _LOGGER.error("what a session wanted beside its stream has failed", exc_info=error)
