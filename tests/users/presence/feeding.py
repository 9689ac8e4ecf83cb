"""A feed of presence as a test reads it: what each follower is told, apart from the others."""

import asyncio
from collections import defaultdict
from contextlib import suppress
from itertools import count
from typing import Any

import grpc
from chatkit.contract.v1 import error_reason_pb2
from chatkit.internal.feeds.v1 import feed_pb2
from chatkit.internal.feeds.v1 import presence_feed_service_pb2 as pb2
from chatkit.internal.feeds.v1.presence_feed_service_pb2_grpc import PresenceFeedServiceStub
from chatkit.users.v1 import presence_event_pb2 as event_pb2
from chatkit.users.v1 import presence_service_pb2

from services.runtime.contract.errors import ChatkitError
from tests.support import tokens
from tests.support.eventually import HANG_SECONDS
from tests.support.refusals import refused

Told = event_pb2.PresenceEvent | pb2.PresenceFeedEvent


class PresenceFeedStream:
    """One FollowPresence, read all the time unless a test says otherwise."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        stub: Any = PresenceFeedServiceStub(channel)
        self.call: Any = stub.FollowPresence(metadata=tokens.service("messages", "users"))
        self.heartbeats: asyncio.Queue[int] = asyncio.Queue()
        self.may_read = asyncio.Event()
        self.may_read.set()
        self.told: dict[int, asyncio.Queue[Told]] = defaultdict(asyncio.Queue)
        self.reading = asyncio.create_task(self._read())
        self._numbers = count(1)
        self._changes = count(1)

    async def follow(
        self, user_id: str, *watched: str, online: bool = False, superuser: bool = False, token_time: float = 1e12
    ) -> "FeedFollower":
        """Begin to follow."""
        (made,) = await self.follow_all([(user_id, watched)], online=online, superuser=superuser, token_time=token_time)
        return made

    async def follow_all(
        self,
        wanted: "list[tuple[str, tuple[str, ...]]]",
        *,
        online: bool = False,
        superuser: bool = False,
        token_time: float = 1e12,
    ) -> "list[FeedFollower]":
        """Begin to follow for many in one request: users, and whom they watch."""
        numbers = [next(self._numbers) for _ in wanted]
        followers = [
            pb2.PresenceFollower(
                follower=feed_pb2.Follower(number=number, user_id=user_id, superuser=superuser, token_time=token_time),
                online=online,
                watch_user_ids=watched,
            )
            for number, (user_id, watched) in zip(numbers, wanted, strict=True)
        ]
        await self.send(pb2.FollowPresenceRequest(follow=followers))
        return [FeedFollower(self, number) for number in numbers]

    async def change(self, number: int, watch: tuple[str, ...] = (), unwatch: tuple[str, ...] = ()) -> int:
        """Change whom a follower watches; return the number of the change."""
        change_number = next(self._changes)
        change = pb2.WatchChange(
            number=number, change_number=change_number, watch_user_ids=watch, unwatch_user_ids=unwatch
        )
        await self.send(pb2.FollowPresenceRequest(change=[change]))
        return change_number

    async def send(self, request: pb2.FollowPresenceRequest) -> None:
        """Say something on the feed."""
        await self.call.write(request)

    async def ended(self, reason: str) -> ChatkitError:
        """Read to the end, which has this reason."""
        async with asyncio.timeout(HANG_SECONDS):
            await asyncio.wait({self.reading})
            return await refused(self.call.read(), reason)

    def hang_up(self) -> None:
        """Go without a word."""
        self.call.cancel()

    async def _read(self) -> None:
        # How it ends is asked by `ended`.
        with suppress(grpc.aio.AioRpcError, asyncio.CancelledError):
            while True:
                await self.may_read.wait()
                frame = await self.call.read()
                if frame is grpc.aio.EOF:
                    return
                for event in frame.events:
                    self._take(event)

    def _take(self, event: pb2.PresenceFeedEvent) -> None:
        if event.WhichOneof("event") == "heartbeat":
            assert event.number == 0
            self.heartbeats.put_nowait(event.heartbeat.elapsed_ms)
        elif event.WhichOneof("event") == "events":
            for one in presence_service_pb2.SubscribePresenceResponse.FromString(event.events).events:
                self.told[event.number].put_nowait(one)
        else:
            self.told[event.number].put_nowait(event)


class FeedFollower:
    """One follower, and what it is told."""

    def __init__(self, feed: PresenceFeedStream, number: int) -> None:
        self.number = number
        self._feed = feed

    @property
    def has_more(self) -> bool:
        """Whether something was told that the test has not taken."""
        return not self._feed.told[self.number].empty()

    async def next(self) -> Told:
        """Return what is told next."""
        async with asyncio.timeout(HANG_SECONDS):
            return await self._feed.told[self.number].get()

    async def event(self) -> event_pb2.PresenceEvent:
        """Return the next event."""
        told = await self.next()
        assert isinstance(told, event_pb2.PresenceEvent), told
        return told

    async def opened(self) -> dict[str, int]:
        """Take what comes up to `caught_up`, and return the state."""
        assert (await self.event()).HasField("opened")
        state: dict[str, int] = {}
        while (event := await self.event()).HasField("presence"):
            assert event.presence.user_id not in state
            state[event.presence.user_id] = event.presence.state
        assert event.HasField("caught_up"), event
        return state

    async def change(self) -> tuple[str, int]:
        """Return the next change."""
        event = await self.event()
        assert event.HasField("presence_changed"), event
        return event.presence_changed.user_id, event.presence_changed.state

    async def refused(self) -> str:
        """Return the reason of the refusal, which comes next."""
        told = await self.next()
        assert isinstance(told, pb2.PresenceFeedEvent), told
        assert told.HasField("refused"), told
        return error_reason_pb2.ErrorReason.Name(told.refused.reason)

    async def watch(self, *user_ids: str, unwatch: tuple[str, ...] = ()) -> dict[str, int]:
        """Watch others, too, and return how it stands with them."""
        number = await self._feed.change(self.number, user_ids, unwatch)
        state: dict[str, int] = {}
        while isinstance(told := await self.next(), event_pb2.PresenceEvent):
            assert told.HasField("presence"), told
            state[told.presence.user_id] = told.presence.state
        assert told.changed.change_number == number, told
        return state

    async def not_watched(self, *user_ids: str) -> feed_pb2.FeedRefusal:
        """Return why others can't be watched."""
        number = await self._feed.change(self.number, user_ids)
        told = await self.next()
        assert isinstance(told, pb2.PresenceFeedEvent), told
        assert told.not_changed.change_number == number, told
        return told.not_changed.refusal

    async def leave(self) -> None:
        """End."""
        await self._feed.send(pb2.FollowPresenceRequest(leave=[self.number]))
