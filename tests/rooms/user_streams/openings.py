"""SubscribeUser without a network: its parts on a real database, which a test can hold still in between."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import uuid4

from chatkit.internal.directory.v1 import directory_service_pb2 as directory_pb2
from chatkit.rooms.v1 import rooms_service_pb2 as pb2
from chatkit.rooms.v1 import user_event_pb2, user_position_pb2
from chatkit.users.v1 import user_pb2

from services.rooms.access.service import Access
from services.rooms.access.store import AccessStore
from services.rooms.deletions.store import RoomDeletionStore
from services.rooms.model import Change, Draft, RoomView, Visibility
from services.rooms.protos import room_proto
from services.rooms.quotas import Actor, Quotas
from services.rooms.recorded_changes import change_log
from services.rooms.store import RoomStore
from services.rooms.tables import deletion_tables
from services.rooms.user_streams.access import UserAccess
from services.rooms.user_streams.feed import UserFeeds
from services.rooms.user_streams.index import UserIndex
from services.rooms.user_streams.missed_store import MissedStore
from services.rooms.user_streams.opening import UserOpenings
from services.rooms.user_streams.position import Present, UserPosition
from services.rooms.user_streams.store import UserState, UserStateStore
from services.rooms.user_streams.streams import UserStreams
from services.rooms.user_streams.subscription import UserSubscription
from services.rooms.user_streams.watch import UserWatch
from services.rooms.views_store import RoomViewStore
from services.runtime.clock import SystemClock
from services.runtime.contract.errors import ChatkitError, NotFound, Unavailable
from services.runtime.contract.policies import Limits
from services.runtime.data.change_feed import ChangeFeed
from services.runtime.data.change_log import ChangeStore
from services.runtime.data.database import Database, create_engine
from services.runtime.erasure.store import DeletionStore
from services.runtime.identity.tokens import Caller
from services.runtime.ids import RoomId, RoomUid, UserId
from services.runtime.steps import Leisure
from tests.rooms.user_streams.reading import Folded, Shown
from tests.support.databases import TestDatabase
from tests.support.eventually import HANG_SECONDS, eventually
from tests.support.peers import user_uid_of

_EVER = datetime(2100, 1, 1, tzinfo=UTC)

_SUPERUSER = Actor(None, superuser=True)


class HeldStore(UserStateStore):
    """Reads as always; a test can hold back the answer, when everything was read."""

    def __init__(self, database: Database, leisure: Leisure) -> None:
        super().__init__(database, leisure)
        # How many states were read.
        self.states = 0
        # How many turns of the loop an answer takes to arrive.
        self.turns: Callable[[], int] = lambda: 0
        self.state_was_read = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()
        self.rooms_were_read = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def state(self, user_id: str) -> UserState:
        found = await super().state(user_id)
        self.states += 1
        self.state_was_read.set()
        await self.go.wait()
        for _ in range(self.turns()):
            await asyncio.sleep(0)
        return found

    async def views(self, uids: Collection[RoomUid], with_members: Collection[RoomUid]) -> dict[RoomUid, RoomView]:
        found = await super().views(uids, with_members)
        self.rooms_were_read.set()
        await self.go_on.wait()
        return found


def heartbeat(version: int) -> directory_pb2.DirectoryEvent:
    """Return a heartbeat of WatchUsers."""
    return directory_pb2.DirectoryEvent(version=version, heartbeat=directory_pb2.DirectoryHeartbeat(epoch="of users"))


class FakeUsers:
    """Users, who all exist but nobody; a test can hold back the answer, and tell of changes."""

    def __init__(self, *first: list[directory_pb2.DirectoryEvent] | ChatkitError) -> None:
        self.go = asyncio.Event()
        self.go.set()
        # What WatchUsers does: sends these frames, then stays open, or fails.
        self.frames: asyncio.Queue[list[directory_pb2.DirectoryEvent] | ChatkitError] = asyncio.Queue()
        for frame in first or ([heartbeat(7)],):
            self.frames.put_nowait(frame)
        # The versions after which somebody wanted to follow.
        self.followed_after: list[int] = []
        # What is told, in one frame, to those who read what was before.
        self.earlier: list[directory_pb2.DirectoryEvent] | ChatkitError = []

    async def get(self, user_id: str) -> user_pb2.User:
        await self.go.wait()
        if user_id == "nobody":
            raise NotFound("USER_NOT_FOUND", "nobody")
        if user_id == "away":
            raise Unavailable("SERVICE_UNAVAILABLE", "users can't be reached")
        return user_pb2.User(id=user_id, name=user_id)

    async def changes(self, after: int, _epoch: str) -> AsyncGenerator[directory_pb2.WatchUsersResponse, None]:
        self.followed_after.append(after)
        if after and (earlier := self.earlier):
            if isinstance(earlier, ChatkitError):
                raise earlier
            told = [event for event in earlier if event.version > after]
            yield directory_pb2.WatchUsersResponse(events=[*told, heartbeat(7)])
            await asyncio.Event().wait()
        while True:
            frame = await self.frames.get()
            if isinstance(frame, ChatkitError):
                raise frame
            yield directory_pb2.WatchUsersResponse(events=frame)


class Stream:
    """An open stream, with what it folds to."""

    def __init__(self, frames: AsyncIterator[bytes]) -> None:
        self.folded = Folded()
        # Where it stands, as far as it was told.
        self.position: user_position_pb2.UserPosition | None = None
        self._events = self._read(frames)

    async def next(self) -> user_event_pb2.UserEvent:
        """Return the next event."""
        async with asyncio.timeout(HANG_SECONDS):
            return await anext(self._events)

    def begin(self) -> "asyncio.Future[user_event_pb2.UserEvent]":
        """Open the stream, and return what waits for its first event."""
        return asyncio.ensure_future(self.next())

    async def until(self, kind: str) -> list[user_event_pb2.UserEvent]:
        """Return the events up to the first one of a kind, that one included."""
        seen = [await self.next()]
        while seen[-1].WhichOneof("event") != kind:
            seen.append(await self.next())
        return seen

    async def _read(self, frames: AsyncIterator[bytes]) -> AsyncIterator[user_event_pb2.UserEvent]:
        async for frame in frames:
            for event in pb2.SubscribeUserResponse.FromString(frame).events:
                self.folded.apply(event)
                if event.HasField("position"):
                    self.position = event.position
                yield event


@dataclass
class Openings:
    """The parts, wired as in app.py."""

    changes: ChangeStore[Change]
    rooms: RoomStore
    deletions: RoomDeletionStore
    views: RoomViewStore
    store: HeldStore
    users: FakeUsers
    feed: ChangeFeed[Change]
    streams: UserStreams
    openings: UserOpenings
    feeds: UserFeeds
    missed: MissedStore
    uids: dict[str, RoomUid] = field(default_factory=dict)

    async def create(self, room_id: str, *members: str, custom_data: dict[str, Any] | None = None) -> None:
        """Store a room."""
        self.uids[room_id] = RoomUid(uuid4())
        users = {user_id: user_uid_of(user_id) for user_id in members}
        draft = Draft(
            uid=self.uids[room_id],
            id=RoomId(room_id),
            name=room_id,
            visibility=Visibility.PUBLIC,
            custom_data=custom_data,
            creator_id=UserId(members[0]),
            members=users,
            request_id="",
        )
        await self.rooms.create(draft, _SUPERUSER)
        self.feed.nudge()

    async def add(self, room_id: str, user_id: str) -> None:
        """Begin a membership."""
        await self.rooms.add_members(self.uids[room_id], {user_id: user_uid_of(user_id)}, _SUPERUSER)
        self.feed.nudge()

    async def remove(self, room_id: str, user_id: str) -> None:
        """End a membership."""
        await self.rooms.remove_members(self.uids[room_id], [user_id])
        self.feed.nudge()

    async def rename(self, room_id: str, name: str) -> None:
        """Change a room."""
        await self.rooms.update(self.uids[room_id], {"name": name}, "")
        self.feed.nudge()

    async def delete(self, room_id: str) -> None:
        """Delete a room."""
        await self.deletions.delete(self.uids[room_id])
        self.feed.nudge()

    async def users_told(self, version: int) -> None:
        """Wait until every change of users up to a version was told."""
        await eventually(lambda: self.streams.present.users_version == version)

    async def handed_out(self) -> None:
        """Wait until the tail has handed out every change."""
        version = (await self.changes.head()).version
        await eventually(lambda: self.streams.position == version)

    async def listed(self, user_id: str) -> dict[str, Shown]:
        """Return a user's rooms as they are stored."""
        views = await self.views.page_of_user(UserId(user_id), "", 100)
        return {view.room.id: (room_proto(view.room), list(view.member_ids)) for view in views}

    @asynccontextmanager
    async def reading(self, user_id: str, after: UserPosition | None = None) -> AsyncIterator[Stream]:
        """Subscribe while the context is open."""
        caller = Caller(UserId(user_id), superuser=True, service=None, expire_time=_EVER)
        frames = self.openings.subscribe(user_id, after, None, caller, lambda _goodbye: None)
        async with aclosing(frames):
            yield Stream(frames)


@asynccontextmanager
async def openings(
    database: TestDatabase,
    *,
    poll_interval: float = 0.01,
    most_state_bytes: int = 1024 * 1024,
    users: FakeUsers | None = None,
) -> AsyncIterator[Openings]:
    """Run the parts."""
    connections, clock = Database(create_engine(database.dsn("rooms"))), SystemClock()
    leisure, present, users = Leisure(), Present(), users or FakeUsers()
    index: UserIndex[UserSubscription] = UserIndex(present.of_change)
    store = HeldStore(connections, leisure)
    changes = ChangeStore(connections, change_log)
    feed: ChangeFeed[Change] = ChangeFeed(
        changes,
        clock,
        poll_interval=poll_interval,
        heartbeat_interval=1.0,
        kept=timedelta(hours=1),
    )
    checker, missed = Access(AccessStore(connections)), MissedStore(connections, store, leisure)
    access = UserAccess(checker, index, clock, retry_interval=0.01)
    streams = UserStreams(feed, store, access, index, present, clock, heartbeat_interval=15.0, retry_interval=0.01)
    watch = UserWatch(cast("Any", users), store, streams, clock, retry_interval=0.01)
    made = UserOpenings(
        store,
        missed,
        streams,
        watch,
        access,
        cast("Any", users),
        clock,
        leisure,
        most_state_bytes=most_state_bytes,
    )
    feeds = UserFeeds(made, streams, clock, Limits())
    async with asyncio.TaskGroup() as group:
        works = [group.create_task(part.run()) for part in (feed, streams, access, watch, feeds, checker, missed)]
        try:
            jobs = DeletionStore(connections, deletion_tables, ())
            rooms, views = RoomStore(connections, jobs, 100, Quotas(Limits())), RoomViewStore(connections)
            yield Openings(
                changes,
                rooms,
                RoomDeletionStore(connections, jobs),
                views,
                store,
                users,
                feed,
                streams,
                made,
                feeds,
                missed,
            )
        finally:
            # A task that is cancelled while it connects would leave its connection to nobody.
            feed.end()
            await eventually(lambda: not feed._followers and not connections.turns.in_hand)
            for work in works:
                work.cancel()
    await connections.close()
