"""What a later release has stored: a value that this one does not know ends no process, no page and no stream."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from chatkit.contract.v1 import deletion_pb2
from chatkit.files.v1 import file_pb2
from chatkit.files.v1 import files_service_pb2 as files_pb2
from chatkit.messages.v1 import messages_service_pb2 as pb2
from chatkit.messages.v1 import part_pb2
from chatkit.rooms.v1 import memberships_service_pb2 as memberships_pb2
from chatkit.rooms.v1 import roles_service_pb2 as roles_pb2
from chatkit.rooms.v1 import room_pb2
from chatkit.rooms.v1 import rooms_service_pb2 as rooms_pb2
from chatkit.users.v1 import presence_event_pb2, presence_service_pb2
from chatkit.users.v1 import users_service_pb2 as users_pb2

from tests.messages.chat import Reader
from tests.support import uploads
from tests.support.databases import TestDatabase
from tests.support.eventually import HANG_SECONDS, eventually, until
from tests.support.refusals import refused
from tests.support.suite import BUILDS, Suite, ready, running
from tests.support.tokens import su, user

_LATER = 99


@pytest.fixture
async def suite(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Suite]:
    """Run all services, with a room of two and somebody else."""
    async with running(database, tmp_path, *BUILDS) as started:
        await started.make_users("alice", "bob", "carol")
        await started.make_room("lobby", "alice", "bob")
        yield started


def _execute(suite: Suite, table: str, *statements: str) -> None:
    """Write as a later release would, which has other constraints."""
    checks = f"SELECT conname FROM pg_constraint WHERE contype = 'c' AND conrelid = '{table}'::regclass"
    with psycopg.connect(suite.database.superuser_dsn) as connection:
        for (name,) in connection.execute(checks).fetchall():
            connection.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
        for statement in statements:
            connection.execute(statement)


def _record(suite: Suite, schema: str, written: str) -> None:
    counter = f"UPDATE {schema}.change_counter SET version = version + 1 RETURNING version"
    _execute(suite, f"{schema}.changes", f"WITH moved AS ({counter}) INSERT INTO {schema}.changes {written} FROM moved")


def _leave(suite: Suite, schema: str, written: str) -> None:
    _execute(suite, f"{schema}.unordered_changes", f"INSERT INTO {schema}.unordered_changes {written}")


async def _say(suite: Suite, text: str, **part: Any) -> int:
    parts = [part_pb2.Part(content_type="text/plain", content=text) if not part else part_pb2.Part(**part)]
    request = pb2.SendMessageRequest(room_id="lobby", parts=parts, request_id=text)
    return int((await suite.messages.SendMessage(request, metadata=user("alice"))).message.seq)


async def _event(suite: Suite) -> None:
    reader = Reader(suite.messages.SubscribeRoom(pb2.SubscribeRoomRequest(room_id="lobby"), metadata=user("bob")))
    await reader.until("caught_up")
    sent = await _say(suite, "hello")
    assert (await reader.next()).seq == sent
    _execute(
        suite,
        "messages.events",
        "INSERT INTO messages.events (room_uid, seq, kind, message_seq, time)"
        f" SELECT room_uid, 2, {_LATER}, 1, clock_timestamp() FROM messages.heads",
        "UPDATE messages.messages SET revision = 2",
        "UPDATE messages.heads SET seq = 2",
    )
    event = await reader.next()
    assert (event.seq, event.WhichOneof("event"), event.message_changed.seq) == (2, "message_changed", sent)
    assert event.message_changed.parts[0].content == "hello"
    assert await _say(suite, "still there") == 3
    assert (await reader.next()).seq == 3
    reader.call.cancel()
    log = await suite.messages.ListRoomEvents(pb2.ListRoomEventsRequest(room_id="lobby"), metadata=user("bob"))
    assert [event.WhichOneof("event") for event in log.events] == [
        "message_created",
        "message_changed",
        "message_created",
    ]


async def _file(suite: Suite) -> None:
    content = b"a picture"
    file = await uploads.add(suite.files, content, user("alice"))
    _execute(suite, "files.files", f"UPDATE files.files SET state = {_LATER}")
    request = files_pb2.GetFileRequest(room_id="lobby", file_id=file.id)
    got = (await suite.files.GetFile(request, metadata=user("alice"))).file
    assert (got.state, got.size_bytes) == (file_pb2.FILE_STATE_READY, len(content))
    page = await suite.files.ListFiles(files_pb2.ListFilesRequest(room_id="lobby"), metadata=user("alice"))
    assert [one.id for one in page.files] == [file.id]
    await refused(_say(suite, "with it", content_type="image/png", file_id=file.id), "FILE_NOT_READY")


async def _visibility(suite: Suite) -> None:
    _execute(suite, "rooms.rooms", f"UPDATE rooms.rooms SET visibility = {_LATER}")
    request = rooms_pb2.GetRoomRequest(room_id="lobby")
    got = await suite.rooms.GetRoom(request, metadata=user("alice"))
    assert got.room.visibility == room_pb2.VISIBILITY_UNSPECIFIED
    # As long as it is not certain that everybody may, nobody may.
    await refused(suite.rooms.GetRoom(request, metadata=user("carol")), "ROOM_ACCESS_DENIED")
    await refused(
        suite.memberships.JoinRoom(memberships_pb2.JoinRoomRequest(room_id="lobby"), metadata=user("carol")),
        "ROOM_ACCESS_DENIED",
    )
    assert await _say(suite, "members go on") == 1


async def _scope(suite: Suite) -> None:
    _execute(suite, "rooms.roles", f"INSERT INTO rooms.roles (scope, name, permissions) VALUES ({_LATER}, 'x', '{{}}')")
    page = await suite.roles.ListRoles(roles_pb2.ListRolesRequest(), metadata=su())
    assert "x" in [role.name for role in page.roles]


async def _change_of_rooms(suite: Suite) -> None:
    await _changes_of_rooms(suite, _record, f"(version, kind) SELECT version, {_LATER}")


async def _change_of_a_role(suite: Suite) -> None:
    await _changes_of_rooms(suite, _record, f"(version, kind, role_scope, role_name) SELECT version, 4, {_LATER}, 'x'")


async def _change_left_in_rooms(suite: Suite) -> None:
    await _changes_of_rooms(suite, _leave, f"(kind) VALUES ({_LATER})")


async def _change_of_a_role_left(suite: Suite) -> None:
    await _changes_of_rooms(suite, _leave, f"(kind, role_scope, role_name) VALUES (4, {_LATER}, 'x')")


async def _changes_of_rooms(suite: Suite, write: Callable[[Suite, str, str], None], written: str) -> None:
    reader = Reader(suite.messages.SubscribeRoom(pb2.SubscribeRoomRequest(room_id="lobby"), metadata=user("bob")))
    await reader.until("caught_up")
    write(suite, "rooms", written)
    assert await _say(suite, "still there") == 1
    assert (await reader.next()).seq == 1
    # Later changes are noticed.
    request = memberships_pb2.RemoveMembersRequest(room_id="lobby", user_ids=["bob"])
    await suite.memberships.RemoveMembers(request, metadata=user("alice"))
    assert (await reader.until("closed"))[-1].closed.code


class _Watcher:
    """Alice, who watches whether bob is there."""

    def __init__(self, suite: Suite) -> None:
        request = presence_service_pb2.SubscribePresenceRequest(watch_user_ids=["bob"])
        self._events = self._read(suite.presence.SubscribePresence(request, metadata=user("alice")))

    async def _read(self, call: Any) -> AsyncIterator[Any]:
        async for frame in call:
            for event in frame.events:
                for kind in ("presence", "presence_changed"):
                    if event.HasField(kind):
                        yield getattr(event, kind).state

    async def next(self) -> Any:
        """Return what is told next of bob."""
        return await anext(self._events)


async def _come(suite: Suite) -> Any:
    """Let bob be there; return his stream."""
    request = presence_service_pb2.SubscribePresenceRequest(online=True)
    there = suite.presence.SubscribePresence(request, metadata=user("bob"))
    await there.read()
    return there


async def _change_of_users(suite: Suite) -> None:
    written = f"(version, kind, user_uid, user_id) SELECT version, {_LATER}, gen_random_uuid(), 'x'"
    await _changes_of_users(suite, _record, written)


async def _change_left_in_users(suite: Suite) -> None:
    await _changes_of_users(suite, _leave, f"(kind, user_uid, user_id) VALUES ({_LATER}, gen_random_uuid(), 'x')")


async def _changes_of_users(suite: Suite, write: Callable[[Suite, str, str], None], written: str) -> None:
    watcher = _Watcher(suite)
    assert await watcher.next() == presence_event_pb2.PRESENCE_STATE_OFFLINE
    write(suite, "users", written)
    there = await _come(suite)
    while await watcher.next() != presence_event_pb2.PRESENCE_STATE_ONLINE:
        pass
    there.cancel()


async def _presence(suite: Suite) -> None:
    there = await _come(suite)
    await eventually(lambda: suite.database.count("users.presences") == 1)
    _execute(suite, "users.presences", f"UPDATE users.presences SET state = {_LATER}")
    assert await _Watcher(suite).next() == presence_event_pb2.PRESENCE_STATE_UNSPECIFIED
    there.cancel()


async def _deletion(suite: Suite) -> None:
    await _deletion_with(suite, "rooms.deletions")


async def _deletion_in_a_service(suite: Suite) -> None:
    await _deletion_with(suite, "rooms.service_deletions")


async def _deletion_of_a_user(suite: Suite) -> None:
    await _deletion_of_a_user_with(suite, "users.deletions")


async def _deletion_of_a_user_in_a_service(suite: Suite) -> None:
    await _deletion_of_a_user_with(suite, "users.service_deletions")


async def _deletion_of_a_user_with(suite: Suite, table: str) -> None:
    answer = await suite.users.DeleteUser(users_pb2.DeleteUserRequest(user_id="carol"), metadata=su())
    _execute(suite, table, f"UPDATE {table} SET state = {_LATER}")
    request = users_pb2.GetDeletionRequest(deletion_id=answer.deletion.id)
    got = (await suite.users.GetDeletion(request, metadata=su())).deletion
    assert deletion_pb2.DELETION_STATE_RUNNING in {got.state, got.services[0].state}
    other = await suite.users.DeleteUser(users_pb2.DeleteUserRequest(user_id="bob"), metadata=su())
    await until(lambda: _is_user_gone(suite, other.deletion.id))


async def _is_user_gone(suite: Suite, deletion_id: str) -> bool:
    request = users_pb2.GetDeletionRequest(deletion_id=deletion_id)
    got = await suite.users.GetDeletion(request, metadata=su())
    return bool(got.deletion.state == deletion_pb2.DELETION_STATE_DONE)


async def _deletion_with(suite: Suite, table: str) -> None:
    answer = await suite.rooms.DeleteRoom(rooms_pb2.DeleteRoomRequest(room_id="lobby"), metadata=su())
    _execute(suite, table, f"UPDATE {table} SET state = {_LATER}")
    request = rooms_pb2.GetDeletionRequest(deletion_id=answer.deletion.id)
    got = (await suite.rooms.GetDeletion(request, metadata=su())).deletion
    assert deletion_pb2.DELETION_STATE_RUNNING in {got.state, got.services[0].state}
    # Others are seen through.
    await suite.make_room("attic", "alice")
    other = await suite.rooms.DeleteRoom(rooms_pb2.DeleteRoomRequest(room_id="attic"), metadata=su())
    await until(lambda: _is_room_gone(suite, other.deletion.id))


async def _is_room_gone(suite: Suite, deletion_id: str) -> bool:
    request = rooms_pb2.GetDeletionRequest(deletion_id=deletion_id)
    got = await suite.rooms.GetDeletion(request, metadata=su())
    return bool(got.deletion.state == deletion_pb2.DELETION_STATE_DONE)


# Every column that holds the number of a kind.
COLUMNS: dict[str, Callable[[Suite], Awaitable[None]]] = {
    "files.files.state": _file,
    "messages.events.kind": _event,
    "rooms.changes.kind": _change_of_rooms,
    "rooms.changes.role_scope": _change_of_a_role,
    "rooms.deletions.state": _deletion,
    "rooms.roles.scope": _scope,
    "rooms.rooms.visibility": _visibility,
    "rooms.service_deletions.state": _deletion_in_a_service,
    "rooms.unordered_changes.kind": _change_left_in_rooms,
    "rooms.unordered_changes.role_scope": _change_of_a_role_left,
    "users.changes.kind": _change_of_users,
    "users.deletions.state": _deletion_of_a_user,
    "users.presences.state": _presence,
    "users.service_deletions.state": _deletion_of_a_user_in_a_service,
    "users.unordered_changes.kind": _change_left_in_users,
}


def test_every_column_that_holds_a_kind_is_tried(database: TestDatabase) -> None:
    columns = (
        "SELECT concat_ws('.', table_schema, table_name, column_name) FROM information_schema.columns"
        " WHERE data_type = 'smallint' AND table_schema = ANY(%s)"
    )
    with psycopg.connect(database.superuser_dsn) as connection:
        found = {name for (name,) in connection.execute(columns, [list(BUILDS)]).fetchall()}
    assert found == set(COLUMNS)


@pytest.mark.parametrize("column", COLUMNS)
async def test_a_value_of_a_later_release_ends_nothing(column: str, suite: Suite) -> None:
    async with asyncio.timeout(HANG_SECONDS):
        await COLUMNS[column](suite)
        for name in BUILDS:
            await ready(suite.address(name))
