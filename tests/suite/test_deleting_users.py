"""Deleting a user over all services: what is left, what others see, what tokens open, and what becomes of the id."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import grpc
import psycopg
import pytest
from chatkit.contract.v1 import deletion_pb2, error_reason_pb2
from chatkit.files.v1 import files_service_pb2 as files_pb2
from chatkit.internal.attachments.v1 import references_service_pb2
from chatkit.internal.attachments.v1.references_service_pb2_grpc import ReferencesServiceStub
from chatkit.messages.v1 import messages_service_pb2 as messages_pb2
from chatkit.messages.v1 import part_pb2, read_states_service_pb2
from chatkit.messages.v1.room_subscription_pb2 import RoomSubscription
from chatkit.rooms.v1 import memberships_service_pb2 as joins_pb2
from chatkit.rooms.v1 import rooms_service_pb2 as rooms_pb2
from chatkit.users.v1 import presence_event_pb2
from chatkit.users.v1 import presence_service_pb2 as presence_pb2
from chatkit.users.v1 import users_service_pb2 as users_pb2
from google.protobuf import struct_pb2

from tests.suite.alice import running_with_alice
from tests.support.databases import TestDatabase
from tests.support.eventually import HANG_SECONDS, answered, until
from tests.support.folders import files_in
from tests.support.refusals import refused
from tests.support.suite import Suite
from tests.support.tokens import Metadata, bearer, service, su, token, user
from tests.support.uploads import add

DONE = deletion_pb2.DELETION_STATE_DONE
ERASE, KEEP = deletion_pb2.MESSAGE_ERASURE_ERASE, deletion_pb2.MESSAGE_ERASURE_KEEP_ANONYMOUS
_WORD = "rhubarb"


@pytest.fixture
async def suite(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Suite]:
    """Run all services, with an alice who has a word for everything."""
    data = struct_pb2.Struct()
    data["motto"] = _WORD
    made = users_pb2.CreateUserRequest(id="alice", name=f"Alice {_WORD}", custom_data=data)
    async with running_with_alice(database, tmp_path, made) as all_of_them:
        yield all_of_them


async def _say(suite: Suite, request_id: str, who: str = "alice", room_id: str = "lobby") -> None:
    parts = [part_pb2.Part(content_type="text/plain", content=_WORD if who == "alice" else "hello")]
    request = messages_pb2.SendMessageRequest(room_id=room_id, request_id=request_id, parts=parts)
    await suite.messages.SendMessage(request, metadata=user(who))


async def _attach(suite: Suite, file_id: str, request_id: str) -> None:
    parts = [part_pb2.Part(content_type="video/mp4", file_id=file_id)]
    request = messages_pb2.SendMessageRequest(room_id="lobby", request_id=request_id, parts=parts)
    await suite.messages.SendMessage(request, metadata=user("alice"))


async def _fill(suite: Suite) -> None:
    file = await add(suite.files, b"content", user("alice"), name=_WORD)
    await _attach(suite, file.id, f"{_WORD} file")
    for number in range(3):
        await _say(suite, f"{_WORD} {number}")
    await _say(suite, f"{_WORD} 9", room_id="attic")
    await _say(suite, "bob's", "bob")
    cursor = read_states_service_pb2.SetReadCursorRequest(room_id="lobby", seq=2)
    await suite.read_states.SetReadCursor(cursor, metadata=user("alice"))


async def _delete(
    suite: Suite, who: Metadata | None = None, messages: deletion_pb2.MessageErasure = ERASE
) -> deletion_pb2.Deletion:
    request = users_pb2.DeleteUserRequest(user_id="alice", messages=messages)
    answer: users_pb2.DeleteUserResponse = await suite.users.DeleteUser(request, metadata=who or su())
    return answer.deletion


async def _deleted(suite: Suite, messages: deletion_pb2.MessageErasure = ERASE) -> deletion_pb2.Deletion:
    """Delete alice, and return when that is done, which may be later than the call returns."""
    deletion = await answered(lambda: _delete(suite, messages=messages))
    await until(lambda: _is_done(suite, deletion.id))
    return await _get(suite, deletion.id)


async def _is_done(suite: Suite, deletion_id: str) -> bool:
    return (await _get(suite, deletion_id)).state == DONE


async def _get(suite: Suite, deletion_id: str) -> deletion_pb2.Deletion:
    request = users_pb2.GetDeletionRequest(deletion_id=deletion_id)
    answer: users_pb2.GetDeletionResponse = await suite.users.GetDeletion(request, metadata=su())
    return answer.deletion


def _uid(database: TestDatabase) -> str:
    with psycopg.connect(database.superuser_dsn) as connection:
        found = connection.execute("SELECT uid::text FROM users.users WHERE id = 'alice'").fetchone()
    return str(found[0]) if found is not None else ""


def _everything(database: TestDatabase) -> dict[str, str]:
    """Return all rows of all tables as text, by table."""
    with psycopg.connect(database.superuser_dsn) as connection:
        tables = connection.execute("""
            SELECT table_schema || '.' || table_name FROM information_schema.tables
            WHERE table_schema IN ('users', 'rooms', 'messages', 'files')
        """).fetchall()
        return {table: str(connection.execute(f"SELECT * FROM {table}").fetchall()) for (table,) in tables}


async def test_no_table_names_the_user_any_more_and_nothing_else_goes(suite: Suite, database: TestDatabase) -> None:
    await _fill(suite)
    uid = _uid(database)
    deletion = await _deleted(suite)
    assert (deletion.state, deletion.subject) == (DONE, "")
    assert [part.service for part in deletion.services] == ["files", "messages", "rooms", "users"]
    for table, rows in _everything(database).items():
        for word in (_WORD, "alice"):
            assert word not in rows, table
        # The random identity stays where it keeps what comes late out.
        assert uid not in rows or table.endswith((".fences", ".deletions")), table
    assert files_in(suite.folder / "blobs") == []
    get = users_pb2.GetUserRequest(user_id="alice")
    await refused(suite.users.GetUser(get, metadata=su()), "USER_NOT_FOUND")
    presence = presence_pb2.GetPresenceRequest(user_ids=["alice", "bob"])
    seen = (await suite.presence.GetPresence(presence, metadata=user("bob"))).presences
    assert [one.user_id for one in seen] == ["bob"]
    for prefix in ("alice", _WORD):
        found = await suite.users.SearchUsers(users_pb2.SearchUsersRequest(prefix=prefix), metadata=su())
        assert (list(found.users), found.next_page_token) == ([], "")
    listed = await suite.messages.ListMessages(messages_pb2.ListMessagesRequest(room_id="lobby"), metadata=user("bob"))
    assert [message.parts[0].content for message in listed.messages] == ["hello"]
    rooms = await suite.rooms.ListUserRooms(rooms_pb2.ListUserRoomsRequest(), metadata=user("bob"))
    assert [(room.id, room.member_count) for room in rooms.rooms] == [("attic", 1), ("lobby", 1)]


async def test_their_messages_stay_if_that_is_asked_for_and_name_nobody(suite: Suite, database: TestDatabase) -> None:
    await _fill(suite)
    uid = _uid(database)
    deletion = await _deleted(suite, KEEP)
    assert (deletion.state, deletion.subject, deletion.messages) == (DONE, "", KEEP)
    for table, rows in _everything(database).items():
        assert "alice" not in rows, table
        assert uid not in rows or table.endswith((".fences", ".deletions")), table
    with psycopg.connect(database.superuser_dsn) as connection:
        assert connection.execute("SELECT pseudonym_key FROM users.deletions").fetchall() == [(None,)]
    request = messages_pb2.ListMessagesRequest(room_id="lobby")
    listed = (await suite.messages.ListMessages(request, metadata=user("bob"))).messages
    assert [message.parts[0].content for message in listed] == ["hello", *[_WORD] * 3, ""]
    assert [message.sender_id for message in listed[:1]] == ["bob"]
    (pseudonym,) = {message.sender_id for message in listed[1:]}
    assert pseudonym.startswith("deleted-")
    # With the file that one refers to, which is whose the message is.
    get = files_pb2.GetFileRequest(room_id="lobby", file_id=listed[-1].parts[0].file_id)
    file = (await suite.files.GetFile(get, metadata=user("bob"))).file
    assert (file.owner_id, file.size_bytes) == (pseudonym, len(b"content"))
    assert len(files_in(suite.folder / "blobs")) == 1
    # The collector of files asks like this.
    references = ReferencesServiceStub(suite.channel("messages"))
    wanted = references_service_pb2.ReferencedFilesRequest(file_ids=[file.id])
    assert list((await references.ReferencedFiles(wanted, metadata=service("files", "messages"))).file_ids) == [file.id]
    # What is asked for a second time is the same deletion.
    again = await _delete(suite, messages=ERASE)
    assert (again.id, again.messages) == (deletion.id, KEEP)


async def test_a_choice_that_this_release_does_not_know_deletes_nobody(suite: Suite) -> None:
    unknown = cast("deletion_pb2.MessageErasure", 99)
    await refused(_delete(suite, messages=unknown), "FIELD_INVALID")
    await suite.users.GetUser(users_pb2.GetUserRequest(user_id="alice"), metadata=su())


async def test_only_superusers_may_and_an_unknown_user_is_not_found(suite: Suite) -> None:
    await refused(_delete(suite, user("alice")), "SUPERUSER_REQUIRED")
    request = users_pb2.DeleteUserRequest(user_id="nobody")
    await refused(suite.users.DeleteUser(request, metadata=su()), "USER_NOT_FOUND")


async def test_deleting_twice_is_the_same_deletion(suite: Suite) -> None:
    first, second = await asyncio.gather(answered(lambda: _delete(suite)), answered(lambda: _delete(suite)))
    assert first.id == second.id
    await until(lambda: _is_done(suite, first.id))
    third = await _delete(suite)
    assert (third.id, third.state) == (first.id, DONE)
    assert await _get(suite, first.id) == third
    listed = await suite.users.ListDeletions(users_pb2.ListDeletionsRequest(), metadata=su())
    assert list(listed.deletions) == [third]


async def test_the_id_is_free_again_for_another_who_inherits_nothing(suite: Suite) -> None:
    await _fill(suite)
    before = user("alice")
    await _deleted(suite)
    await suite.make_users("alice")
    get = users_pb2.GetUserRequest(user_id="bob")
    await refused(suite.users.GetUser(get, metadata=before), "USER_DELETED")
    await refused(suite.rooms.ListUserRooms(rooms_pb2.ListUserRoomsRequest(), metadata=before), "USER_DELETED")
    # Signed for the new one; times in tokens are whole seconds.
    later = bearer(token("alice", now=datetime.now(UTC) + timedelta(seconds=2)))
    await suite.users.GetUser(get, metadata=later)
    rooms = await suite.rooms.ListUserRooms(rooms_pb2.ListUserRoomsRequest(), metadata=later)
    assert list(rooms.rooms) == []
    # Nor the role of an admin.
    update = users_pb2.UpdateUserRequest(name="other")
    await refused(suite.users.UpdateUser(update, metadata=later), "PERMISSION_MISSING")
    # The request ids of the old one are free.
    made = rooms_pb2.CreateRoomRequest(id="new", name="new", visibility="VISIBILITY_PUBLIC")
    await suite.rooms.CreateRoom(made, metadata=later)
    part = part_pb2.Part(content_type="text/plain", content="other")
    request = messages_pb2.SendMessageRequest(room_id="new", request_id=f"{_WORD} 0", parts=[part])
    await suite.messages.SendMessage(request, metadata=later)
    file = await add(suite.files, b"other", later, room_id="new")
    batch = files_pb2.BatchGetFilesRequest(file_ids=[file.id])
    await refused(suite.files.BatchGetFiles(batch, metadata=before), "USER_DELETED")
    assert [one.id for one in (await suite.files.BatchGetFiles(batch, metadata=later)).files] == [file.id]


async def test_watchers_see_them_go(suite: Suite) -> None:
    async with asyncio.timeout(HANG_SECONDS):
        online = presence_pb2.SubscribePresenceRequest(online=True)
        there = aiter(suite.presence.SubscribePresence(online, metadata=user("alice")))
        await anext(there)
        watching = presence_pb2.SubscribePresenceRequest(watch_user_ids=["alice"])
        states = _states(suite.presence.SubscribePresence(watching, metadata=user("bob")))
        while await anext(states) != presence_event_pb2.PRESENCE_STATE_ONLINE:
            pass
        await answered(lambda: _delete(suite))
        assert await anext(states) == presence_event_pb2.PRESENCE_STATE_OFFLINE


async def test_their_streams_end_and_say_why_also_those_without_a_room(suite: Suite) -> None:
    async with asyncio.timeout(HANG_SECONDS):
        rooms = [RoomSubscription(room_id="lobby")]
        of_one = suite.messages.SubscribeRoom(
            messages_pb2.SubscribeRoomRequest(room_id="lobby"), metadata=user("alice")
        )
        of_some = suite.messages.SubscribeRooms(messages_pb2.SubscribeRoomsRequest(rooms=rooms), metadata=user("alice"))
        of_none = suite.messages.SubscribeRooms(messages_pb2.SubscribeRoomsRequest(), metadata=user("alice"))
        theirs = suite.rooms.SubscribeUser(rooms_pb2.SubscribeUserRequest(), metadata=user("alice"))
        presence = suite.presence.SubscribePresence(
            presence_pb2.SubscribePresenceRequest(online=True), metadata=user("alice")
        )
        by_superuser = suite.messages.SubscribeRooms(messages_pb2.SubscribeRoomsRequest(), metadata=su("alice"))
        for stream in (of_one, of_some, of_none, theirs, presence, by_superuser):
            await stream.read()
        await answered(lambda: _delete(suite))
        # A room may be left before the rest is known.
        assert await _end(of_one) in {"USER_DELETED", "REMOVED_FROM_ROOM"}
        for stream in (of_some, of_none):
            assert await _end(stream) == "USER_DELETED"
        # Where what happened is forgotten before a slow process has read it, they begin anew, and are refused then.
        for stream in (theirs, presence):
            assert await _end(stream) in {"USER_DELETED", "LOG_RESET"}
        assert not by_superuser.done()
        by_superuser.cancel()


async def _end(stream: "grpc.aio.UnaryStreamCall[Any, Any]") -> str:
    """Return the reason of a stream's last event, once it has ended."""
    frame: Any
    last: Any = None
    with suppress(grpc.aio.AioRpcError):
        while (frame := await stream.read()) is not grpc.aio.EOF:
            last = frame
    return error_reason_pb2.ErrorReason.Name(last.events[-1].closed.reason).removeprefix("ERROR_REASON_")


async def _states(call: "grpc.aio.UnaryStreamCall[Any, Any]") -> AsyncIterator[int]:
    async for frame in call:
        for event in frame.events:
            for kind in ("presence", "presence_changed"):
                if event.HasField(kind):
                    yield getattr(event, kind).state


async def test_while_a_service_is_away_the_deletion_waits_and_goes_on_when_it_is_back(suite: Suite) -> None:
    await _fill(suite)
    await suite.stop("messages")
    await refused(_delete(suite), "SERVICE_UNAVAILABLE")
    again = users_pb2.CreateUserRequest(id="alice", name="another")
    await refused(suite.users.CreateUser(again, metadata=su()), "BEING_DELETED")
    (deletion,) = (await suite.users.ListDeletions(users_pb2.ListDeletionsRequest(), metadata=su())).deletions
    assert (deletion.subject, deletion.state) == ("alice", deletion_pb2.DELETION_STATE_RUNNING)
    await suite.start("messages", listen=suite.servers["messages"].address)
    await until(lambda: _is_done(suite, deletion.id))
    await suite.users.CreateUser(again, metadata=su())


async def test_what_they_do_meanwhile_leaves_nothing(suite: Suite, database: TestDatabase) -> None:
    square = rooms_pb2.CreateRoomRequest(id="square", name="square", visibility="VISIBILITY_PUBLIC")
    await suite.rooms.CreateRoom(square, metadata=user("bob"))

    async def write_all(numbers: range) -> None:
        for number in numbers:
            await _say(suite, f"{number}")
            file = await add(suite.files, b"x", user("alice"), request_id=f"{number}")
            await _attach(suite, file.id, f"file {number}")
            cursor = read_states_service_pb2.SetReadCursorRequest(room_id="lobby", seq=1)
            await suite.read_states.SetReadCursor(cursor, metadata=user("alice"))
            made = rooms_pb2.CreateRoomRequest(id=f"{number}", name="x", visibility="VISIBILITY_PRIVATE")
            await suite.rooms.CreateRoom(made, metadata=user("alice"))

    async def come_and_go(numbers: range) -> None:
        for _ in numbers:
            join, leave = (made(room_id="square") for made in (joins_pb2.JoinRoomRequest, joins_pb2.LeaveRoomRequest))
            await suite.memberships.JoinRoom(join, metadata=user("alice"))
            await suite.memberships.LeaveRoom(leave, metadata=user("alice"))

    async def be_invited(numbers: range) -> None:
        for number in numbers:
            made = rooms_pb2.CreateRoomRequest(
                id=f"with {number}", name="x", user_ids=["alice"], visibility="VISIBILITY_PRIVATE"
            )
            await suite.rooms.CreateRoom(made, metadata=user("bob"))

    async def until_refused(work: Awaitable[None]) -> grpc.StatusCode:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await work
        return refusal.value.code()

    uid = _uid(database)
    async with asyncio.TaskGroup() as group:
        works = [write_all(range(start, start + 900)) for start in range(1_000, 5_000, 1_000)]
        works += [come_and_go(range(9_000)), be_invited(range(9_000))]
        writers = [group.create_task(until_refused(work)) for work in works]
        await until(lambda: _has_messages(database, 8))
        await _deleted(suite)
    refusals = {grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNAUTHENTICATED}
    assert {writer.result() for writer in writers} <= refusals
    for table, rows in _everything(database).items():
        assert "alice" not in rows, table
        assert uid not in rows or table.endswith((".fences", ".deletions")), table
    assert files_in(suite.folder / "blobs") == []


async def _has_messages(database: TestDatabase, count: int) -> bool:
    return database.count("messages.messages") >= count
