"""WatchUsers: the changes of users, for other services."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
from chatkit.internal.directory.v1 import directory_service_pb2 as pb2
from chatkit.internal.directory.v1.directory_service_pb2_grpc import DirectoryServiceStub
from chatkit.users.v1 import users_service_pb2 as users_pb2

from tests.support.databases import TestDatabase
from tests.support.eventually import HANG_SECONDS
from tests.support.suite import Suite, running
from tests.support.tokens import service, su

_FRAME_BYTES = 64 * 1024
_USERS = """
    INSERT INTO users.users (uid, id, name, avatar_url, custom_data)
    SELECT gen_random_uuid(), 'u' || lpad(n::text, 3, '0'), 'Name', '',
        jsonb_build_object('text', repeat('x', 5000)) FROM generate_series(1, 100) n
"""
_CHANGES = """
    INSERT INTO users.changes (version, kind, user_uid, user_id)
    SELECT row_number() OVER (ORDER BY id), 1, uid, id FROM users.users
"""


@pytest.fixture
async def users(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Suite]:
    """Run users and rooms, which wait for each other."""
    async with running(database, tmp_path, "users", "rooms") as suite:
        yield suite


async def _frames(suite: Suite, after: int, events: int) -> list[pb2.WatchUsersResponse]:
    """Return the frames with so many changes after a version."""
    stub = DirectoryServiceStub(suite.channel("users"))
    request = pb2.WatchUsersRequest(after_version=after)
    call = stub.WatchUsers(request, metadata=service("rooms", "users"))
    frames: list[pb2.WatchUsersResponse] = []
    async with asyncio.timeout(HANG_SECONDS):
        async for frame in call:
            if frame.events[0].HasField("user_updated"):
                frames.append(frame)
            if sum(len(frame.events) for frame in frames) >= events:
                break
    call.cancel()
    return frames


async def test_many_changes_are_told_in_order_in_frames_that_every_client_takes(users: Suite) -> None:
    with psycopg.connect(users.database.superuser_dsn) as connection:
        connection.execute(_USERS)
        connection.execute(_CHANGES)
        connection.execute("UPDATE users.change_counter SET version = 100")
    frames = await _frames(users, 1, 99)
    events = [event for frame in frames for event in frame.events]
    assert [event.version for event in events] == list(range(2, 101))
    assert [event.user_updated.id for event in events] == [f"u{number:03}" for number in range(2, 101)]
    assert max(frame.ByteSize() for frame in frames) <= _FRAME_BYTES
    assert len(frames) < 20


async def test_who_goes_on_after_a_frame_misses_nothing(users: Suite) -> None:
    await users.make_users("alice", "bob")
    for user_id in ("alice", "bob", "alice", "bob", "alice"):
        request = users_pb2.UpdateUserRequest(user_id=user_id, name=f"{user_id}!")
        await users.users.UpdateUser(request, metadata=su())
        request.name = user_id
        await users.users.UpdateUser(request, metadata=su())
    await users.database.ordered("users")
    last = users.database.count("users.changes")
    (frame,) = await _frames(users, 1, 2)
    # Each user once, at the place of their last change.
    assert [(event.version, event.user_updated.id) for event in frame.events] == [(last - 2, "bob"), (last, "alice")]
    (rest,) = await _frames(users, last - 2, 1)
    assert [event.user_updated.name for event in rest.events] == ["alice"]
