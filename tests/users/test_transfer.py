"""`import` and `export` of users: what goes in comes out, and goes in once."""

import json
from typing import Any

import psycopg
import pytest

from tests.support.exported import LATER, TIME, a_user, alike
from tests.support.suite import Suite
from tests.support.transferring import run_export, run_import

_USERS = [
    a_user("alice", name="Alice", avatar_url="https://example.com/a.png", custom_data={"a": [1, 2.5, None], "e": {}}),
    a_user("zo\u0308e\u0301 🫎/+%41", updated_at=LATER),
    a_user("empty", custom_data={}),
    a_user("large", custom_data={"n": 1e300, "zero": -0.0, "whole": 3.0}),
    a_user("old", created_at="1999-12-31T23:59:59.250000Z"),
]


async def test_what_was_taken_is_given_as_it_was_and_taken_once(suite: Suite) -> None:
    first = await run_import(suite, "users", _USERS)
    assert (first.counts, first.refused) == ({"taken": 5, "read": 5}, [])
    assert alike(await run_export(suite, "users")) == alike(_USERS)
    again = await run_import(suite, "users", _USERS)
    assert (again.counts, again.refused) == ({"already_there": 5, "read": 5}, [])
    assert suite.database.count("users.users") == 5


async def test_pages_of_users_of_one_time_are_given_whole(suite: Suite) -> None:
    users = [a_user(f"user-{number:04}") for number in range(1_100)]
    assert (await run_import(suite, "users", users)).counts["taken"] == 1_100
    assert alike(await run_export(suite, "users")) == users


async def test_one_who_is_there_and_described_otherwise_is_left_and_told(suite: Suite) -> None:
    await suite.make_users("alice")
    taken = await run_import(suite, "users", [a_user("alice", name="Another"), a_user("bob")])
    assert (taken.reasons, taken.counts["taken"]) == ([("1", "USER_ALREADY_EXISTS")], 1)
    names = {user["id"]: user["name"] for user in await run_export(suite, "users")}
    assert names["alice"] != "Another"


async def test_one_whose_id_is_being_deleted_is_refused_and_those_beside_are_taken(suite: Suite) -> None:
    with psycopg.connect(suite.database.superuser_dsn) as connection:
        connection.execute(
            "INSERT INTO users.deletions (id, subject_uid, subject_id, state, claim_time)"
            " VALUES (gen_random_uuid(), gen_random_uuid(), 'bob', 1, 'infinity')"
        )
    taken = await run_import(suite, "users", [a_user("alice"), a_user("bob"), a_user("carol")])
    assert (taken.reasons, taken.counts["taken"]) == ([("2", "BEING_DELETED")], 2)


@pytest.mark.parametrize("dry", [True, False])
@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (a_user(""), "FIELD_REQUIRED"),
        (a_user("a", name=""), "FIELD_REQUIRED"),
        (a_user("a", name="x" * 161), "LIMIT_EXCEEDED"),
        (a_user("a", avatar_url="nowhere"), "FIELD_INVALID"),
        (a_user("a", custom_data={"a": "\0"}), "FIELD_INVALID"),
        (a_user("a", custom_data={"a": "x" * 6_000}), "LIMIT_EXCEEDED"),
        (a_user("a", created_at="2999-01-01T00:00:00Z"), "FIELD_INVALID"),
        (a_user("a", created_at="yesterday"), "REQUEST_MALFORMED"),
        (a_user("a", created_at="2019-01-01T00:00:00"), "REQUEST_MALFORMED"),
        (a_user("a", created_at=7), "REQUEST_MALFORMED"),
        (a_user("a", name=7), "REQUEST_MALFORMED"),
        (a_user("a", custom_data=[1]), "REQUEST_MALFORMED"),
        ({"id": "a"}, "REQUEST_MALFORMED"),
    ],
)
async def test_a_record_that_can_not_be_taken_is_refused_by_its_place_and_the_next_one_is_read(
    suite: Suite, record: dict[str, Any], reason: str, dry: bool
) -> None:
    taken = await run_import(suite, "users", [record, a_user("alice")], dry=dry)
    assert taken.reasons == [("1", reason)]
    assert taken.counts == ({"read": 2} if dry else {"read": 2, "taken": 1})
    assert suite.database.count("users.users") == (0 if dry else 1)


@pytest.mark.parametrize("line", ["{", "[1]", '"x"', "\udcff".encode("utf-8", "surrogatepass").hex(), "[" * 100_000])
async def test_a_line_that_is_no_record_is_refused(suite: Suite, line: str) -> None:
    taken = await run_import(suite, "users", [line + "\n", json.dumps({"where": "2", **a_user("alice")}) + "\n"])
    assert taken.reasons == [("", "REQUEST_MALFORMED")]
    assert taken.counts["taken"] == 1


async def test_times_are_the_ones_of_the_record(suite: Suite) -> None:
    await run_import(suite, "users", [a_user("alice", updated_at=LATER)])
    with psycopg.connect(suite.database.superuser_dsn) as connection:
        row = connection.execute("SELECT create_time = %s, update_time = %s FROM users.users", (TIME, LATER)).fetchone()
    assert row == (True, True)
