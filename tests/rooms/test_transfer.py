"""`import` and `export` of rooms: members, creators who have left, and what is not taken."""

from typing import Any

import psycopg
import pytest
from chatkit.rooms.v1 import memberships_service_pb2 as memberships_pb2

from services.runtime.contract.errors import Unavailable
from tests.support.exported import LATER, a_room, a_user, alike
from tests.support.suite import Suite
from tests.support.tokens import su
from tests.support.transferring import run_export, run_import

_PEOPLE = ["alice", "bob", "zo\u0308e\u0301 🫎"]
_ROOMS = [
    a_room("lobby", *_PEOPLE, custom_data={"a": {"b": [1.5]}}, updated_at=LATER),
    a_room("öffentlich/+ 🫎", "bob", private=False, push_notification_title_override=""),
    a_room("left", "alice", created_by_id="bob"),
    a_room("empty"),
    a_room("titled", "alice", push_notification_title_override="A title", custom_data={}),
]


@pytest.fixture(autouse=True)
async def people(suite: Suite) -> None:
    """Have users."""
    await run_import(suite, "users", [a_user(name) for name in _PEOPLE])


async def test_what_was_taken_is_given_as_it_was_and_taken_once(suite: Suite) -> None:
    first = await run_import(suite, "rooms", _ROOMS)
    assert (first.counts, first.refused) == ({"taken": 5, "read": 5}, [])
    assert alike(await run_export(suite, "rooms")) == alike(_ROOMS)
    again = await run_import(suite, "rooms", _ROOMS)
    assert (again.counts, again.refused) == ({"already_there": 5, "read": 5}, [])
    assert suite.database.count("rooms.memberships") == 6


async def test_many_rooms_are_given_page_by_page(suite: Suite) -> None:
    rooms = [a_room(f"room-{number:03}", "alice") for number in range(250)]
    assert (await run_import(suite, "rooms", rooms)).counts["taken"] == 250
    assert await run_export(suite, "rooms") == rooms


async def test_members_can_come_in_at_once(suite: Suite) -> None:
    await run_import(suite, "rooms", [a_room("lobby", "alice", "bob")])
    listed = await suite.memberships.ListMembers(memberships_pb2.ListMembersRequest(room_id="lobby"), metadata=su())
    assert list(listed.user_ids) == ["alice", "bob"]
    # Each is told to those who follow, as after CreateRoom.
    assert suite.database.changes("rooms") == 2


async def test_who_is_no_user_is_left_out_by_name_and_the_room_is_taken(suite: Suite) -> None:
    taken = await run_import(suite, "rooms", [a_room("lobby", "bob", "carol", "dave", created_by_id="erin")])
    assert [(refused["reason"], refused["part"]) for refused in taken.refused] == [
        ("USER_NOT_FOUND", "members 'carol', 'dave'"),
        ("USER_NOT_FOUND", "creator 'erin'"),
    ]
    assert taken.counts["taken"] == 1
    (room,) = await run_export(suite, "rooms")
    assert room["member_ids"] == ["bob"]
    assert "created_by_id" not in room
    assert (await run_import(suite, "rooms", [a_room("lobby", "bob", created_by_id="erin")])).counts[
        "already_there"
    ] == 1


@pytest.mark.parametrize("dry", [True, False])
async def test_members_beyond_the_limit_are_refused_by_name(suite: Suite, dry: bool) -> None:
    suite.changes["limit_overrides"] = {"ROOM_MEMBERS": 2}
    taken = await run_import(suite, "rooms", [a_room("lobby", *_PEOPLE)], dry=dry)
    (refused,) = taken.refused
    assert (refused["reason"], refused["part"]) == ("QUOTA_EXCEEDED", f"member {_PEOPLE[2]!r}")
    assert refused["metadata"] == {"limit": "ROOM_MEMBERS", "maximum": "2", "actual": "3"}
    members = [room["member_ids"] for room in await run_export(suite, "rooms")]
    assert members == ([] if dry else [["alice", "bob"]])


@pytest.mark.parametrize(
    "change",
    [{"name": "Other"}, {"private": False}, {"member_ids": ["alice"]}, {"created_by_id": "bob"}, {"updated_at": LATER}],
)
async def test_one_that_is_there_and_described_otherwise_is_left_and_told(suite: Suite, change: dict[str, Any]) -> None:
    room = a_room("lobby", "alice", "bob")
    await run_import(suite, "rooms", [room])
    taken = await run_import(suite, "rooms", [room | change])
    assert taken.reasons == [("1", "ROOM_ALREADY_EXISTS")]
    assert await run_export(suite, "rooms") == [room]


async def test_one_whose_id_is_being_deleted_is_refused(suite: Suite) -> None:
    with psycopg.connect(suite.database.superuser_dsn) as connection:
        connection.execute(
            "INSERT INTO rooms.deletions (id, subject_uid, subject_id, state, claim_time)"
            " VALUES (gen_random_uuid(), gen_random_uuid(), 'lobby', 1, 'infinity')"
        )
    taken = await run_import(suite, "rooms", [a_room("lobby", "alice"), a_room("other", "alice")])
    assert (taken.reasons, taken.counts["taken"]) == ([("1", "BEING_DELETED")], 1)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (a_room("", "alice"), "FIELD_REQUIRED"),
        (a_room("lobby", "alice", name="x" * 61), "LIMIT_EXCEEDED"),
        (a_room("lobby", "alice", custom_data={"a": "x" * 6_000}), "LIMIT_EXCEEDED"),
        (a_room("lobby", "x" * 161), "LIMIT_EXCEEDED"),
        (a_room("lobby", "alice", "a\nb"), "FIELD_INVALID"),
        (a_room("lobby", "alice", created_at="2999-01-01T00:00:00Z"), "FIELD_INVALID"),
        (a_room("lobby", "alice", member_ids=7), "REQUEST_MALFORMED"),
        (a_room("lobby", "alice", member_ids=[None]), "REQUEST_MALFORMED"),
    ],
)
async def test_a_record_that_can_not_be_taken_is_refused_and_the_next_one_is_read(
    suite: Suite, record: dict[str, Any], reason: str
) -> None:
    taken = await run_import(suite, "rooms", [record, a_room("next", "alice")])
    assert (taken.reasons, taken.counts["taken"]) == ([("1", reason)], 1)


async def test_it_breaks_off_when_users_is_away_and_can_be_repeated(suite: Suite) -> None:
    await suite.stop("users")
    with pytest.raises(Unavailable):
        await run_import(suite, "rooms", _ROOMS)
    await suite.start("users", listen=suite.servers["users"].address)
    assert (await run_import(suite, "rooms", _ROOMS)).counts["taken"] == 5
