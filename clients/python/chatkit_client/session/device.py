"""The stream of a device: what it asks for, how it is changed while it is open, and how it outlives its token."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, TypedDict

from chatkit_client.calls import Calls
from chatkit_client.connection import ConnectionStatus, StreamPart
from chatkit_client.errors import ChatkitError, SignedOut, from_closed
from chatkit_client.proto.sync.v1 import (
    presence_part_pb2,
    room_to_follow_pb2,
    sync_event_pb2,
    sync_service_pb2,
    user_part_pb2,
)
from chatkit_client.retry import Backoff
from chatkit_client.session.state import State
from chatkit_client.session.views import Change, ChangeKind
from chatkit_client.streams.following import Following

_PARTS = {
    sync_event_pb2.SYNC_PART_ROOMS: StreamPart.ROOMS,
    sync_event_pb2.SYNC_PART_USER: StreamPart.USER,
    sync_event_pb2.SYNC_PART_PRESENCE: StreamPart.PRESENCE,
}
Spawn = Callable[[Coroutine[Any, Any, None]], None]


class SessionOptions(TypedDict, total=False):
    """What a session asks for."""

    # The user whose device it is: oneself, unless it is said.
    user_id: str
    # Follow the rooms of which the user is, or becomes, a member. This is so unless it is said.
    follow_memberships: bool
    # How much of rooms is sent for which nothing else is said: all events, unless it is said.
    default_detail: "room_to_follow_pb2.RoomDetail"
    # With how many messages rooms begin (20), and how many are kept of each (200).
    last: int
    window: int
    # Tell how far others have read, and how much is unread. These are so unless it is said.
    include_cursors: bool
    include_read_states: bool
    # Be online as long as the session lasts. This is so unless it is said.
    online: bool
    # Whose presence is told.
    watch: Iterable[str]


@dataclass(frozen=True, slots=True)
class Wish:
    """What every stream asks for alike."""

    user_id: str = ""
    follow_memberships: bool = True
    default_detail: "room_to_follow_pb2.RoomDetail" = room_to_follow_pb2.ROOM_DETAIL_UNSPECIFIED
    last: int = 20
    window: int = 200
    include_cursors: bool = True
    include_read_states: bool = True
    online: bool = True
    watch: Iterable[str] = ()


class Device(Following[sync_event_pb2.SyncEvent, Change]):
    """Yields what changes in a state, stream after stream."""

    def __init__(self, wish: Wish, state: State, calls: Calls, spawn: Spawn) -> None:
        super().__init__(calls)
        self._wish = wish
        self._state = state
        self._spawn = spawn
        # The open stream's name; empty as long as there is none.
        self._stream_id = ""
        # What was wanted since the stream was asked for, and before it was open.
        self._late: list[sync_service_pb2.UpdateSubscriptionRequest] = []
        # What is wanted is said in the order in which it was, also where a call has to be repeated.
        self._updating = asyncio.Lock()
        # Whether the open stream has told everything once.
        self._has_caught_up = False

    async def update(self, update: sync_service_pb2.UpdateSubscriptionRequest) -> None:
        """Change what the open stream follows; raises ChatkitError. The next stream asks for it by itself."""
        async with self._updating:
            if not self._stream_id:
                self._late.append(update)
                return
            stream_id = update.stream_id = self._stream_id
            update.user_id = self._wish.user_id
            try:
                await self._calls.call(update)
            except ChatkitError as error:
                if error.reason != "STREAM_NOT_FOUND":
                    raise
                if stream_id == self._stream_id:
                    # Its replica may be there, and not have answered.
                    self._break()

    def _begin(self) -> None:
        self._state.begin()
        self._stream_id, self._has_caught_up = "", False
        self._late.clear()

    def _request(self) -> sync_service_pb2.SubscribeRequest:
        wish, state = self._wish, self._state
        return sync_service_pb2.SubscribeRequest(
            user_id=wish.user_id,
            rooms=[room.request(wish.last) for room in state.rooms.values() if room.is_followed],
            follow_memberships=wish.follow_memberships,
            default_detail=wish.default_detail,
            default_last=wish.last,
            include_cursors=wish.include_cursors,
            include_read_states=wish.include_read_states,
            user=user_part_pb2.UserPart(after=state.user_position),
            presence=presence_part_pb2.PresencePart(online=wish.online, watch_user_ids=sorted(state.watched)),
        )

    def _see(self, event: sync_event_pb2.SyncEvent) -> None:
        match event.WhichOneof("event"):
            case "opened":
                self._stream_id = event.opened.stream_id
                # Until everything was told nothing is known to be as it is.
                self._be_live(_PARTS.values())
                self._catch_up_with_wishes()
                self._spawn(self._use_token())
            case "caught_up":
                self._has_caught_up = True
                self._be_live(())
            case "heartbeat" if self._has_caught_up:
                self._be_live(_PARTS[part] for part in event.heartbeat.behind if part in _PARTS)
            case "user" | "presence" as part if self._has_caught_up:
                self._see_part(StreamPart(part), str(getattr(event, part).WhichOneof("event")))
            case "token_expiring":
                self._spawn(self._renew())
            case "closed":
                raise from_closed(event.closed)

    async def _take(self, event: sync_event_pb2.SyncEvent) -> AsyncGenerator[Change, None]:
        if event.HasField("part_closed"):
            part = _PARTS.get(event.part_closed.part)
            yield Change(ChangeKind.PART_CLOSED, part=part, error=from_closed(event.part_closed.closed))
        for change in self._state.take(event):
            yield change

    # How it stands.

    def _be_live(self, behind: Iterable[StreamPart]) -> None:
        self.connection.become(ConnectionStatus.LIVE, behind=behind)

    def _see_part(self, part: StreamPart, kind: str) -> None:
        """Learn that a part is opened anew on the stream, or has told how it stands."""
        behind = self.connection.state.behind
        if kind == "opened":
            self._be_live(behind | {part})
        elif kind == "caught_up":
            self._be_live(behind - {part})

    # What is wanted on the open stream.

    def _catch_up_with_wishes(self) -> None:
        unwanted = [room.room_id for room in self._state.rooms.values() if room.is_unwanted]
        if unwanted and self._wish.follow_memberships:
            self._late.append(sync_service_pb2.UpdateSubscriptionRequest(unfollow_room_ids=unwanted))
        late, self._late = self._late, []
        if late:
            self._spawn(self._update_all(late))

    async def _update_all(self, updates: Iterable[sync_service_pb2.UpdateSubscriptionRequest]) -> None:
        for update in updates:
            await self.update(update)

    async def _keep_token(self) -> None:
        await self._tokens.keep(self._use_token)

    async def _use_token(self) -> None:
        """Let the stream live by the latest token: where little was left of its own the warning may come too late."""
        if self._stream_id and self._tokens.latest != self._token:
            await self._renew()

    async def _renew(self) -> None:
        """Let the stream live as long as another token, for which the function is asked until the stream ends."""
        stream_id, backoff = self._stream_id, Backoff()
        request = sync_service_pb2.RenewTokenRequest(stream_id=stream_id, user_id=self._wish.user_id)
        while self._tokens.can_renew and self._stream_id == stream_id:
            try:
                token = await self._tokens.renewed(self._token)
                await self._calls.call(request)
            except SignedOut:
                return
            except ChatkitError as error:
                if not error.is_resumable:
                    return
                await self._clock.sleep(backoff.next_delay(error.retry_after))
            else:
                self._token = token
                return
