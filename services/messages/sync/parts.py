"""The parts of a device's stream that feeds tell: the user with their rooms, and presence."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from chatkit.internal.feeds.v1 import feed_pb2
from chatkit.internal.feeds.v1 import presence_feed_service_pb2 as presence_pb2
from chatkit.internal.feeds.v1 import user_feed_service_pb2 as user_pb2
from chatkit.rooms.v1.user_event_pb2 import UserEvent
from chatkit.rooms.v1.user_position_pb2 import UserPosition
from chatkit.sync.v1 import sync_event_pb2
from chatkit.users.v1.presence_event_pb2 import PresenceEvent

from services.messages.sync import frames
from services.messages.sync.feeds import Feed
from services.messages.sync.frames import Part
from services.runtime.access.port import AccessQuery
from services.runtime.contract.errors import ChatkitError, Unauthenticated


class Device(Protocol):
    """The stream of a device, as its parts see it."""

    query: AccessQuery

    def send_state(self, events: Iterable[bytes]) -> None:
        """Queue frames of how it stands, whatever their size."""

    def push(self, seq: int, event: bytes) -> None:
        """Queue a frame of what has happened."""

    def cut(self, error: ChatkitError) -> None:
        """End the stream."""

    def has_caught_up(self, part: Part) -> None:
        """Hear that a part has told how it stands."""


class FedPart(ABC):
    """What a feed tells one device."""

    __slots__ = ("_device", "_has_state", "feed", "has_ended", "part")

    def __init__(self, device: Device, part: Part, feed: Feed) -> None:
        self.part = part
        self.feed = feed
        # Nothing more of it comes.
        self.has_ended = False
        self._device = device
        # Whether what is told are changes, and not yet how it stands.
        self._has_state = False

    @abstractmethod
    def request(self, number: int) -> Any:
        """Return what asks the feed to follow from where the device stands."""

    @abstractmethod
    def _begins_with(self, event: bytes) -> bool:
        """Look at an event of how it stands; tell whether it is the last one."""

    @property
    def is_behind(self) -> bool:
        """Whether nobody can tell just now that everything was sent."""
        return not self.has_ended and not (self._has_state and self.feed.is_current)

    def told(self, event: Any) -> None:
        """Hand events on."""
        if self._has_state:
            for one in frames.events_in(event.events):
                self._device.push(0, frames.of_part(self.part, one))
        else:
            self._begin(list(frames.events_in(event.events)))

    def interrupted(self) -> None:
        """Hear that the part is to be opened anew."""
        self._has_state = False

    def refused(self, error: ChatkitError) -> bool:
        """End the part, or the stream where it is about its user; True when it is to be opened anew."""
        self._has_state = False
        if error.retry_after is not None:
            return True
        self.has_ended = True
        if isinstance(error, Unauthenticated):
            self._device.cut(error)
        else:
            self._device.push(0, frames.part_closed_event(self.part, error))
            self._device.has_caught_up(self.part)
        return False

    def _begin(self, events: Sequence[bytes]) -> None:
        # From `opened` to `caught_up`, and what may have come with that.
        self._device.send_state(frames.of_part(self.part, event) for event in events)
        if any(self._begins_with(event) for event in events):
            self._has_state = True
            self._device.has_caught_up(self.part)

    @property
    def _follower(self) -> feed_pb2.Follower:
        query = self._device.query
        return feed_pb2.Follower(user_id=query.user_id or "", superuser=query.superuser, token_time=query.token_time)


class UserPart(FedPart):
    """The user, their rooms and the members."""

    __slots__ = ("_of_others", "_position")

    def __init__(self, device: Device, feed: Feed, after: UserPosition | None) -> None:
        super().__init__(device, sync_event_pb2.SYNC_PART_USER, feed)
        # Where the device stands; None begins with the state.
        self._position = after
        # Where the feed said that others stand before this one had caught up.
        self._of_others: UserPosition | None = None

    @property
    def position(self) -> UserPosition | None:
        """Where the device stands, as far as it is known: with all others since it has caught up."""
        of_all = self.feed.position
        return _later(self._position, of_all) if self._has_state and of_all is not self._of_others else self._position

    def interrupted(self) -> None:
        """Hear that the part is to be opened anew, from where the device stands."""
        self._position = self.position
        super().interrupted()

    def request(self, number: int) -> user_pb2.UserFollower:
        """Return what asks the feed to follow from where the device stands."""
        asked = user_pb2.UserFollower(follower=self._follower, after=self._position)
        asked.follower.number = number
        return asked

    def told(self, event: user_pb2.UserFeedEvent) -> None:
        """Hand events on, and keep where the device stands."""
        if not self._has_state:
            self._of_others = self.feed.position
        super().told(event)
        if event.HasField("position"):
            # A copy, because a part of a frame keeps all of the frame.
            self._position = UserPosition.FromString(event.position.SerializeToString())

    def refused(self, error: ChatkitError) -> bool:
        """End the part, or the stream where it is about its user; True when it is to go on from where it stands."""
        self._position = self.position
        return super().refused(error)

    def _begins_with(self, event: bytes) -> bool:
        told = UserEvent.FromString(event)
        if told.HasField("opened") and not told.opened.resumed:
            # In the middle of the state there is no place to go on from.
            self._position = None
        return told.HasField("caught_up")


def _later(own: UserPosition | None, of_all: UserPosition | None) -> UserPosition | None:
    """Return the later one of where a device stands and where all do who were told everything."""
    if own is None or of_all is None:
        return own or of_all
    is_same_life = (own.rooms_epoch, own.users_epoch) == (of_all.rooms_epoch, of_all.users_epoch)
    is_later = of_all.rooms_version >= own.rooms_version and of_all.users_version >= own.users_version
    return of_all if is_same_life and is_later else own


class PresencePart(FedPart):
    """Whether the user is there, and others are."""

    __slots__ = ("_online", "_watched")

    def __init__(self, device: Device, feed: Feed, *, online: bool, watched: Iterable[str]) -> None:
        super().__init__(device, sync_event_pb2.SYNC_PART_PRESENCE, feed)
        self._online = online
        self._watched = tuple(dict.fromkeys(watched))

    def request(self, number: int) -> presence_pb2.PresenceFollower:
        """Return what asks the feed to make the user online and to watch those who are watched by now."""
        asked = presence_pb2.PresenceFollower(
            follower=self._follower, online=self._online, watch_user_ids=self._watched
        )
        asked.follower.number = number
        return asked

    async def watch(self, added: Sequence[str], removed: Sequence[str]) -> None:
        """Watch others, too, and some no longer.

        Raises USER_NOT_FOUND, QUOTA_EXCEEDED, and SERVICE_UNAVAILABLE when users does not answer.
        """
        await self.feed.change(self, presence_pb2.WatchChange(watch_user_ids=added, unwatch_user_ids=removed))
        # A feed that is opened anew watches these.
        gone = set(removed)
        kept = [user_id for user_id in self._watched if user_id not in gone]
        self._watched = tuple(dict.fromkeys([*kept, *added]))

    def _begins_with(self, event: bytes) -> bool:
        return PresenceEvent.FromString(event).HasField("caught_up")
