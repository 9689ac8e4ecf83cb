"""How many rooms a user may make and be in, and that nobody is pushed out of their own. All services are real."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
from chatkit.messages.v1 import messages_service_pb2 as messages_pb2
from chatkit.messages.v1 import part_pb2, room_subscription_pb2
from chatkit.rooms.v1 import memberships_service_pb2 as memberships_pb2
from chatkit.rooms.v1 import rooms_service_pb2 as rooms_pb2

from tests.support.databases import TestDatabase
from tests.support.eventually import HANG_SECONDS
from tests.support.refusals import refused
from tests.support.suite import Suite, running
from tests.support.tokens import Metadata, bearer, su, token, user


@asynccontextmanager
async def _suite(database: TestDatabase, folder: Path, **limits: int) -> AsyncIterator[Suite]:
    async with running(database, folder, "users", "rooms", "messages", limit_overrides=limits) as suite:
        await suite.make_users("alice", "bob", "eve")
        yield suite


async def _create(suite: Suite, room_id: str, *members: str, who: Metadata) -> None:
    request = rooms_pb2.CreateRoomRequest(id=room_id, name="x", visibility="VISIBILITY_PRIVATE", user_ids=members)
    await suite.rooms.CreateRoom(request, metadata=who)


async def _add(suite: Suite, room_id: str, *members: str, who: Metadata) -> None:
    await suite.memberships.AddMembers(
        memberships_pb2.AddMembersRequest(room_id=room_id, user_ids=members), metadata=who
    )


async def _leave(suite: Suite, room_id: str, who: str) -> None:
    await suite.memberships.LeaveRoom(memberships_pb2.LeaveRoomRequest(room_id=room_id), metadata=user(who))


async def _send(suite: Suite, room_id: str, who: str) -> None:
    part = part_pb2.Part(content_type="text/plain", content="x")
    request = messages_pb2.SendMessageRequest(room_id=room_id, request_id=room_id, parts=[part])
    await suite.messages.SendMessage(request, metadata=user(who))


async def _opened(suite: Suite, who: str, *named: str) -> tuple[list[str], list[str]]:
    """Follow the user's rooms, and return those that were opened, in order, and those that were closed."""
    request = messages_pb2.SubscribeRoomsRequest(
        rooms=[room_subscription_pb2.RoomSubscription(room_id=room_id) for room_id in named], follow_memberships=True
    )
    call = suite.messages.SubscribeRooms(request, metadata=user(who))
    opened: list[str] = []
    closed: list[str] = []
    try:
        async with asyncio.timeout(HANG_SECONDS):
            async for frame in call:
                for event in frame.events:
                    if not event.room_id and event.HasField("caught_up"):
                        return opened, closed
                    opened += [event.room_id] if event.room_id and event.HasField("opened") else []
                    closed += [event.room_id] if event.HasField("closed") else []
    finally:
        call.cancel()
    raise AssertionError


async def _over(call: Any, limit: str, most: int, whose: str) -> None:
    refusal = await refused(call, "QUOTA_EXCEEDED")
    told = refusal.metadata
    assert (told["limit"], told["maximum"], told["user_id"]) == (limit, str(most), whose)
    assert [violation.field for violation in refusal.quota] == [limit]


async def test_a_stranger_who_makes_rooms_with_somebody_takes_none_of_their_own_rooms_places(
    database: TestDatabase, tmp_path: Path
) -> None:
    limits = {"ROOMS_PER_SUBSCRIPTION": 10, "ROOMS_PER_USER": 10, "ROOMS_GIVEN_PER_USER": 5}
    async with _suite(database, tmp_path, **limits) as suite:
        for number in range(4):
            await _create(suite, f"zoo {number}", who=user("alice"))
        for number in range(5):
            await _create(suite, f"! {number}", "alice", who=user("eve"))
        await _over(_create(suite, "! 5", "bob", "alice", who=user("eve")), "ROOMS_GIVEN_PER_USER", 5, "alice")
        # Nothing of it was applied.
        await refused(suite.rooms.GetRoom(rooms_pb2.GetRoomRequest(room_id="! 5"), metadata=su()), "ROOM_NOT_FOUND")
        direct = rooms_pb2.GetOrCreateDirectRoomRequest(other_user_id="alice")
        await _over(suite.rooms.GetOrCreateDirectRoom(direct, metadata=user("eve")), "ROOMS_GIVEN_PER_USER", 5, "alice")
        await _create(suite, "! 6", who=user("eve"))
        await _over(_add(suite, "! 6", "bob", "alice", who=user("eve")), "ROOMS_GIVEN_PER_USER", 5, "alice")
        opened, closed = await _opened(suite, "alice")
        assert ({f"zoo {number}" for number in range(4)} <= set(opened), closed) == (True, [])


async def test_rooms_that_are_named_or_in_use_are_opened_before_those_in_which_nothing_happens(
    database: TestDatabase, tmp_path: Path
) -> None:
    async with _suite(database, tmp_path, ROOMS_PER_SUBSCRIPTION=3) as suite:
        for room_id in ("named", "older", "newer"):
            await _create(suite, room_id, who=user("alice"))
        for room_id in ("older", "newer"):
            await _send(suite, room_id, "alice")
        for number in range(4):
            # Superusers have no limit, and their rooms have the lowest ids.
            await _create(suite, f"! {number}", "alice", who=bearer(token("eve", su=True)))
        opened, closed = await _opened(suite, "alice", "named")
        assert opened == ["named", "newer", "older"]
        # One that the process hears of only now is tried, and refused, once more.
        assert list(dict.fromkeys(closed)) == [f"! {number}" for number in range(4)]


async def test_a_user_makes_so_many_rooms_and_so_many_in_a_day(database: TestDatabase, tmp_path: Path) -> None:
    limits = {"ROOMS_CREATED_PER_USER": 3, "ROOMS_CREATED_PER_USER_PER_DAY": 2}
    async with _suite(database, tmp_path, **limits) as suite:
        for number in range(2):
            await _create(suite, f"{number}", who=user("eve"))
        await _over(_create(suite, "2", who=user("eve")), "ROOMS_CREATED_PER_USER_PER_DAY", 2, "eve")
        _a_day_later(database)
        await _create(suite, "2", who=user("eve"))
        await _over(_create(suite, "3", who=user("eve")), "ROOMS_CREATED_PER_USER", 3, "eve")
        direct = rooms_pb2.GetOrCreateDirectRoomRequest(other_user_id="bob")
        await _over(suite.rooms.GetOrCreateDirectRoom(direct, metadata=user("eve")), "ROOMS_CREATED_PER_USER", 3, "eve")
        # For superusers there is no limit, and others have places of their own.
        await _create(suite, "3", who=bearer(token("eve", su=True)))
        await suite.rooms.GetOrCreateDirectRoom(
            rooms_pb2.GetOrCreateDirectRoomRequest(other_user_id="eve"), metadata=user("bob")
        )


def _a_day_later(database: TestDatabase) -> None:
    with psycopg.connect(database.superuser_dsn) as connection:
        connection.execute("UPDATE rooms.rooms SET create_time = create_time - interval '1 day'")


async def test_a_repeated_creation_answers_the_room_also_at_the_limit(database: TestDatabase, tmp_path: Path) -> None:
    async with _suite(database, tmp_path, ROOMS_CREATED_PER_USER=1, ROOMS_PER_USER=1) as suite:
        request = rooms_pb2.CreateRoomRequest(name="x", visibility="VISIBILITY_PUBLIC", request_id="1")
        made = await suite.rooms.CreateRoom(request, metadata=user("alice"))
        assert await suite.rooms.CreateRoom(request, metadata=user("alice")) == made


async def test_a_place_is_free_again_when_a_room_is_left(database: TestDatabase, tmp_path: Path) -> None:
    async with _suite(database, tmp_path, ROOMS_PER_USER=2) as suite:
        for room_id, creator in (("one", "alice"), ("two", "bob"), ("three", "eve")):
            await suite.make_room(room_id, creator)
        join = memberships_pb2.JoinRoomRequest(room_id="two")
        await suite.memberships.JoinRoom(join, metadata=user("alice"))
        # Joining again takes no place.
        await suite.memberships.JoinRoom(join, metadata=user("alice"))
        join = memberships_pb2.JoinRoomRequest(room_id="three")
        await _over(suite.memberships.JoinRoom(join, metadata=user("alice")), "ROOMS_PER_USER", 2, "alice")
        await _leave(suite, "two", "alice")
        await suite.memberships.JoinRoom(join, metadata=user("alice"))
        await _over(_create(suite, "four", who=user("alice")), "ROOMS_PER_USER", 2, "alice")
        await _add(suite, "two", "alice", who=su())


async def test_of_many_at_once_no_more_pass_than_there_are_places(database: TestDatabase, tmp_path: Path) -> None:
    limits = {"ROOMS_CREATED_PER_USER": 4, "ROOMS_GIVEN_PER_USER": 3}
    async with _suite(database, tmp_path, **limits) as suite:
        made = await asyncio.gather(
            *(_create(suite, f"{number}", who=user("eve")) for number in range(12)), return_exceptions=True
        )
        assert _passed(made) == 4
        assert database.count("rooms.rooms") == 4
        for number in range(4):
            await _create(suite, f"of bob {number}", who=user("bob"))
        rooms = [f"of bob {number}" for number in range(4)]
        given = await asyncio.gather(
            *(
                _add(suite, room_id, *users, who=user("bob"))
                for room_id in rooms
                for users in (["alice"], ["eve", "alice"])
            ),
            return_exceptions=True,
        )
        with psycopg.connect(database.superuser_dsn) as connection:
            found = connection.execute(
                "SELECT user_id, count(*) FROM rooms.memberships WHERE is_given GROUP BY user_id"
            ).fetchall()
        counts: dict[str, int] = dict(found)
        assert counts["alice"] == 3
        assert counts.get("eve", 0) <= 3
        assert _passed(given) >= 3


def _passed(results: Sequence[object]) -> int:
    return sum(not isinstance(result, BaseException) for result in results)


async def test_what_the_release_before_has_written_counts_as_the_users_own(
    database: TestDatabase, tmp_path: Path
) -> None:
    async with _suite(database, tmp_path, ROOMS_PER_USER=2, ROOMS_GIVEN_PER_USER=1) as suite:
        await _create(suite, "one", who=user("eve"))
        # It names the columns that it writes.
        with psycopg.connect(database.dsn("rooms").replace("+psycopg", "")) as connection:
            connection.execute("""
                INSERT INTO rooms.memberships (room_uid, user_uid, room_id, user_id)
                SELECT uid, gen_random_uuid(), id, 'alice' FROM rooms.rooms
            """)
            connection.execute("UPDATE rooms.rooms SET member_count = 2")
        await _create(suite, "two", "alice", who=user("eve"))
        await _over(_create(suite, "three", "alice", who=user("bob")), "ROOMS_PER_USER", 2, "alice")
