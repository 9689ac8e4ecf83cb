"""FollowUsers as the service that carries it on sees it: what each follower is told, and what is told to all."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import grpc
from chatkit.contract.v1 import error_reason_pb2
from chatkit.internal.feeds.v1 import feed_pb2
from chatkit.internal.feeds.v1 import user_feed_service_pb2 as pb2
from chatkit.internal.feeds.v1.user_feed_service_pb2_grpc import UserFeedServiceStub
from chatkit.rooms.v1 import rooms_service_pb2, user_event_pb2, user_position_pb2

from tests.rooms.user_streams.reading import Folded, short
from tests.support.eventually import HANG_SECONDS
from tests.support.suite import Suite
from tests.support.tokens import service

_NOW = 4_000_000_000.0


class Followed:
    """What one follower was told."""

    def __init__(self) -> None:
        self.folded = Folded()
        self.refused: asyncio.Future[feed_pb2.FeedRefusal] = asyncio.get_running_loop().create_future()
        # Where they stand, as the feed says beside their events.
        self.position: user_position_pb2.UserPosition | None = None
        self._events: asyncio.Queue[user_event_pb2.UserEvent] = asyncio.Queue()

    def take(self, told: pb2.UserFeedEvent) -> None:
        """Take in what the feed says of them."""
        if told.HasField("refused"):
            self.refused.set_result(told.refused)
            return
        events = rooms_service_pb2.SubscribeUserResponse.FromString(told.events).events
        for event in events:
            self.folded.apply(event)
            self._events.put_nowait(event)
        if told.HasField("position"):
            assert told.position == events[-1].position
            self.position = told.position

    async def next(self) -> user_event_pb2.UserEvent:
        """Return the next event."""
        async with asyncio.timeout(HANG_SECONDS):
            return await self._events.get()

    async def until(self, kind: str) -> list[user_event_pb2.UserEvent]:
        """Return the events up to the first one of a kind, that one included."""
        seen = [await self.next()]
        while seen[-1].WhichOneof("event") != kind:
            seen.append(await self.next())
        return seen

    async def told(self, count: int) -> list[str]:
        """Return so many events in short."""
        return [short(await self.next()) for _ in range(count)]

    async def refusal(self) -> str:
        """Return why they were refused, once they are."""
        async with asyncio.timeout(HANG_SECONDS):
            return error_reason_pb2.ErrorReason.Name((await self.refused).reason)

    @property
    def is_quiet(self) -> bool:
        """Whether everything that was told was looked at, and they were not refused."""
        return self._events.empty() and not self.refused.done()


class Feed:
    """An open feed."""

    def __init__(self, call: "grpc.aio.StreamStreamCall[pb2.FollowUsersRequest, pb2.FollowUsersResponse]") -> None:
        self.call = call
        self.followed: defaultdict[int, Followed] = defaultdict(Followed)
        self.heartbeats: asyncio.Queue[feed_pb2.FeedHeartbeat] = asyncio.Queue()
        self.positions: asyncio.Queue[user_position_pb2.UserPosition] = asyncio.Queue()
        # While it is not set nothing is read.
        self.go = asyncio.Event()
        self.go.set()

    async def open(self) -> None:
        """Say the first, empty request."""
        await self.call.write(pb2.FollowUsersRequest())

    async def follow(
        self,
        number: int,
        user_id: str,
        *,
        after: user_position_pb2.UserPosition | None = None,
        superuser: bool = False,
        token_time: float = _NOW,
    ) -> Followed:
        """Let a follower begin."""
        follower = feed_pb2.Follower(number=number, user_id=user_id, superuser=superuser, token_time=token_time)
        await self.call.write(pb2.FollowUsersRequest(follow=[pb2.UserFollower(follower=follower, after=after)]))
        return self.followed[number]

    async def leave(self, *numbers: int) -> None:
        """Let followers end."""
        await self.call.write(pb2.FollowUsersRequest(leave=numbers))

    async def read(self) -> None:
        """Read until the feed ends."""
        async for frame in self.call:
            await self.go.wait()
            for told in frame.events:
                if told.number:
                    self.followed[told.number].take(told)
                elif told.HasField("heartbeat"):
                    self.heartbeats.put_nowait(told.heartbeat)
                else:
                    self.positions.put_nowait(told.position)

    async def heartbeat(self) -> feed_pb2.FeedHeartbeat:
        """Return the next heartbeat."""
        async with asyncio.timeout(HANG_SECONDS):
            return await self.heartbeats.get()

    async def position(self, after: int = 0) -> user_position_pb2.UserPosition:
        """Return where all stand, once that is after a version of the changes of rooms."""
        async with asyncio.timeout(HANG_SECONDS):
            while (position := await self.positions.get()).rooms_version <= after:
                pass
            return position


@asynccontextmanager
async def following(
    suite: Suite, *, ends: Callable[["asyncio.Task[None]"], Awaitable[object]] | None = None
) -> AsyncIterator[Feed]:
    """Keep a feed open while the context is; `ends` looks at how its reading has ended, which else must not."""
    stub = UserFeedServiceStub(suite.channel("rooms"))
    feed = Feed(stub.FollowUsers(metadata=service("messages", "rooms")))
    await feed.open()
    reading = asyncio.create_task(feed.read())
    try:
        yield feed
        if ends is not None:
            await ends(reading)
        else:
            assert not reading.done(), reading
    finally:
        feed.call.cancel()
        reading.cancel()
        with suppress(asyncio.CancelledError, grpc.aio.AioRpcError):
            await reading
