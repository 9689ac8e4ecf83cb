"""FollowUsers: many users on one feed, each as on a stream of their own."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from chatkit.internal.feeds.v1 import user_feed_service_pb2 as pb2
from chatkit.rooms.v1 import memberships_service_pb2 as memberships_pb2
from chatkit.rooms.v1 import role_pb2
from chatkit.rooms.v1 import roles_service_pb2 as roles_pb2
from chatkit.rooms.v1 import rooms_service_pb2 as rooms_pb2

from tests.rooms.user_streams.following import following
from tests.rooms.user_streams.reading import listed, short
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
        assert (await feed.heartbeat()).HasField("position")


async def test_a_heartbeat_says_how_long_all_was_sent_and_where_everybody_stands(rooms: Suite) -> None:
    async with following(rooms) as feed:
        alice = await feed.follow(1, "alice")
        await alice.until("caught_up")
        position = alice.position
        assert position is not None
        assert position.rooms_epoch
        assert position.users_epoch
        # Nobody's here.
        await rooms.make_room("others", "carol")
        later = await feed.heartbeat(lambda beat: beat.position.rooms_version > position.rooms_version)
        assert alice.is_quiet
        assert later.position.rooms_epoch == position.rooms_epoch
        assert 0 < later.heartbeat.elapsed_ms < (await feed.heartbeat()).heartbeat.elapsed_ms


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
