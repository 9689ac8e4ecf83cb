"""What rooms exports of a user: all pages of it, and nothing of another."""

from uuid import UUID

import psycopg
from chatkit.rooms.v1 import rooms_service_pb2 as rooms_pb2

from services.rooms.export import store
from tests.support.databases import TestDatabase
from tests.support.exports import exported_by, of_kind
from tests.support.suite import Suite
from tests.support.tokens import user


def _uid(database: TestDatabase, user_id: str) -> UUID:
    with psycopg.connect(database.superuser_dsn) as connection:
        (found,) = connection.execute("SELECT uid FROM users.users WHERE id = %s", (user_id,)).fetchall()
    return UUID(str(found[0]))


async def test_all_pages_are_exported(suite: Suite, database: TestDatabase) -> None:
    await suite.make_users("alice", "bob")
    names = [f"room {number:04}" for number in range(2 * store._AT_ONCE + 1)]
    await suite.make_room(names[0], "alice", "bob")
    with psycopg.connect(database.superuser_dsn) as connection:
        # As the first one, which went the usual way.
        for name in names[1:]:
            connection.execute(
                """
                WITH made AS (
                    INSERT INTO rooms.rooms (uid, id, name, visibility, creator_id, member_count)
                    SELECT gen_random_uuid(), %s, name, visibility, creator_id, 1 FROM rooms.rooms WHERE id = %s
                    RETURNING uid, id
                )
                INSERT INTO rooms.memberships (room_uid, user_uid, room_id, user_id, is_given)
                SELECT made.uid, %s, made.id, 'alice', false FROM made
                """,
                (name, names[0], _uid(database, "alice")),
            )
    records = await exported_by(suite, "rooms", _uid(database, "alice"))
    assert [one["room_id"] for one in of_kind(records, "membership")] == names
    assert sorted(one["id"] for one in of_kind(records, "room_created")) == names


async def test_it_is_the_users_own_and_of_this_life_of_the_id(suite: Suite, database: TestDatabase) -> None:
    await suite.make_users("alice", "bob", "carol")
    await suite.make_room("alices", "alice")
    await suite.make_room("bobs", "bob", "carol")
    direct = rooms_pb2.GetOrCreateDirectRoomRequest(other_user_id="carol")
    await suite.rooms.GetOrCreateDirectRoom(direct, metadata=user("bob"))
    await suite.assign("bob", "admin")
    records = await exported_by(suite, "rooms", _uid(database, "alice"))
    assert [(one.kind, one.service) for one in records] == [("membership", "rooms"), ("room_created", "rooms")]
    assert "bob" not in str(records)
    # Somebody else had the id before.
    assert of_kind(await exported_by(suite, "rooms", UUID(int=1)), "membership") == []
