"""The stream of those who follow several rooms: one queue, and a part for each room.

A doubt about one room keeps back that room's events and no others; a removal closes that room. What is about the stream
(its token, its reader's pace, what nobody knows of access) ends all of it.
"""

import asyncio
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from services.messages import frames
from services.messages.model import Position, Start
from services.messages.streams.endings import apply_answer
from services.messages.streams.follower import READ_CURSORS, Follower
from services.messages.streams.staleness import Staleness
from services.runtime.access.cache import Freshness
from services.runtime.access.port import AccessGrant, AccessQuery, RoomGrant, RoomsChecker
from services.runtime.clock import Clock
from services.runtime.contract.errors import (
    Aborted,
    ChatkitError,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Violation,
    unavailable_peer,
)
from services.runtime.identity.tokens import Caller
from services.runtime.ids import RoomUid
from services.runtime.streaming.event_queue import EventQueue
from services.runtime.streaming.live_event import LiveEvent

_ROOMS_AT_ONCE = 200


class RoomOfStream(Follower):
    """One room of a stream of several."""

    __slots__ = (
        "_held",
        "_held_bytes",
        "_is_open",
        "_stream",
        "epoch",
        "error",
        "marks",
        "sends_events",
        "sent_seq",
        "told_seq",
    )

    def __init__(self, stream: "RoomsStream", grant: RoomGrant, room_id: str) -> None:
        # The strings that all who follow the room have are one: there are very many of these.
        shared_id = sys.intern(room_id)
        # Whether all that happens in the room is sent, and not only what it holds for the user.
        self.sends_events = stream.sends_events(room_id)
        includes_cursors = stream.includes_cursors and self.sends_events
        super().__init__(grant, stream.query, shared_id, stream.clock, includes_cursors=includes_cursors)
        self.error: ChatkitError | None = None
        self._stream = stream
        self._is_open = False
        # Where the room is put when what it holds for the user may be another than what was sent; None if nobody asks.
        self.marks: set[RoomOfStream] | None = None
        # Of the log that is sent; empty as long as the room is not open.
        self.epoch = ""
        # The last seq that was handed to the stream, and the one that a heartbeat has told.
        self.sent_seq = self.told_seq = 0
        # What waits for an answer about the user's access; None as long as nothing has.
        self._held: list[tuple[int, bytes]] | None = None
        self._held_bytes = 0

    @property
    def is_open(self) -> bool:
        """Whether the room's beginning is queued."""
        return self._is_open

    @property
    def includes_read_states(self) -> bool:
        """Whether the user's read state of the room is sent."""
        return self._stream.includes_read_states or not self.sends_events

    @property
    def held_bytes(self) -> int:
        """How much is kept back."""
        return self._held_bytes

    def open(self, epoch: str, sent_seq: int, beginning: Iterable[tuple[int, bytes]]) -> None:
        """Queue how the room starts, and admit what follows."""
        self.epoch = sys.intern(epoch)
        self.sent_seq = sent_seq
        self._is_open = True
        self._stream.begin(beginning, self)

    def push(self, seq: int, event: bytes, live: LiveEvent | None = None) -> None:
        """Queue an event of the room; `seq` is 0 for one that is not in the log."""
        if seq and self.marks is not None:
            self.marks.add(self)
        if self.sends_events and self.error is None and self._is_open:
            self._stream.push(seq, event, self, live)

    def push_read_state(self, event: bytes) -> None:
        """Queue what the room holds for the user."""
        if self.error is None and self._is_open:
            self._stream.push(0, event, self)

    def take(self, seq: int, event: bytes) -> bool:
        """Let an event go, or keep it back as long as there is a doubt; drop it once the room is closed."""
        if self.error is not None:
            return False
        if not self._doubt.is_settled:
            if self._held is None:
                self._held = []
            self._held.append((seq, event))
            self._held_bytes += len(event)
            self._stream.queue.hold(len(event))
            return False
        self.sent_seq = max(self.sent_seq, seq)
        return True

    def must_hear(self, seq: int) -> bool:
        """Tell whether a heartbeat must say that the room's log ends at a seq, because none has said so."""
        was_told, self.told_seq = self.told_seq == seq, seq
        return self.sends_events and not was_told

    def doubt(self) -> None:
        """Send nothing of this room until `trust`."""
        super().doubt()
        self._stream.doubtful.add(self)

    def wake(self) -> None:
        """Let what was kept back go, after an answer."""
        if self._doubt.is_settled:
            self._stream.doubtful.discard(self)
            held = self._let_go()
            self._stream.queue.release(held, self)

    def end(self, error: ChatkitError) -> None:
        """Close the room; the client resumes from what it was sent."""
        self.cut(error)

    def cut(self, error: ChatkitError) -> None:
        """Close the room; what waits is not sent any more, and the first ending counts."""
        if self.error is None:
            self.error = error
            self._let_go()
            self._stream.room_ended(self, error)

    def drop(self) -> None:
        """Send nothing more of the room: nobody wants it."""
        self.error = self.error or Aborted("LOG_RESET", "the room is followed no longer")
        self._let_go()

    def check_doubt(self, seconds: float) -> None:
        """Close the room when for too long nobody could say that the user still has access."""
        if self._doubt.has_lasted(seconds):
            self.cut(unavailable_peer("rooms"))

    def _let_go(self) -> list[tuple[int, bytes]]:
        held, self._held = self._held or [], None
        self._stream.queue.drop(self._held_bytes)
        self._held_bytes = 0
        return held


class RoomsStream:
    """A stream of several rooms: its rooms, and the queue that they share."""

    def __init__(
        self,
        query: AccessQuery,
        caller: Caller,
        clock: Clock,
        freshness: Freshness,
        *,
        ending_delay: float,
        follows_memberships: bool = False,
        includes_cursors: bool = False,
        includes_read_states: bool = False,
        on_taken: Callable[[int | None], None] | None = None,
    ) -> None:
        self.clock = clock
        # What is asked about each room, with the room's id left out.
        self.query = query
        self.follows_memberships = follows_memberships
        self.includes_cursors = includes_cursors
        self.includes_read_states = includes_read_states
        # The rooms that are open or being opened, and those of them that are in doubt.
        self.rooms: dict[RoomUid, RoomOfStream] = {}
        self.doubtful: set[RoomOfStream] = set()
        # Whether its user may be one no longer; with no room left, no answer about a room would say so.
        self._is_user_in_doubt = False
        # Rooms that have ended and are still to be taken from their hubs.
        self.ended: list[RoomOfStream] = []
        # The ids of rooms that are closed and are not opened again by themselves.
        self.closed: set[str] = set()
        # Whether the user's rooms are to be listed, and the ids of those that they have just joined, as far as told.
        self.to_list = follows_memberships
        self.new_rooms: dict[RoomUid, str] = {}
        # Rooms to open that were asked for later, with their starts.
        self._wanted: dict[str, Start] = {}
        # Set when there is something to do about the rooms.
        self.changed = asyncio.Event()
        self._staleness = staleness = Staleness(clock, freshness, ending_delay)
        self.queue = EventQueue(
            caller, clock, may_send=lambda: staleness.may_send, makes_room=self._close_most_held, on_taken=on_taken
        )

    @property
    def followers(self) -> Collection[RoomOfStream]:
        """The rooms that are open or being opened."""
        return self.rooms.values()

    def sends_events(self, _room_id: str) -> bool:
        """Tell whether all that happens in a room is sent, and not only what it holds for the user."""
        return True

    def push(self, seq: int, event: bytes, room: RoomOfStream | None = None, live: LiveEvent | None = None) -> None:
        """Queue an event, of a room or of the stream."""
        self.queue.push(seq, event, room, live)

    def say_of_room(self, event: bytes) -> None:
        """Queue what is said of a room that is not open."""
        self.push(0, event)

    def begin(self, beginning: Iterable[tuple[int, bytes]], room: RoomOfStream) -> None:
        """Queue how a room starts."""
        self.queue.begin(beginning, room)

    def catch_up(self) -> None:
        """Say that every room that was asked for has answered."""
        self.push(0, frames.caught_up_event("", self.clock.now(), 0))

    def beat(self, *, is_all_known: bool) -> bool:
        """Say of all rooms that tell nothing of their own that they have not moved, if that is known of all."""
        if is_all_known:
            self.push(0, frames.heartbeat_event("", self.clock.now(), 0))
        return is_all_known

    async def ask(self, access: RoomsChecker, room_ids: Sequence[str]) -> list[AccessGrant | ChatkitError]:
        """Ask whether the user may have all that the stream sends of some rooms."""
        answers = await access.check_rooms(self.query, room_ids)
        tells_cursors = self.includes_cursors or self.includes_read_states
        with_cursors = [room_id for room_id in room_ids if tells_cursors or not self.sends_events(room_id)]
        if not with_cursors:
            return answers
        # It depends on the same roles.
        cursors = await access.check_rooms(replace(self.query, permission=READ_CURSORS), with_cursors)
        refused = {
            room_id: answer
            for room_id, answer in zip(with_cursors, cursors, strict=True)
            if isinstance(answer, ChatkitError)
        }
        return [
            answer if isinstance(answer, ChatkitError) else refused.get(room_id, answer)
            for room_id, answer in zip(room_ids, answers, strict=True)
        ]

    def doubt_user(self) -> None:
        """Hear that what the user may do everywhere may be another, and that they may be a user no longer."""
        self._is_user_in_doubt = not self.query.superuser

    async def ask_again(self, access: RoomsChecker) -> None:
        """Ask about the user and the rooms in doubt, many at once; one after another would take seconds."""
        if self._is_user_in_doubt:
            await self._ask_about_user(access)
        while self.doubtful and self.queue.error is None:
            rooms = [(room, room.doubts) for room in islice(self.doubtful, _ROOMS_AT_ONCE)]
            answers = await self.ask(access, [room.room_id for room, _ in rooms])
            for (room, doubts), answer in zip(rooms, answers, strict=True):
                if isinstance(answer, Unauthenticated):
                    # It is not about the room.
                    self.queue.cut(answer)
                    return
                apply_answer(answer, room, doubts)

    async def _ask_about_user(self, access: RoomsChecker) -> None:
        # Before it is asked: a doubt that comes meanwhile needs an answer of its own.
        self._is_user_in_doubt = False
        try:
            await access.check(self.query)
        except Unauthenticated as error:
            self.queue.cut(error)
        except PermissionDenied:
            # They may have in a room what they don't have everywhere.
            pass
        except ChatkitError:
            self._is_user_in_doubt = True
            raise

    @property
    def has_new_rooms(self) -> bool:
        """Whether there may be rooms of the user's that are to be opened."""
        return self.to_list or bool(self.new_rooms)

    def joined(self, room_uid: RoomUid | None, room_id: str = "") -> None:
        """Hear that the user became a member of a room; of an unknown one when changes were missed."""
        if self.follows_memberships:
            if room_uid is not None:
                self.new_rooms[room_uid] = room_id
            self.to_list = self.to_list or not room_id
            self.changed.set()

    def take_new_rooms(self) -> tuple[bool, dict[RoomUid, str]]:
        """Return whether to list the user's rooms, and which are new; from now on that is as good as done."""
        taken = self.to_list, self.new_rooms
        self.to_list, self.new_rooms = False, {}
        return taken

    def put_back(self, to_list: bool, new_rooms: Mapping[RoomUid, str]) -> None:
        """Take back what was taken and could not be done."""
        self.to_list = self.to_list or to_list
        self.new_rooms = {**new_rooms, **self.new_rooms}

    def want(self, rooms: Mapping[str, Start]) -> None:
        """Have more rooms opened."""
        self._wanted = {**rooms, **self._wanted}
        self.changed.set()

    def take_wanted(self) -> dict[str, Start]:
        """Return the rooms that are to be opened; from now on that is as good as done."""
        wanted, self._wanted = self._wanted, {}
        return wanted

    def drop(self, room_ids: Collection[str]) -> None:
        """Follow rooms no longer, and say nothing of it; they are not opened again by themselves."""
        self.closed.update(room_ids)
        for room_id in room_ids:
            self._wanted.pop(room_id, None)
        for room in [room for room in self.rooms.values() if room.room_id in room_ids]:
            room.drop()
            self._forget_ended(room)

    def refuse(self, room_id: str, error: ChatkitError) -> None:
        """Answer that a room is not opened."""
        self._close(room_id, error, None)

    def room_ended(self, room: RoomOfStream, error: ChatkitError) -> None:
        """Say that a room is closed, and that the others go on."""
        self._forget_ended(room)
        self._close(room.room_id, error, Position(room.epoch, room.sent_seq) if room.is_open else None)

    def forget(self, room: RoomOfStream) -> None:
        """Take back a room that is not going to be opened now."""
        if self.rooms.get(room.room_uid) is room:
            del self.rooms[room.room_uid]
        self.doubtful.discard(room)

    def check_access(self) -> None:
        """End the stream, or close rooms, when for too long nobody could say that the user still has access."""
        if self._staleness.is_overdue():
            self.queue.cut(unavailable_peer("rooms"))
        elif self._staleness.is_fresh:
            for room in list(self.doubtful):
                room.check_doubt(self._staleness.most_doubted_seconds)

    def _forget_ended(self, room: RoomOfStream) -> None:
        self.rooms.pop(room.room_uid, None)
        self.doubtful.discard(room)
        self.ended.append(room)
        self.changed.set()

    def _close(self, room_id: str, error: ChatkitError, position: Position | None) -> None:
        self.closed.add(room_id)
        self.say_of_room(frames.closed_event(room_id, self.clock.now(), error, position))

    def _close_most_held(self) -> bool:
        """Close the room of which a doubt keeps back most: that is not the reader's fault. False where none does."""
        most_held = max(self.doubtful, key=lambda room: room.held_bytes, default=None)
        if most_held is None or not most_held.held_bytes:
            return False
        most_held.cut(unavailable_peer("rooms"))
        return True


def too_many_rooms(most: int) -> ResourceExhausted:
    """Return the error for a room for which there is no place on a stream."""
    description = f"a subscription has at most {most} rooms"
    return ResourceExhausted(
        "QUOTA_EXCEEDED",
        description,
        metadata={"limit": "ROOMS_PER_SUBSCRIPTION", "maximum": str(most), "actual": str(most + 1)},
        quota=[Violation("ROOMS_PER_SUBSCRIPTION", description)],
    )
