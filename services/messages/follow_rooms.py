"""The use case of following several rooms on one stream: rooms are opened page by page while events already flow."""

import asyncio
import random
from collections.abc import AsyncIterator, Container, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import structlog

from services.messages import frames
from services.messages.fanout.hub import RoomHub
from services.messages.fanout.hubs import Hubs
from services.messages.fanout.replays import Replays, pages
from services.messages.latest_rooms import latest_first
from services.messages.log.store import LogStore
from services.messages.model import NOW, Start
from services.messages.peers import RoomOfUser, RoomsClient
from services.messages.read_states.live_cursors import Cursors
from services.messages.read_states.live_states import ReadStateFeed
from services.messages.streams.endings import apply_answer
from services.messages.streams.rooms_stream import RoomOfStream, RoomsStream, too_many_rooms
from services.runtime.access.cache import Freshness
from services.runtime.access.port import AccessGrant, AccessQuery, RoomGrant, RoomsChecker
from services.runtime.clock import Clock
from services.runtime.contract.errors import ChatkitError, DeadlineExceeded, Unavailable, unavailable_peer
from services.runtime.deadline import Deadline
from services.runtime.fair_queue import FairQueue
from services.runtime.identity.tokens import Caller
from services.runtime.ids import NOBODY, RoomUid
from services.runtime.steps import Leisure
from services.runtime.streaming.open_streams import OnEnd

_log = structlog.get_logger()
# How long rooms is waited for.
_SECONDS = 3.0
_PAGE = 100
_PAGES_AT_ONCE = 4
# What it counts in a step to join a room, and to begin it.
_JOINING, _BEGINNING = 3, 10
# A user who joins and leaves rooms all the time makes a stream ask about them no more often.
_BETWEEN_ROUNDS_SECONDS = 0.2
# What rooms answers about somebody who is not in the room.
_NOT_A_MEMBER = {"ROOM_ACCESS_DENIED", "ROOM_NOT_FOUND"}


@dataclass(frozen=True, slots=True)
class RoomsSubscription:
    """What a client wants to follow: rooms with their starts, how others start, and what is sent beside messages."""

    rooms: Sequence[tuple[str, Start]]
    default_start: Start
    follows_memberships: bool
    includes_cursors: bool
    includes_read_states: bool


class FollowRooms:
    """Streams of several rooms."""

    def __init__(
        self,
        *,
        hubs: Hubs,
        log: LogStore,
        replays: Replays,
        cursors: Cursors,
        read_states: ReadStateFeed,
        access: RoomsChecker,
        rooms: RoomsClient,
        freshness: Freshness,
        clock: Clock,
        ending_spread: float,
        retry_interval: float,
        most_rooms: int,
    ) -> None:
        self._hubs = hubs
        self._log = log
        self._replays = replays
        self._cursors = cursors
        self._read_states = read_states
        self._access = access
        self._rooms = rooms
        self._freshness = freshness
        self._clock = clock
        self._ending_spread = ending_spread
        self._retry_interval = retry_interval
        self._most_rooms = most_rooms
        self._leisure = Leisure()
        # A page of rooms at a time, so that whoever follows a few waits for no more than that.
        self._turns = FairQueue(_PAGES_AT_ONCE, of_each=1)

    async def subscribe(
        self, query: AccessQuery, caller: Caller, wanted: RoomsSubscription, on_end: OnEnd
    ) -> AsyncIterator[bytes]:
        """Yield the frames of a stream, `closed` included, and then raise why it ended.

        `on_end` is told how the stream ends with its token, and can say goodbye.
        """
        stream = RoomsStream(
            query,
            caller,
            self._clock,
            self._freshness,
            ending_delay=self.ending_delay(),
            follows_memberships=wanted.follows_memberships,
            includes_cursors=wanted.includes_cursors,
            includes_read_states=wanted.includes_read_states,
        )
        stream.queue.open(0, [(0, frames.stream_opened_event(self._clock.now()))])
        async with self.following(stream, wanted):
            on_end(stream.queue.cut)
            try:
                async for frame in stream.queue.frames():
                    yield frame
            except ChatkitError as error:
                yield frames.closed_event("", self._clock.now(), error, None)
                raise

    def ending_delay(self) -> float:
        """Return how many seconds a stream waits until it ends because rooms stays away."""
        return random.uniform(0, self._ending_spread)

    @asynccontextmanager
    async def following(self, stream: RoomsStream, wanted: RoomsSubscription) -> AsyncIterator[None]:
        """Open the rooms of a stream, and those that come later, for as long as the context is open."""
        self._hubs.attach(stream)
        opening = asyncio.create_task(self._open_rooms(stream, wanted))
        opening.add_done_callback(stream.queue.end_with)
        try:
            yield
        finally:
            opening.cancel()
            await asyncio.wait({opening})
            self._leave(stream)

    async def _open_rooms(self, stream: RoomsStream, wanted: RoomsSubscription) -> None:
        """Open the rooms that are asked for, and then whatever is wanted or the user joins, until cancelled."""
        await self._open(stream, wanted.rooms)
        while stream.has_new_rooms:
            await self._open_joined(stream, wanted.default_start)
        stream.catch_up()
        while True:
            await stream.changed.wait()
            stream.changed.clear()
            self._leave_ended(stream)
            try:
                await self._open_wanted(stream)
                while stream.has_new_rooms:
                    await self._open_joined(stream, wanted.default_start)
                    await self._clock.sleep(_BETWEEN_ROUNDS_SECONDS)
            except Unavailable as error:
                _log.info("joined_rooms_not_opened", reason=error.reason)
                await self._clock.sleep(self._retry_interval)
                stream.changed.set()

    async def _open_wanted(self, stream: RoomsStream) -> None:
        """Open the rooms that were asked for since."""
        while wanted := stream.take_wanted():
            try:
                await self._open(stream, list(wanted.items()))
            except ChatkitError:
                stream.want(wanted)
                raise

    async def _open_joined(self, stream: RoomsStream, start: Start) -> None:
        """Open the rooms that the user has joined; all of theirs are listed when it is not known which those are."""
        to_list, joined = stream.take_new_rooms()
        try:
            if to_list:
                await self._open_listed(stream, joined, start)
            else:
                await self._open(stream, [(room_id, start) for room_id in joined.values()], only_as_member=True)
        except ChatkitError:
            stream.put_back(to_list, joined)
            raise

    async def _open_listed(self, stream: RoomsStream, joined: Container[RoomUid], start: Start) -> None:
        """Open those of the user's rooms that are neither open nor closed for good, the latest to move first.

        All are listed before: where there are more than places, those that nothing happens in are left out, and not
        those whose ids happen to come last. Whoever is added to many rooms by others keeps the rooms that are in use.
        """
        new: list[RoomOfUser] = []
        token = ""
        while True:
            async with self._turn(stream):
                rooms, token = await self._list(stream, token)
            new += [
                room
                for room in rooms
                if room.room_uid not in stream.rooms and (room.room_uid in joined or room.room_id not in stream.closed)
            ]
            if not token:
                break
        latest = await latest_first(self._log, new, lambda: self._turn(stream))
        await self._open(stream, [(one.room.room_id, start) for one in latest], only_as_member=True)

    async def _list(self, stream: RoomsStream, token: str) -> tuple[list[RoomOfUser], str]:
        try:
            return await self._rooms.of_user(stream.query.user_id or NOBODY, _PAGE, token, Deadline.after(_SECONDS))
        except DeadlineExceeded:
            raise unavailable_peer("rooms") from None

    def _turn(self, stream: RoomsStream) -> AbstractAsyncContextManager[None]:
        return self._turns.turn(stream.query.user_id or "")

    async def _open(
        self, stream: RoomsStream, wanted: Sequence[tuple[str, Start]], *, only_as_member: bool = False
    ) -> None:
        # Rooms is asked about no more at once than a subscription may have.
        for page in pages(wanted, self._most_rooms):
            await stream.queue.wait_for_room()
            async with self._turn(stream):
                await self._open_page(stream, page, only_as_member=only_as_member)
            self._leave_ended(stream)

    async def _open_page(self, stream: RoomsStream, page: Sequence[tuple[str, Start]], *, only_as_member: bool) -> None:
        answers = await stream.ask(self._access, [room_id for room_id, _ in page])
        joined: list[tuple[RoomOfStream, RoomHub, Start]] = []
        pace = self._leisure.pace()
        for (room_id, start), answer in zip(page, answers, strict=True):
            if only_as_member and not _is_member(answer):
                # Nobody has named the room, and the user has left it meanwhile.
                continue
            if isinstance(answer, ChatkitError):
                stream.refuse(room_id, answer)
            elif len(stream.rooms) >= self._most_rooms:
                stream.refuse(room_id, too_many_rooms(self._most_rooms))
            elif answer.room_uid is not None and answer.room_uid not in stream.rooms:
                grant = RoomGrant(answer.room_uid, answer.user_uid)
                begins = start if stream.sends_events(room_id) else NOW
                joined.append(self._join(stream, room_id, grant, begins))
            await pace.did(_JOINING)
        try:
            await self._replays.read_page([(hub, start) for _, hub, start in joined])
            await self._cursors.follow(*(room for room, _, _ in joined))
            read_states = await self._read_states.events([room for room, _, _ in joined])
            await self._confirm(stream, [room for room, _, _ in joined])
        except ChatkitError:
            self._forget(stream, [room for room, _, _ in joined])
            raise
        pace = self._leisure.pace()
        for room, hub, start in joined:
            if room.error is None:
                count = self._begin(room, hub, start, read_states.get(room.room_uid))
                await pace.did(_BEGINNING + count)

    def _join(
        self, stream: RoomsStream, room_id: str, grant: RoomGrant, start: Start
    ) -> tuple[RoomOfStream, RoomHub, Start]:
        room = RoomOfStream(stream, grant, room_id)
        stream.rooms[room.room_uid] = room
        stream.closed.discard(room_id)
        self._cursors.join(room_id, room)
        self._read_states.join(room)
        return room, self._hubs.join(room_id, room), start

    async def _confirm(self, stream: RoomsStream, rooms: Sequence[RoomOfStream]) -> None:
        """Ask again, because a change before the rooms were joined would not have closed them.

        A kept answer is as good as rooms': see `Messages._confirm`. A room that came into doubt meanwhile is asked
        about by others, and nothing of it is sent before they have the answer.
        """
        doubts = [room.doubts for room in rooms]
        answers = await stream.ask(self._access, [room.room_id for room in rooms]) if rooms else []
        for room, count, answer in zip(rooms, doubts, answers, strict=True):
            apply_answer(answer, room, count)

    def _begin(self, room: RoomOfStream, hub: RoomHub, start: Start, read_state: bytes | None) -> int:
        """Queue the beginning of a room and return of how many events it is.

        Nothing is awaited here: so nothing is missed, and nothing doubled.
        """
        now = self._clock.now()
        beginning = (
            self._replays.beginning(hub, start, now)
            if room.sends_events
            else self._replays.beginning_of_state(hub, now)
        )
        unlogged = [(0, event) for event in self._cursors.events(room)]
        if read_state is not None:
            unlogged.append((0, read_state))
        room.told_seq = hub.last
        events = [*beginning.events, *unlogged, beginning.caught_up]
        room.open(beginning.epoch, beginning.sent_seq, events)
        return len(events)

    def _forget(self, stream: RoomsStream, rooms: Sequence[RoomOfStream]) -> None:
        for room in rooms:
            stream.forget(room)
            self._leave_room(room)

    def _leave_ended(self, stream: RoomsStream) -> None:
        while stream.ended:
            self._leave_room(stream.ended.pop())

    def _leave(self, stream: RoomsStream) -> None:
        self._hubs.detach(stream)
        self._hubs.chores.put(self._leaving(stream))

    def _leaving(self, stream: RoomsStream) -> Iterator[int]:
        self._leave_ended(stream)
        for room in list(stream.rooms.values()):
            self._forget(stream, [room])
            yield 1

    def _leave_room(self, room: RoomOfStream) -> None:
        self._cursors.leave(room)
        self._read_states.leave(room)
        self._hubs.leave(room)


def _is_member(answer: AccessGrant | ChatkitError) -> bool:
    if isinstance(answer, ChatkitError):
        return answer.reason not in _NOT_A_MEMBER
    return answer.user_uid is not None
