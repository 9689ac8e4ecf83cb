"""SubscribeUser: the state of a user's rooms, then what changes, and how the stream ends."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from chatkit.rooms.v1 import memberships_service_pb2 as memberships_pb2
from chatkit.rooms.v1 import rooms_service_pb2 as pb2
from chatkit.users.v1 import users_service_pb2 as users_pb2
from google.protobuf import struct_pb2

from tests.rooms.user_streams.reading import listed, reading, short
from tests.support.databases import TestDatabase
from tests.support.refusals import refused
from tests.support.suite import Suite, running
from tests.support.tokens import su, user


@pytest.fixture
async def rooms(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Suite]:
    """Run users and rooms, with some users and a room of alice and bob."""
    async with running(database, tmp_path, "users", "rooms") as suite:
        await suite.make_users("alice", "bob", "carol", "dave")
        await suite.make_room("lobby", "alice", "bob")
        yield suite


async def _add(suite: Suite, room_id: str, user_id: str) -> None:
    request = memberships_pb2.AddMembersRequest(room_id=room_id, user_ids=[user_id])
    await suite.memberships.AddMembers(request, metadata=su())


async def _remove(suite: Suite, room_id: str, user_id: str) -> None:
    request = memberships_pb2.RemoveMembersRequest(room_id=room_id, user_ids=[user_id])
    await suite.memberships.RemoveMembers(request, metadata=su())


async def _rename(suite: Suite, room_id: str, name: str) -> None:
    await suite.rooms.UpdateRoom(pb2.UpdateRoomRequest(room_id=room_id, name=name), metadata=su())


async def _rename_user(suite: Suite, user_id: str, name: str) -> None:
    await suite.users.UpdateUser(users_pb2.UpdateUserRequest(user_id=user_id, name=name), metadata=su())


async def test_it_starts_with_the_user_and_their_rooms_in_the_order_of_ids(rooms: Suite) -> None:
    for room_id in ("b", "ä", "a", "Z"):
        await rooms.make_room(room_id, "alice")
    await rooms.make_room("others", "bob")
    async with reading(rooms, "alice") as stream:
        seen = [short(event) for event in await stream.until("caught_up")]
        assert seen == [
            *("opened alice", "room Z alice", "room a alice", "room b alice", "room lobby alice,bob", "room ä alice"),
            "caught_up 5",
        ]
        assert stream.folded.rooms == await listed(rooms, "alice")


async def test_every_field_of_a_room_is_in_the_state_and_in_what_follows(rooms: Suite) -> None:
    data = struct_pb2.Struct()
    data.update({"a": {"b": [1, 2.5, None, "x"]}})
    request = pb2.CreateRoomRequest(
        id="full", name="Full", custom_data=data, push_notification_title_override="", visibility="VISIBILITY_PUBLIC"
    )
    async with reading(rooms, "alice") as live:
        await live.until("caught_up")
        await rooms.rooms.CreateRoom(request, metadata=user("alice"))
        await live.until("added_to_room")
        direct = pb2.GetOrCreateDirectRoomRequest(other_user_id="carol")
        await rooms.rooms.GetOrCreateDirectRoom(direct, metadata=user("alice"))
        await live.until("added_to_room")
        await _rename(rooms, "full", "Fuller")
        await live.until("room_updated")
        expected = await listed(rooms, "alice")
        assert live.folded.rooms == expected
        async with reading(rooms, "alice") as late:
            await late.until("caught_up")
            assert late.folded.rooms == expected


async def test_changes_reach_the_streams_they_concern_and_ones_own_actions_too(rooms: Suite) -> None:
    async with reading(rooms, "alice") as alice, reading(rooms, "bob") as bob, reading(rooms, "dave") as dave:
        for stream in (alice, bob, dave):
            await stream.until("caught_up")
        await rooms.make_room("hall", "alice")
        await _add(rooms, "hall", "bob")
        await _rename(rooms, "hall", "Hall")
        await rooms.memberships.JoinRoom(memberships_pb2.JoinRoomRequest(room_id="hall"), metadata=user("carol"))
        await rooms.memberships.LeaveRoom(memberships_pb2.LeaveRoomRequest(room_id="hall"), metadata=user("alice"))
        await _remove(rooms, "hall", "carol")
        await rooms.make_room("end", "dave", "alice", "bob")
        told = await alice.told(6)
        assert told[0].startswith("added_to_room hall alice")
        assert told[1:5] == [
            *("member_joined hall bob", "room_updated hall Hall", "member_joined hall carol"),
            "removed_from_room hall",
        ]
        assert told[5].startswith("added_to_room end ")
        told = await bob.told(6)
        assert told[0].startswith("added_to_room hall alice,bob")
        assert told[1:5] == [
            *("room_updated hall Hall", "member_joined hall carol", "member_left hall alice", "member_left hall carol")
        ]
        assert [one.split(" ")[0] for one in await dave.told(3)] == ["added_to_room", "member_joined", "member_joined"]


async def test_a_changed_user_is_told_to_themselves_and_to_those_who_share_a_room_once_each(rooms: Suite) -> None:
    await rooms.make_room("second", "alice", "bob")
    async with reading(rooms, "alice") as alice, reading(rooms, "bob") as bob, reading(rooms, "dave") as dave:
        for stream in (alice, bob, dave):
            await stream.until("caught_up")
        await _rename_user(rooms, "alice", "Alice")
        assert await alice.told(1) == await bob.told(1) == ["user_updated alice Alice"]
        await _rename_user(rooms, "dave", "Dave")
        await _rename_user(rooms, "bob", "Bob")
        # Nothing of alice or bob to dave, and each event once.
        assert await dave.told(1) == ["user_updated dave Dave"]
        assert await alice.told(1) == await bob.told(1) == ["user_updated bob Bob"]
        # The copy is whole.
        got = await rooms.users.GetUser(users_pb2.GetUserRequest(user_id="bob"), metadata=user("bob"))
        assert alice.folded.users["bob"] == got.user


async def test_a_user_who_does_not_exist_is_not_found_and_another_ones_stream_is_for_superusers(rooms: Suite) -> None:
    async with reading(rooms, "nobody") as stream:
        error = await refused(stream.next(), "USER_NOT_FOUND")
        assert error.metadata == {"user_ids": '["nobody"]'}
    async with reading(rooms, "bob", of="alice") as stream:
        await refused(stream.next(), "SUBJECT_MISMATCH")
    async with reading(rooms, "", metadata=su(), of="alice") as stream:
        assert short((await stream.until("caught_up"))[1]) == "room lobby alice,bob"
        await _rename(rooms, "lobby", "Lobby")
        assert await stream.told(1) == ["room_updated lobby Lobby"]


async def test_events_are_the_same_on_every_replica(rooms: Suite) -> None:
    first = rooms.channel("rooms")
    await rooms.start("rooms")
    async with reading(rooms, "bob", channel=first) as one, reading(rooms, "bob") as other:
        for stream in (one, other):
            await stream.until("caught_up")
        for number in range(5):
            await asyncio.gather(_rename(rooms, "lobby", f"{number}"), _rename_user(rooms, "alice", f"{number}"))
            assert sorted(await one.told(2)) == sorted(await other.told(2))
        await _remove(rooms, "lobby", "alice")
        await _add(rooms, "lobby", "dave")
        await _remove(rooms, "lobby", "bob")
        expected = ["member_left lobby alice", "member_joined lobby dave", "removed_from_room lobby"]
        assert await one.told(3) == await other.told(3) == expected
