"""The stream of those who follow one room.

Whether the user may still have what waits is looked at in the moment in which a frame is taken, not when it was queued.
"""

from collections.abc import Collection
from dataclasses import replace

from services.messages.streams.endings import apply_answer
from services.messages.streams.follower import READ_CURSORS, Follower
from services.messages.streams.staleness import Staleness
from services.runtime.access.cache import Freshness
from services.runtime.access.port import AccessChecker, AccessGrant, AccessQuery, RoomGrant
from services.runtime.clock import Clock
from services.runtime.contract.errors import ChatkitError, NotFound, PermissionDenied, Unauthenticated, unavailable_peer
from services.runtime.identity.tokens import Caller
from services.runtime.ids import RoomUid
from services.runtime.streaming.event_queue import EventQueue
from services.runtime.streaming.live_event import LiveEvent


class OneRoomStream(Follower):
    """A room that has a stream for itself: a queue of serialized events between its hub and the reader."""

    __slots__ = ("_staleness", "queue")

    def __init__(
        self,
        grant: RoomGrant,
        query: AccessQuery,
        caller: Caller,
        clock: Clock,
        freshness: Freshness,
        *,
        ending_delay: float,
        includes_cursors: bool = False,
    ) -> None:
        super().__init__(grant, query, query.room_id, clock, includes_cursors=includes_cursors)
        doubt, staleness = self._doubt, Staleness(clock, freshness, ending_delay)
        self._staleness = staleness
        self.queue = EventQueue(caller, clock, may_send=lambda: doubt.is_settled and staleness.may_send)

    @property
    def followers(self) -> Collection[Follower]:
        """The one room."""
        return (self,)

    @property
    def is_open(self) -> bool:
        """Whether the beginning is queued."""
        return self.queue.is_open

    def push(self, seq: int, event: bytes, live: LiveEvent | None = None) -> None:
        """Queue an event of the room; `seq` is 0 for one that is not in the log."""
        self.queue.push(seq, event, live=live)

    def end(self, error: ChatkitError) -> None:
        """End the stream: what waits is still sent, if it may be; the first ending counts."""
        self.queue.end(error)

    def cut(self, error: ChatkitError) -> None:
        """End the stream; what waits is not sent any more."""
        self.queue.cut(error)

    def wake(self) -> None:
        """Look again whether what waits may be sent."""
        self.queue.wake()

    def beat(self, *, is_all_known: bool) -> bool:  # noqa: ARG002 - that of a stream
        """Do nothing: the room tells where its log ends."""
        return False

    def joined(self, room_uid: RoomUid | None, room_id: str = "") -> None:
        """Do nothing: no room is added to this one."""

    def doubt_user(self) -> None:
        """Do nothing: what is asked about the room is asked about its user, too."""

    async def ask(self, access: AccessChecker) -> AccessGrant:
        """Ask whether the user may have all that the stream sends; raises what `check` raises."""
        grant = await access.check(self.query)
        if self.includes_cursors:
            # It depends on the same roles.
            await access.check(replace(self.query, permission=READ_CURSORS))
        return grant

    async def ask_again(self, access: AccessChecker) -> None:
        """Ask about the room, and end or trust it; raises what `check` raises but for refusals."""
        doubts = self.doubts
        try:
            answer: AccessGrant | ChatkitError = await self.ask(access)
        except (PermissionDenied, NotFound, Unauthenticated) as refusal:
            answer = refusal
        apply_answer(answer, self, doubts)

    def check_access(self) -> None:
        """Cut the stream when for too long nobody could say that the user still has access."""
        is_overdue = self._staleness.is_overdue() or (
            self._staleness.is_fresh and self._doubt.has_lasted(self._staleness.most_doubted_seconds)
        )
        if self.queue.error is None and is_overdue:
            self.cut(unavailable_peer("rooms"))
