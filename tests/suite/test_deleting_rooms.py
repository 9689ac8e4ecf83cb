"""Deleting a room over all services: who may, who is told, what is left, and what becomes of the id."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest
from chatkit.contract.v1 import deletion_pb2, error_reason_pb2
from chatkit.files.v1 import files_service_pb2 as files_pb2
from chatkit.messages.v1 import messages_service_pb2 as messages_pb2
from chatkit.messages.v1 import part_pb2, read_states_service_pb2, room_subscription_pb2
from chatkit.rooms.v1 import roles_service_pb2 as roles_pb2
from chatkit.rooms.v1 import rooms_service_pb2 as rooms_pb2

from tests.support.databases import TestDatabase
from tests.support.eventually import HANG_SECONDS, answered, until
from tests.support.folders import files_in
from tests.support.refusals import refused
from tests.support.suite import Suite, running
from tests.support.tokens import Metadata, su, user
from tests.support.uploads import add

DONE = deletion_pb2.DELETION_STATE_DONE
_WORD = "rhubarb"
# What the deletion itself leaves, which names nothing of the room.
_LEFT = {
    *("rooms.changes", "rooms.change_counter", "rooms.deleted_memberships", "rooms.deletions"),
    *("rooms.service_deletions", "messages.heads"),
}


@pytest.fixture
async def suite(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Suite]:
    """Run all services, with a room of alice and bob that has something of everything."""
    async with running(database, tmp_path, "users", "rooms", "messages", "files") as all_of_them:
        await all_of_them.make_users("alice", "bob", "carol")
        owner = roles_pb2.CreateRoleRequest(scope="ROLE_SCOPE_ROOM", name="owner", permissions=["room:delete"])
        await all_of_them.roles.CreateRole(owner, metadata=su())
        await all_of_them.make_room("lobby", "alice", "bob")
        await all_of_them.make_room("attic", "alice", "bob")
        yield all_of_them


async def _fill(suite: Suite, room_id: str = "lobby") -> None:
    file = await add(suite.files, b"content", user("alice"), room_id=room_id, name=_WORD, request_id=room_id)
    parts = [part_pb2.Part(content_type="text/plain", content=_WORD), part_pb2.Part(file_id=file.id)]
    parts[1].content_type = "video/mp4"
    for number in range(3):
        request = messages_pb2.SendMessageRequest(room_id=room_id, request_id=f"{number}", parts=parts)
        await suite.messages.SendMessage(request, metadata=user("alice"))
    edit = messages_pb2.EditMessageRequest(room_id=room_id, seq=1, parts=parts[:1])
    await suite.messages.EditMessage(edit, metadata=user("alice"))
    cursor = read_states_service_pb2.SetReadCursorRequest(room_id=room_id, seq=2)
    await suite.read_states.SetReadCursor(cursor, metadata=user("bob"))
    await suite.assign("bob", "owner", room_id)


async def _delete(suite: Suite, who: Metadata, room_id: str = "lobby") -> deletion_pb2.Deletion:
    request = rooms_pb2.DeleteRoomRequest(room_id=room_id)
    answer: rooms_pb2.DeleteRoomResponse = await suite.rooms.DeleteRoom(request, metadata=who)
    return answer.deletion


async def _deleted(suite: Suite, who: Metadata, room_id: str = "lobby") -> deletion_pb2.Deletion:
    """Delete a room, and return when that is done, which may be later than the call returns."""
    deletion = await answered(lambda: _delete(suite, who, room_id))
    await until(lambda: _is_done(suite, deletion.id))
    return await _get(suite, deletion.id, su())


async def _is_done(suite: Suite, deletion_id: str) -> bool:
    return (await _get(suite, deletion_id, su())).state == DONE


async def _get(suite: Suite, deletion_id: str, who: Metadata) -> deletion_pb2.Deletion:
    request = rooms_pb2.GetDeletionRequest(deletion_id=deletion_id)
    answer: rooms_pb2.GetDeletionResponse = await suite.rooms.GetDeletion(request, metadata=who)
    return answer.deletion


async def _create(suite: Suite, room_id: str = "lobby") -> None:
    request = rooms_pb2.CreateRoomRequest(id=room_id, name="new", visibility="VISIBILITY_PUBLIC")
    await suite.rooms.CreateRoom(request, metadata=user("alice"))


def _everything(database: TestDatabase) -> dict[str, str]:
    """Return all rows of all tables as text, by table."""
    with psycopg.connect(database.superuser_dsn) as connection:
        tables = connection.execute("""
            SELECT table_schema || '.' || table_name FROM information_schema.tables
            WHERE table_schema IN ('rooms', 'messages', 'files') AND table_name <> 'alembic_version'
        """).fetchall()
        return {table: str(connection.execute(f"SELECT * FROM {table}").fetchall()) for (table,) in tables}


async def test_all_of_a_room_goes_with_it_and_nothing_else(suite: Suite, database: TestDatabase) -> None:
    await suite.assign("alice", "admin")
    await _fill(suite, "attic")
    await database.ordered("rooms")
    before = _everything(database)
    await suite.make_room("cellar", "alice", "bob")
    await _fill(suite, "cellar")
    deletion = await _deleted(suite, user("alice"), "cellar")
    assert [(part.service, part.state) for part in deletion.services] == [
        ("files", DONE),
        ("messages", DONE),
        ("rooms", DONE),
    ]
    after = _everything(database)
    changed = {table for table in before if before[table] != after[table]} - {"files.usage"}
    assert changed - _LEFT == {"files.fences"}
    assert not [table for table, rows in after.items() if "cellar" in rows]
    assert len(files_in(suite.folder / "blobs")) == 1
    get = rooms_pb2.GetRoomRequest(room_id="cellar")
    await refused(suite.rooms.GetRoom(get, metadata=su()), "ROOM_NOT_FOUND")
    await refused(suite.rooms.GetRoom(get, metadata=user("alice")), "ROOM_ACCESS_DENIED")
    await refused(suite.files.ListFiles(files_pb2.ListFilesRequest(room_id="cellar"), metadata=su()), "ROOM_NOT_FOUND")


async def test_a_plain_user_may_not_and_may_once_promoted(suite: Suite) -> None:
    await refused(_delete(suite, user("alice")), "PERMISSION_MISSING")
    await suite.assign("alice", "owner", "lobby")
    # Services that are too slow for the call are waited for afterwards, and alice is no member any more by then.
    with suppress(grpc.aio.AioRpcError):
        await _delete(suite, user("alice"))
    assert len((await suite.rooms.ListDeletions(rooms_pb2.ListDeletionsRequest(), metadata=su())).deletions) == 1
    # The role was one of that room.
    await refused(_delete(suite, user("alice"), "attic"), "PERMISSION_MISSING")
    # And a role alone lets nobody in.
    await suite.assign("carol", "admin")
    await refused(_delete(suite, user("carol"), "attic"), "ROOM_ACCESS_DENIED")
    await refused(_delete(suite, user("carol"), "lobby"), "ROOM_ACCESS_DENIED")


async def test_everyone_who_follows_it_is_told(suite: Suite) -> None:
    subscriptions = [room_subscription_pb2.RoomSubscription(room_id=room_id) for room_id in ("lobby", "attic")]
    opened = [
        suite.messages.SubscribeRoom(messages_pb2.SubscribeRoomRequest(room_id="lobby"), metadata=user("bob")),
        suite.messages.SubscribeRooms(messages_pb2.SubscribeRoomsRequest(rooms=subscriptions), metadata=user("bob")),
        suite.rooms.SubscribeUser(rooms_pb2.SubscribeUserRequest(), metadata=user("bob")),
    ]
    streams = [_events(call) for call in opened]
    async with asyncio.timeout(HANG_SECONDS):
        for stream, count in zip(streams, (1, 3, 1), strict=True):
            # Of several rooms each is caught up with, and then the stream.
            for _ in range(count):
                while (await anext(stream)).WhichOneof("event") != "caught_up":
                    pass
        await answered(lambda: _delete(suite, su()))
        alone, together = [await anext(stream) for stream in streams[:2]]
        assert alone.closed.reason == together.closed.reason == error_reason_pb2.ROOM_DELETED
        assert together.room_id == "lobby"
        assert (await anext(streams[2])).room_deleted.room_id == "lobby"
    for stream in streams:
        await stream.aclose()


async def _events(call: "grpc.aio.UnaryStreamCall[Any, Any]") -> AsyncGenerator[Any, None]:
    try:
        async for frame in call:
            for event in frame.events:
                yield event
    finally:
        call.cancel()


async def test_deleting_twice_is_the_same_deletion_and_all_of_them_are_listed(suite: Suite) -> None:
    first = await _deleted(suite, su())
    assert await _delete(suite, su()) == first
    assert await _get(suite, first.id, user("carol")) == first
    await refused(_delete(suite, su(), "nowhere"), "ROOM_NOT_FOUND")
    second = await _deleted(suite, su(), "attic")
    listed = await suite.rooms.ListDeletions(rooms_pb2.ListDeletionsRequest(), metadata=su())
    assert list(listed.deletions) == [second, first]
    for wrong in ("lobby", first.id.replace("-", ""), "00000000-0000-0000-0000-000000000000"):
        await refused(_get(suite, wrong, su()), "DELETION_NOT_FOUND")
    # At once, too.
    await suite.make_room("cellar", "alice")
    both = await asyncio.gather(*(answered(lambda: _delete(suite, su(), "cellar")) for _ in range(2)))
    assert both[0].id == both[1].id


async def test_the_id_is_free_again_and_inherits_nothing(suite: Suite) -> None:
    await _fill(suite)
    first = await _deleted(suite, su())
    await _create(suite)
    read = await suite.rooms.GetRoom(rooms_pb2.GetRoomRequest(room_id="lobby"), metadata=user("alice"))
    assert list(read.membership.user_ids) == ["alice"]
    # Nor is bob a member, or has his role there.
    await refused(_delete(suite, user("bob")), "ROOM_ACCESS_DENIED")
    listed = await suite.messages.ListMessages(
        messages_pb2.ListMessagesRequest(room_id="lobby"), metadata=user("alice")
    )
    assert not listed.messages
    # With the request ids of the old one.
    await suite.make_users("dora")
    part = part_pb2.Part(content_type="text/plain", content="other")
    request = messages_pb2.SendMessageRequest(room_id="lobby", request_id="0", parts=[part])
    sent = await suite.messages.SendMessage(request, metadata=user("alice"))
    assert sent.message.seq == 1
    second = await answered(lambda: _delete(suite, su()))
    assert second.id != first.id


async def test_while_a_service_is_away_the_id_is_kept_and_the_deletion_goes_on_when_it_is_back(suite: Suite) -> None:
    await _fill(suite)
    await suite.stop("files")
    await refused(_delete(suite, su()), "SERVICE_UNAVAILABLE")
    await refused(suite.rooms.GetRoom(rooms_pb2.GetRoomRequest(room_id="lobby"), metadata=su()), "ROOM_NOT_FOUND")
    await refused(_create(suite), "BEING_DELETED")
    listed = await suite.rooms.ListDeletions(rooms_pb2.ListDeletionsRequest(), metadata=su())
    (deletion,) = listed.deletions
    assert (deletion.subject, deletion.state) == ("lobby", deletion_pb2.DELETION_STATE_RUNNING)
    assert [part.service for part in deletion.services if part.state != DONE] == ["files"]
    await suite.start("files", listen=suite.servers["files"].address)
    await until(lambda: _is_done(suite, deletion.id))
    assert (await _get(suite, deletion.id, su())).subject == ""
    assert files_in(suite.folder / "blobs") == []
    await _create(suite)


async def test_writes_that_race_the_deletion_leave_nothing(suite: Suite, database: TestDatabase) -> None:
    async def write(number: int) -> None:
        part = part_pb2.Part(content_type="text/plain", content=_WORD)
        sent = messages_pb2.SendMessageRequest(room_id="lobby", request_id=f"{number}", parts=[part])
        cursor = read_states_service_pb2.SetReadCursorRequest(room_id="lobby", seq=1)
        await suite.messages.SendMessage(sent, metadata=user("bob"))
        await suite.read_states.SetReadCursor(cursor, metadata=user("bob"))
        await add(suite.files, b"x", user("bob"), request_id=f"{number}", name=_WORD)

    async def write_all(numbers: range) -> None:
        for number in numbers:
            await write(number)

    async def write_on(numbers: range) -> grpc.StatusCode:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await write_all(numbers)
        return refusal.value.code()

    await write(0)
    async with asyncio.TaskGroup() as group:
        writers = [group.create_task(write_on(range(start, start + 900))) for start in range(1_000, 5_000, 1_000)]
        await until(lambda: _has_messages(database, 10))
        await _deleted(suite, su())
    assert {writer.result() for writer in writers} <= {grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.NOT_FOUND}
    for table in ("messages.messages", "messages.events", "messages.read_cursors", "files.files", "files.uploads"):
        assert database.count(table) == 0, table
    assert files_in(suite.folder / "blobs") == []


async def _has_messages(database: TestDatabase, count: int) -> bool:
    return database.count("messages.messages") >= count
