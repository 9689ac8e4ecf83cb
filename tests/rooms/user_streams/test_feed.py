"""FollowUsers: many users on one feed, each as on a stream of their own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from chatkit.internal.feeds.v1 import feed_pb2
from chatkit.internal.feeds.v1 import user_feed_service_pb2 as pb2
from chatkit.rooms.v1 import memberships_service_pb2 as memberships_pb2
from chatkit.rooms.v1 import role_pb2
from chatkit.rooms.v1 import roles_service_pb2 as roles_pb2
from chatkit.rooms.v1 import rooms_service_pb2 as rooms_pb2
from chatkit.users.v1 import users_service_pb2 as users_pb2

from services.rooms.user_streams.feed import UserFeed
from services.rooms.user_streams.position import Present
from services.runtime.contract.errors import ResourceExhausted
from services.runtime.contract.policies import Limits
from services.runtime.contract.validation import Validator
from services.runtime.streaming.feed import FollowerQueue
from tests.rooms.user_streams.following import following
from tests.rooms.user_streams.openings import openings
from tests.rooms.user_streams.reading import listed, short
from tests.support.clock import ManualClock
from tests.support.databases import TestDatabase
from tests.support.eventually import eventually
from tests.support.refusals import check
from tests.support.suite import Suite, running
from tests.support.tokens import su


@pytest.fixture
async def rooms(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Suite]:
    """Run users and rooms, with some users and a room of alice and bob."""
    async with running(database, tmp_path, "users", "rooms") as suite:
        await suite.make_users("alice", "bob", "carol")
        await suite.make_room("lobby", "alice", "bob")
        yield suite


async def _rename(suite: Suite, name: str) -> None:
    await suite.rooms.UpdateRoom(rooms_pb2.UpdateRoomRequest(room_id="lobby", name=name), metadata=su())


async def _ended(reading: "asyncio.Task[None]", reason: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await reading
    check(ended.value, reason)


async def test_followers_are_told_what_a_stream_of_their_own_would_tell(rooms: Suite) -> None:
    async with following(rooms) as feed:
        alice, bob, other = await feed.follow(1, "alice"), await feed.follow(2, "bob"), await feed.follow(3, "alice")
        for one, who in ((alice, "alice"), (bob, "bob"), (other, "alice")):
            seen = [short(event) for event in await one.until("caught_up")]
            assert seen == [f"opened {who}", "room lobby alice,bob", "caught_up 1"]
        await _rename(rooms, "Lobby")
        for one in (alice, bob, other):
            assert await one.told(1) == ["room_updated lobby Lobby"]
        request = memberships_pb2.RemoveMembersRequest(room_id="lobby", user_ids=["bob"])
        await rooms.memberships.RemoveMembers(request, metadata=su())
        assert await bob.told(1) == ["removed_from_room lobby"]
        assert await alice.told(1) == await other.told(1) == ["member_left lobby bob"]
        assert alice.folded.rooms == await listed(rooms, "alice")
        assert all(one.is_quiet for one in (alice, bob, other))


async def test_whoever_leaves_is_told_nothing_more_and_the_others_are(rooms: Suite) -> None:
    streams = rooms.servers["rooms"].streams
    async with following(rooms) as feed:
        alice, bob = await feed.follow(1, "alice"), await feed.follow(2, "bob")
        await alice.until("caught_up")
        await bob.until("caught_up")
        # One that has never been there, too.
        await feed.leave(1, 17)
        again = await feed.follow(3, "alice")
        await again.until("caught_up")
        await _rename(rooms, "Lobby")
        assert await bob.told(1) == await again.told(1) == ["room_updated lobby Lobby"]
        assert alice.is_quiet
    # The one of users, which follows the changes of access.
    await eventually(lambda: streams.count == 1)


async def test_a_follower_who_is_refused_stops_nobody(rooms: Suite) -> None:
    await rooms.roles.CreateRole(roles_pb2.CreateRoleRequest(scope="ROLE_SCOPE_GLOBAL", name="nothing"), metadata=su())
    await rooms.assign("carol", "nothing")
    async with following(rooms) as feed:
        assert await (await feed.follow(5, "x" * 1_000)).refusal() == "LIMIT_EXCEEDED"
        nobody, carol, alice = (
            await feed.follow(1, "nobody"),
            await feed.follow(2, "carol"),
            await feed.follow(3, "alice"),
        )
        above = await feed.follow(4, "carol", superuser=True)
        assert await nobody.refusal() == "USER_NOT_FOUND"
        assert (await nobody.refused).metadata == {"user_ids": '["nobody"]'}
        assert await carol.refusal() == "PERMISSION_MISSING"
        assert [short(event) for event in await above.until("caught_up")] == ["opened carol", "caught_up 0"]
        await alice.until("caught_up")
        await _rename(rooms, "Lobby")
        assert await alice.told(1) == ["room_updated lobby Lobby"]


async def test_a_permission_that_is_taken_away_ends_the_follower_and_no_other(rooms: Suite) -> None:
    await rooms.roles.CreateRole(roles_pb2.CreateRoleRequest(scope="ROLE_SCOPE_GLOBAL", name="nothing"), metadata=su())
    async with following(rooms) as feed:
        alice, bob = await feed.follow(1, "alice"), await feed.follow(2, "bob")
        for one in (alice, bob):
            await one.until("caught_up")
        await rooms.assign("bob", "nothing")
        assert await bob.refusal() == "PERMISSION_MISSING"
        await rooms.assign("alice", "admin")
        await _rename(rooms, "Lobby")
        assert await alice.told(1) == ["room_updated lobby Lobby"]
        # What was granted by a role that is another one now.
        request = roles_pb2.UpdateRoleRequest(
            scope=role_pb2.ROLE_SCOPE_GLOBAL, name="admin", remove_permissions=["user:rooms:get"]
        )
        await rooms.roles.UpdateRole(request, metadata=su())
        assert await alice.refusal() == "PERMISSION_MISSING"
        # Nothing is kept back from anybody.
        assert (await feed.position()).rooms_epoch


async def test_followers_go_on_on_another_feed_where_they_stood(rooms: Suite) -> None:
    async with following(rooms) as feed:
        alice, bob = await feed.follow(1, "alice"), await feed.follow(2, "bob")
        for one in (alice, bob):
            await one.until("caught_up")
        await _rename(rooms, "Lobby")
        assert await alice.told(1) == ["room_updated lobby Lobby"]
        stood = alice.position
        await _rename(rooms, "Hall")
        await rooms.users.UpdateUser(users_pb2.UpdateUserRequest(user_id="bob", name="Bob"), metadata=su())
        # Rooms knows of it by now.
        await bob.until("user_updated")
    async with following(rooms) as feed:
        again, bob = await feed.follow(1, "alice", after=stood), await feed.follow(2, "bob")
        seen = await again.until("caught_up")
        told = ["opened alice", "room_updated lobby Hall", "user_updated bob Bob", "caught_up 0"]
        assert [short(event) for event in seen] == told
        assert seen[0].opened.resumed
        await bob.until("caught_up")
        await _rename(rooms, "Lobby")
        for one in (again, bob):
            assert await one.told(1) == ["room_updated lobby Lobby"]
        assert again.position == bob.position


async def _requests(*numbers: int) -> AsyncIterator[pb2.FollowUsersRequest]:
    """Let alice follow by each of some numbers, and say no more."""
    for number in numbers:
        follower = feed_pb2.Follower(number=number, user_id="alice", superuser=True)
        yield pb2.FollowUsersRequest(follow=[pb2.UserFollower(follower=follower)])
    await asyncio.Event().wait()


async def test_a_reader_who_stops_ends_the_feed_and_no_other(database: TestDatabase) -> None:
    async with openings(database) as parts:
        await parts.create("a", "alice", "bob")
        async with (
            aclosing(parts.feeds.follow(_requests(*range(1, 101)), lambda _: None)) as slow,
            aclosing(parts.feeds.follow(_requests(1), lambda _: None)) as quick,
        ):
            for feed, count in ((slow, 100), (quick, 1)):
                caught_up = 0
                while caught_up < count:
                    frame = pb2.FollowUsersResponse.FromString(await anext(feed))
                    caught_up += sum(event.HasField("position") for event in frame.events)
            # What all of its followers are told is more than a feed may leave unread.
            for number in range(4):
                await parts.rename("a", f"{number} {'x' * 60_000}")
                await parts.handed_out()
            with pytest.raises(ResourceExhausted, match="does not read fast enough"):
                await anext(slow)
            frames = [await anext(quick)]
            while f"3 {'x' * 60_000}".encode() not in frames[-1]:
                frames.append(await anext(quick))


async def test_a_feed_says_until_when_all_was_sent_and_where_everybody_stands(rooms: Suite) -> None:
    async with following(rooms) as feed:
        alice = await feed.follow(1, "alice")
        await alice.until("caught_up")
        assert alice.position is not None
        assert alice.position.users_epoch
        # Nobody's here.
        await rooms.make_room("others", "carol")
        later = await feed.position(alice.position.rooms_version)
        assert alice.is_quiet
        assert later.rooms_epoch == alice.position.rooms_epoch
        assert 0 < (await feed.heartbeat()).elapsed_ms < (await feed.heartbeat()).elapsed_ms


class _Streams:
    """Streams that have told everything until now."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.present = Present()
        self.present.rooms_epoch, self.present.users_epoch, self.present.rooms_version = "rooms", "users", 7

    @property
    def known_at(self) -> float:
        return self._clock.monotonic()


async def test_where_everybody_stands_is_not_said_before_what_is_kept_back_from_somebody() -> None:
    clock = ManualClock()
    feed = UserFeed(cast("Any", None), cast("Any", _Streams(clock)), clock, Validator(Limits()))
    alice = FollowerQueue(feed._feed, 1)
    frames = feed.queue.frames()

    async def told() -> list[str]:
        """Return what is told next, once it is a second later."""
        await clock.advance(1)
        feed.beat()
        reading = asyncio.ensure_future(anext(frames))
        await clock.advance(0)
        # A frame so soon after the last one waits for more.
        await clock.advance(1)
        events = pb2.FollowUsersResponse.FromString(await reading).events
        return [event.WhichOneof("event") or f"all at {event.position.rooms_version}" for event in events]

    alice.open(0, [])
    assert await told() == ["heartbeat", "all at 7"]
    # The doubt comes when both wait already.
    alice.push(0, b"an event")
    alice.hold()
    assert await told() == ["heartbeat"]
    assert await told() == ["heartbeat"]
    alice.release()
    assert await told() == ["events", "heartbeat", "all at 7"]


@pytest.mark.parametrize("number", [0, -1, 1])
async def test_a_number_that_names_nobody_or_another_one_ends_the_feed(rooms: Suite, number: int) -> None:
    async with following(rooms, ends=lambda reading: _ended(reading, "FIELD_INVALID")) as feed:
        await (await feed.follow(1, "alice")).until("caught_up")
        await feed.follow(number, "bob")


async def test_a_feed_that_is_not_carried_on_ends_well_and_leaves_nothing_behind(rooms: Suite) -> None:
    streams = rooms.servers["rooms"].streams

    async def ends_well(reading: "asyncio.Task[None]") -> None:
        await reading

    async with following(rooms, ends=ends_well) as feed:
        await (await feed.follow(1, "alice")).until("caught_up")
        await feed.call.done_writing()
    await eventually(lambda: streams.count == 1)


async def test_a_drain_ends_feeds_and_says_when_to_come_back(rooms: Suite) -> None:
    async with following(rooms, ends=lambda reading: _ended(reading, "SHUTTING_DOWN")) as feed:
        alice = await feed.follow(1, "alice")
        await alice.until("caught_up")
        await rooms.stop("rooms")


async def test_only_services_may_follow(rooms: Suite) -> None:
    stub_call = rooms.channel("rooms").stream_stream(
        "/chatkit.internal.feeds.v1.UserFeedService/FollowUsers",
        request_serializer=pb2.FollowUsersRequest.SerializeToString,
        response_deserializer=pb2.FollowUsersResponse.FromString,
    )
    call = stub_call(metadata=su())
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await anext(aiter(call))
    check(refused.value, "SERVICE_REQUIRED")
