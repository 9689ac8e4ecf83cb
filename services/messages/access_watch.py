"""Keeps streams to those who still have access: ends those of removed members, asks again where a role has changed.

A stream in doubt is given nothing until rooms has answered, however long that takes.
"""

from itertools import islice

from services.messages.endings import act_on
from services.messages.hubs import Hubs
from services.messages.rooms_stream import RoomOfStream, RoomsStream
from services.messages.subscription import Follower, Subscription
from services.runtime.access import (
    AccessChange,
    AccessGrant,
    MembershipChanged,
    RoleAssigned,
    RoleChanged,
    RoomsChecker,
)
from services.runtime.clock import Clock
from services.runtime.doubt_queue import DoubtQueue
from services.runtime.errors import ChatkitError, NotFound, PermissionDenied

_ASKED_AT_ONCE = 16
_ROOMS_AT_ONCE = 200


class AccessWatch:
    """What changes of access do to the streams of this process."""

    def __init__(self, access: RoomsChecker, hubs: Hubs, clock: Clock, *, retry_interval: float) -> None:
        self._access = access
        self._hubs = hubs
        self._in_doubt: DoubtQueue[Subscription | RoomsStream] = DoubtQueue(
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
                for subscription in self._hubs.subscriptions_of(change.user_id):
                    if change.room_uid in {None, subscription.room_uid} and not subscription.query.superuser:
                        self._doubt(subscription)
            case RoleChanged():
                for subscription in self._hubs.subscriptions():
                    if subscription.may_depend_on(change.role):
                        self._doubt(subscription)

    def missed(self) -> None:
        """Doubt every stream; rooms may have been joined, too."""
        for subscription in self._hubs.subscriptions():
            self._doubt(subscription)
        for stream in self._hubs.streams_of(""):
            stream.joined(None)

    def fresh_again(self) -> None:
        """Let the streams go on."""
        for stream in self._hubs.streams():
            stream.wake()

    async def run(self) -> None:
        """Ask about the streams in doubt, so many at once, until cancelled."""
        await self._in_doubt.run()

    def _doubt(self, subscription: Follower) -> None:
        subscription.doubt()
        if isinstance(subscription, RoomOfStream):
            self._in_doubt.put(subscription.stream)
        elif isinstance(subscription, Subscription):
            self._in_doubt.put(subscription)

    async def _ask(self, stream: Subscription | RoomsStream) -> None:
        if isinstance(stream, RoomsStream):
            await self._ask_about_rooms(stream)
        elif self._hubs.has(stream):
            await self._ask_about(stream)

    async def _ask_about(self, subscription: Subscription) -> None:
        doubts = subscription.doubts
        try:
            answer: AccessGrant | ChatkitError = await subscription.ask(self._access)
        except (PermissionDenied, NotFound) as refusal:
            answer = refusal
        act_on(answer, subscription, doubts)

    async def _ask_about_rooms(self, stream: RoomsStream) -> None:
        """Ask about the rooms of a stream that are in doubt, many at once; one after another would take seconds."""
        while stream.doubtful and stream.error is None:
            rooms = [(room, room.doubts) for room in islice(stream.doubtful, _ROOMS_AT_ONCE)]
            answers = await stream.ask(self._access, [room.room_id for room, _ in rooms])
            for (room, doubts), answer in zip(rooms, answers, strict=True):
                act_on(answer, room, doubts)
