"""The use cases of devices: follow all that one wants on one stream, change what that is, and renew its token."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from uuid import uuid4

from chatkit.rooms.v1.user_position_pb2 import UserPosition

from services.messages.follow_rooms import FollowRooms, RoomsSubscription
from services.messages.model import Start
from services.messages.sync import frames
from services.messages.sync.device import DeviceStream
from services.messages.sync.feeds import Feed
from services.messages.sync.parts import PresencePart, UserPart
from services.runtime.access.cache import Freshness
from services.runtime.access.port import AccessQuery
from services.runtime.clock import Clock
from services.runtime.contract.errors import ChatkitError, NotFound, PermissionDenied, invalid_field
from services.runtime.identity.tokens import Caller
from services.runtime.ids import UserId
from services.runtime.streaming.open_streams import OpenStream
from services.runtime.streaming.state_budget import Reservation, StateBudget


@dataclass(frozen=True, slots=True)
class Presence:
    """What a device wants of presence."""

    online: bool
    watched: Sequence[str]


@dataclass(frozen=True, slots=True)
class DeviceSubscription:
    """What a device wants to follow."""

    rooms: RoomsSubscription
    # Where all that happens is sent, or only what the room holds for the user; of a room that is not here the default.
    sends_events: bool
    sends_events_of: Mapping[str, bool]
    # Whether the user's part is wanted, and from where.
    has_user: bool
    user_after: UserPosition | None
    presence: Presence | None


class Devices:
    """The devices' streams of this process."""

    def __init__(
        self,
        *,
        follow_rooms: FollowRooms,
        users: Feed,
        presence: Feed,
        freshness: Freshness,
        clock: Clock,
        most_state_bytes: int,
    ) -> None:
        self._follow_rooms = follow_rooms
        self._users = users
        self._presence = presence
        self._freshness = freshness
        self._clock = clock
        self._budget = StateBudget(most_state_bytes)
        self._streams: dict[str, tuple[DeviceStream, OpenStream]] = {}

    async def subscribe(
        self, query: AccessQuery, wanted: DeviceSubscription, open_stream: OpenStream
    ) -> AsyncGenerator[bytes, None]:
        """Yield the frames of a device's stream, `closed` included, and then raise why it ended."""
        device = self._device(query, wanted, open_stream.caller)
        device.open()
        self._streams[device.id] = device, open_stream
        try:
            async with self._follow_rooms.following(device, wanted.rooms):
                for part in device.parts:
                    part.feed.follow(part)
                open_stream.on_end(device.cut)
                try:
                    async for frame in device.queue.frames():
                        yield frame
                except ChatkitError as error:
                    yield frames.closed_event(error)
                    raise
        finally:
            del self._streams[device.id]
            for part in device.parts:
                part.feed.leave(part)
            device.forget_state()

    def _device(self, query: AccessQuery, wanted: DeviceSubscription, caller: Caller) -> DeviceStream:
        rooms = wanted.rooms
        device = DeviceStream(
            uuid4().hex,
            query,
            caller,
            self._clock,
            self._freshness,
            ending_delay=self._follow_rooms.ending_delay(),
            state=Reservation(self._budget, query.user_id or ""),
            follows_rooms=bool(rooms.rooms) or rooms.follows_memberships,
            follows_memberships=rooms.follows_memberships,
            includes_cursors=rooms.includes_cursors,
            includes_read_states=rooms.includes_read_states,
            sends_events=wanted.sends_events,
            sends_events_of=wanted.sends_events_of,
            default_start=rooms.default_start,
        )
        if wanted.has_user:
            device.add(UserPart(device, self._users, wanted.user_after))
        if wanted.presence is not None:
            online, watched = wanted.presence.online, wanted.presence.watched
            device.add(PresencePart(device, self._presence, online=online, watched=watched))
        return device

    def has(self, stream_id: str) -> bool:
        """Tell whether a stream is one of this process."""
        return stream_id in self._streams

    async def update(
        self,
        stream_id: str,
        user_id: UserId,
        *,
        follow: Mapping[str, tuple[Start | None, bool | None]],
        unfollow: Sequence[str],
        watch: Sequence[str],
        unwatch: Sequence[str],
    ) -> None:
        """Change what a stream follows: whom it watches at first, because that may be refused.

        A room is given with where it starts and whether all that happens in it is sent; None is what the stream does
        by default. Raises STREAM_NOT_FOUND, FIELD_INVALID, and what watching raises.
        """
        device, _ = self._of(stream_id, user_id)
        if watch or unwatch:
            await _presence_of(device).watch(watch, unwatch)
        device.drop(unfollow)
        device.follow(follow)

    def renew(self, stream_id: str, user_id: UserId, caller: Caller) -> Caller:
        """Let a stream live as long as another token of its user; return whose token it lives by.

        Raises STREAM_NOT_FOUND and SUBJECT_MISMATCH.
        """
        device, open_stream = self._of(stream_id, user_id)
        if caller.subject != device.caller.subject or (device.caller.superuser and not caller.superuser):
            raise PermissionDenied(
                "SUBJECT_MISMATCH", "the token is not one of the stream's user", metadata={"field": "stream_id"}
            )
        device.renew(caller)
        open_stream.caller = device.caller
        return device.caller

    def _of(self, stream_id: str, user_id: UserId) -> tuple[DeviceStream, OpenStream]:
        found = self._streams.get(stream_id)
        if found is None or found[0].query.user_id != user_id:
            raise stream_not_found(stream_id)
        return found


def stream_not_found(stream_id: str) -> NotFound:
    """Return the error for a stream that is not there, or not its user's."""
    return NotFound("STREAM_NOT_FOUND", "there is no such stream of the user", metadata={"stream_id": stream_id})


def _presence_of(device: DeviceStream) -> PresencePart:
    for part in device.parts:
        if isinstance(part, PresencePart) and not part.has_ended:
            return part
    raise invalid_field("FIELD_INVALID", "watch_user_ids", "the stream does not have the part of presence")
