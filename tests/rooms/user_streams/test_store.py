"""The state of a user with many rooms: in frames that any client takes, in as many statements as that of one room."""

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import psycopg
import pytest

from tests.rooms.user_streams.reading import listed, reading
from tests.support.databases import TestDatabase
from tests.support.statements import noting_statements
from tests.support.suite import Suite, running

_FRAME_BYTES = 64 * 1024
_ROOMS = """
    INSERT INTO rooms.rooms (uid, id, name, visibility, custom_data, creator_id, member_count)
    SELECT gen_random_uuid(), 'many ' || lpad(n::text, 4, '0'), 'Room', 1,
        jsonb_build_object('text', repeat('x', 4990), 'numbers', '[1, 2, 3]'::jsonb), 'alice', 2
    FROM generate_series(1, 1000) n
"""
_MEMBERSHIPS = """
    INSERT INTO rooms.memberships (room_uid, user_id, user_uid, room_id)
    SELECT uid, member, gen_random_uuid(), id FROM rooms.rooms, unnest(ARRAY['alice', 'bob']) member
    WHERE id LIKE 'many %'
"""


def _is_about_members(statement: str) -> bool:
    return "rooms.memberships" in statement


@pytest.fixture
async def rooms(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Suite]:
    """Run users and rooms, with a user who is in a thousand rooms of 5 KB, and one who is in one."""
    async with running(database, tmp_path, "users", "rooms") as suite:
        await suite.make_users("alice", "bob", "carol")
        await suite.make_room("single", "carol")
        with psycopg.connect(database.superuser_dsn) as connection:
            connection.execute(_ROOMS)
            connection.execute(_MEMBERSHIPS)
        yield suite


async def test_a_thousand_rooms_of_5_kb_open_for_a_client_without_options(rooms: Suite) -> None:
    address = rooms.servers["rooms"].address
    async with grpc.aio.insecure_channel(address) as channel:
        with noting_statements(_is_about_members) as many:
            async with reading(rooms, "alice", channel=channel) as stream:
                seen = await stream.until("caught_up")
        with noting_statements(_is_about_members) as one:
            async with reading(rooms, "carol", channel=channel) as other:
                await other.until("caught_up")
    ids = [event.room.room.id for event in seen[1:-1]]
    assert (len(ids), seen[-1].caught_up.room_count) == (1_000, 1_000)
    assert ids == sorted(ids)
    assert sum(stream.frames) > 5_000_000
    assert max(stream.frames) <= _FRAME_BYTES
    # The state, and twice whether the user has the permission.
    assert many == one
    assert len(many) == 3
    assert stream.folded.rooms == await listed(rooms, "alice")
