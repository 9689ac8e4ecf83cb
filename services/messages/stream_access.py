"""Keeps streams to those who still have access: ends those of removed members, asks again where a role has changed.

A stream in doubt is given nothing until rooms has answered, however long that takes.
"""

from collections.abc import Callable, Iterator, Sequence

from services.messages.fanout.hubs import Hubs
from services.messages.streams.follower import Follower
from services.messages.streams.stream import Stream
from services.runtime.access.cache import Freshness
from services.runtime.access.doubts import DoubtQueue
from services.runtime.access.port import (
    AccessChange,
    MembershipChanged,
    RoleAssigned,
    RoleChanged,
    RoomDeleted,
    RoomsChecker,
)
from services.runtime.clock import Clock
from services.runtime.steps import WAKING, each

_ASKED_AT_ONCE = 16


class StreamAccess:
    """What changes of access do to the streams of this process."""

    def __init__(
        self, access: RoomsChecker, hubs: Hubs, freshness: Freshness, clock: Clock, *, retry_interval: float
    ) -> None:
        self._access = access
        self._freshness = freshness
        self._hubs = hubs
        self._in_doubt: DoubtQueue[Stream] = DoubtQueue(
            self._ask, clock, asked_at_once=_ASKED_AT_ONCE, retry_interval=retry_interval
        )

    def changed(self, change: AccessChange) -> None:
        """End the streams that a change ends for certain, and doubt those that it may end."""
        match change:
            case MembershipChanged(is_member=False):
                self._hubs.end_member(change.room_uid, change.user_uid)
            case MembershipChanged():
                for stream in self._hubs.streams_of(change.user_id):
                    stream.joined(change.room_uid, change.room_id)
            case RoleAssigned():
                if change.room_uid is None:
                    for stream in self._hubs.streams_of(change.user_id):
                        self._doubt_user(stream)
                self._doubt_those(
                    self._hubs.streams_of(change.user_id),
                    lambda one: change.room_uid in {None, one.room_uid} and not one.query.superuser,
                )
            case RoleChanged():
                self._doubt_those(self._hubs.streams(), lambda one: one.may_depend_on(change.role))
            case RoomDeleted():
                self._hubs.end_room(change.room_uid)

    def missed(self) -> None:
        """Doubt every stream; rooms may have been joined, too."""
        self._doubt_those(self._hubs.streams(), lambda _: True)
        self._hubs.chores.put(each(self._hubs.streams(), self._doubt_user_without_room, WAKING))
        self._hubs.chores.put(each(self._hubs.streams(), lambda stream: stream.joined(None), WAKING))

    def fresh_again(self) -> None:
        """Let the streams go on."""
        self._hubs.chores.put(_waking(self._hubs.streams()))

    async def run(self) -> None:
        """Ask about the streams in doubt, so many at once, until cancelled."""
        await self._in_doubt.run()

    def _doubt_user(self, stream: Stream) -> None:
        stream.doubt_user()
        self._in_doubt.put(stream)

    def _doubt_user_without_room(self, stream: Stream) -> None:
        # The others are asked about a room.
        if not stream.followers:
            self._doubt_user(stream)

    def _doubt_those(self, streams: Sequence[Stream], may_end: Callable[[Follower], bool]) -> None:
        """Doubt rooms of streams, in steps; nothing is sent to anybody before all are found.

        A stream that comes meanwhile asks for its access itself, when the change has arrived.
        """
        self._freshness.hold()
        self._hubs.chores.put(self._doubting(streams, may_end))

    def _doubting(self, streams: Sequence[Stream], may_end: Callable[[Follower], bool]) -> Iterator[int]:
        for stream in streams:
            found = [follower for follower in stream.followers if may_end(follower)]
            for follower in found:
                follower.doubt()
            if found:
                self._in_doubt.put(stream)
            yield 1 + len(stream.followers)
        self._freshness.release()
        yield from _waking(streams)

    async def _ask(self, stream: Stream) -> None:
        if self._hubs.has(stream):
            await stream.ask_again(self._access)


def _waking(streams: Sequence[Stream]) -> Iterator[int]:
    """Return the chore of letting streams look again whether what waits may be sent."""
    return each(streams, lambda stream: stream.queue.wake(), WAKING)
