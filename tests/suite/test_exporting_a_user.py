"""Exporting a user over all services: what is in it, what is not, and what a stream that ends early says."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import grpc
import psycopg
import pytest
from chatkit.messages.v1 import messages_service_pb2 as messages_pb2
from chatkit.messages.v1 import part_pb2, read_states_service_pb2
from chatkit.rooms.v1 import roles_service_pb2 as roles_pb2
from chatkit.rooms.v1 import rooms_service_pb2 as rooms_pb2
from chatkit.users.v1 import presence_service_pb2 as presence_pb2
from chatkit.users.v1 import users_service_pb2 as users_pb2
from google.protobuf import json_format, struct_pb2

from services.runtime.contract.errors import ChatkitError
from services.users.export.service import MOST_AT_ONCE
from tests.suite.alice import running_with_alice
from tests.support import data_protection
from tests.support.databases import TestDatabase
from tests.support.eventually import HANG_SECONDS, until
from tests.support.exports import Record, exported, exporting, of_kind
from tests.support.refusals import check, refused
from tests.support.suite import Suite
from tests.support.tokens import su, user
from tests.support.uploads import add

# Several of them are more than what all on the way hold for a reader who takes nothing.
_LARGE = bytes(range(256)) * 16 * 1024
_SECRET = "rhubarb"


@pytest.fixture
async def suite(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Suite]:
    """Run all services, with an alice whose custom data has every kind of value."""
    data = json_format.ParseDict({"n": 1, "deep": {"list": [None, True, 2.5]}}, struct_pb2.Struct())
    made = users_pb2.CreateUserRequest(id="alice", name="Alice", custom_data=data)
    async with running_with_alice(database, tmp_path, made) as all_of_them:
        yield all_of_them


async def _say(suite: Suite, content: str, who: str = "alice", room_id: str = "lobby", file_id: str = "") -> int:
    part = part_pb2.Part(content_type="text/plain", content=content)
    if file_id:
        part = part_pb2.Part(content_type="video/mp4", file_id=file_id)
    request = messages_pb2.SendMessageRequest(room_id=room_id, request_id=f"{who} {content}", parts=[part])
    answer: messages_pb2.SendMessageResponse = await suite.messages.SendMessage(request, metadata=user(who))
    return answer.message.seq


async def _fill(suite: Suite) -> None:
    """Let alice and bob have something everywhere, the same of each kind."""
    for who, word in (("alice", "hello"), ("bob", _SECRET)):
        file = await add(suite.files, f"{word} content".encode(), user(who), name=f"{word}.mp4", request_id=word)
        await _say(suite, f"{word} file", who, file_id=file.id)
        seq = await _say(suite, word, who)
        gone = messages_pb2.DeleteMessageRequest(room_id="lobby", seq=await _say(suite, f"{word} gone", who))
        await suite.messages.DeleteMessage(gone, metadata=user(who))
        cursor = read_states_service_pb2.SetReadCursorRequest(room_id="lobby", seq=seq)
        await suite.read_states.SetReadCursor(cursor, metadata=user(who))
    direct = rooms_pb2.GetOrCreateDirectRoomRequest(other_user_id="bob")
    await suite.rooms.GetOrCreateDirectRoom(direct, metadata=user("alice"))
    online = presence_pb2.SubscribePresenceRequest(online=True)
    async with asyncio.timeout(HANG_SECONDS):
        there = suite.presence.SubscribePresence(online, metadata=user("alice"))
        await anext(aiter(there))
        # She stays online for a while.
        there.cancel()


async def test_everything_of_the_user_is_exported_and_nothing_of_another(suite: Suite) -> None:
    await _fill(suite)
    records = await exported(suite)
    (told,) = of_kind(records, "user")
    assert (told["id"], told["custom_data"]) == ("alice", {"n": 1, "deep": {"list": [None, True, 2.5]}})
    assert of_kind(records, "presence")[0]["state"] == "PRESENCE_STATE_ONLINE"
    memberships = of_kind(records, "membership")
    assert {one["room_id"]: one["is_given"] for one in memberships if one["room_id"] in {"lobby", "attic"}} == {
        "attic": True,
        "lobby": False,
    }
    assert of_kind(records, "room_created")[0]["id"] == "lobby"
    assert of_kind(records, "direct_room")[0]["direct_user_ids"] == ["alice", "bob"]
    assert of_kind(records, "role") == [{"scope": "ROLE_SCOPE_GLOBAL", "name": "admin"}]
    with_file, said, gone = of_kind(records, "message")
    assert (said["seq"], said["parts"][0]["content"], said["request_id"]) == ("2", "hello", "alice hello")
    assert set(gone) == {"room_id", "seq", "create_time", "delete_time"}
    (file,) = of_kind(records, "file")
    assert with_file["parts"][0]["file_id"] == file["id"] == of_kind(records, "attachment")[0]["file_id"]
    assert (file["name"], file["size_bytes"], file["state"]) == ("hello.mp4", "13", "FILE_STATE_READY")
    assert [one.content for one in records if one.kind == "file_content"] == [b"hello content"]
    assert of_kind(records, "storage") == [{"bytes": "13"}]
    (cursor,) = of_kind(records, "read_cursor")
    assert (cursor["room_id"], cursor["seq"]) == ("lobby", "2")
    assert all(_SECRET not in str(one) and _SECRET.encode() not in one.content for one in records)


async def test_each_column_of_the_page_on_data_protection_is_exported_or_left_out_with_a_reason(
    suite: Suite, database: TestDatabase
) -> None:
    await _fill(suite)
    await _fill_what_is_rare(suite, database)
    fields: dict[str, set[str]] = {}
    for one in await exported(suite):
        fields.setdefault(one.kind, set()).update(one.record.fields)
    rows = [row for row in data_protection.rows() if not row.is_of_nobody]
    assert {name: row.kinds - set(fields) for row in rows for name in row.tables if row.kinds - set(fields)} == {}
    for row in rows:
        # A kind that is called as a column is the whole of it.
        told = row.kinds.union(*(fields[kind] for kind in row.kinds))
        assert row.columns - told == row.left_out & row.columns, row.tables
    named = set[str]().union(*(row.kinds for row in rows))
    assert set(fields) - named == {"complete"}


async def _fill_what_is_rare(suite: Suite, database: TestDatabase) -> None:
    """Let alice have what most users have not: every field of a room and of a file, a role there, an open upload."""
    data = json_format.ParseDict({"n": 1}, struct_pb2.Struct())
    request = rooms_pb2.CreateRoomRequest(
        name="all",
        visibility="VISIBILITY_PRIVATE",
        custom_data=data,
        push_notification_title_override="title",
        retention_days=7,
        request_id="a request",
    )
    await suite.rooms.CreateRoom(request, metadata=user("alice"))
    role = roles_pb2.CreateRoleRequest(scope="ROLE_SCOPE_ROOM", name="reader", permissions=["room:messages:get"])
    await suite.roles.CreateRole(role, metadata=su())
    await suite.assign("alice", "reader", "lobby")
    value = struct_pb2.Value(string_value="custom")
    await add(suite.files, b"x", user("alice"), request_id="all", custom_data=value)
    with psycopg.connect(database.superuser_dsn) as connection:
        connection.execute("""
            INSERT INTO files.uploads (blob_key, file_uid, start_time, is_revoked)
            SELECT 'a key', uid, now(), false FROM files.files WHERE request_id = 'all'
        """)


async def test_the_last_record_counts_all_others(suite: Suite) -> None:
    await _fill(suite)
    *others, last = await exported(suite)
    assert (last.service, last.kind) == ("users", "complete")
    assert json_format.MessageToDict(last.record) == Counter(one.kind for one in others)


async def test_a_user_who_has_nothing_is_exported_too(suite: Suite) -> None:
    await suite.make_users("carol")
    assert [one.kind for one in await exported(suite, "carol")] == ["user", "complete"]


async def test_who_is_unknown_or_deleted_is_not_found(suite: Suite) -> None:
    await _refused(exporting(suite, "nobody"), "USER_NOT_FOUND")
    await _fill(suite)
    assert (await exported(suite))[-1].kind == "complete"
    await _delete(suite)
    await _refused(exporting(suite), "USER_NOT_FOUND")


async def test_only_superusers_may(suite: Suite) -> None:
    request = users_pb2.ExportUserRequest(user_id="alice")
    await _refused(suite.users.ExportUser(request, metadata=user("alice")), "SUPERUSER_REQUIRED")


async def _add_much(suite: Suite) -> None:
    for number in range(3):
        await add(suite.files, _LARGE, user("alice"), request_id=f"large {number}")


async def _delete(suite: Suite) -> None:
    """Begin to delete alice. She is gone also where a slow machine does not get so far that the call says so."""
    with suppress(grpc.aio.AioRpcError):
        await suite.users.DeleteUser(users_pb2.DeleteUserRequest(user_id="alice"), metadata=su())


async def _read_on(call: AsyncIterator[users_pb2.ExportUserResponse], records: list[Record]) -> None:
    async for frame in call:
        records += frame.records


async def test_a_large_file_comes_in_order_and_whole(suite: Suite) -> None:
    await add(suite.files, _LARGE, user("alice"))
    pieces = [one for one in await exported(suite) if one.kind == "file_content"]
    assert b"".join(piece.content for piece in pieces) == _LARGE
    offsets = [int(one["offset"]) for one in of_kind(pieces, "file_content")]
    assert offsets == sorted(offsets)
    assert len(offsets) > 1


async def test_a_slow_reader_keeps_nobody_else_waiting_and_misses_nothing(suite: Suite) -> None:
    await _add_much(suite)
    await _fill(suite)
    # As many as there may be, and none is read.
    calls = [aiter(exporting(suite)) for _ in range(MOST_AT_ONCE)]
    firsts = [list((await anext(call)).records) for call in calls]
    await _refused(exporting(suite, "bob"), "OVERLOADED")
    async with asyncio.timeout(HANG_SECONDS):
        # More than there are connections to a database.
        await asyncio.gather(*(_say(suite, f"{number}", "bob") for number in range(20)))
        await suite.make_users(*(f"user {number}" for number in range(20)))
        await add(suite.files, b"x", user("bob"), request_id="another")
    for call, records in zip(calls, firsts, strict=True):
        await _read_on(call, records)
        assert records[-1].kind == "complete"
    assert (await exported(suite, "bob"))[-1].kind == "complete"


async def test_a_service_that_goes_away_ends_the_export_and_is_named(suite: Suite) -> None:
    await _add_much(suite)
    call = aiter(exporting(suite))
    records = list((await anext(call)).records)
    await suite.stop("files")
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await _read_on(call, records)
    assert check(ended.value, "SERVICE_UNAVAILABLE").metadata == {"service": "files"}
    assert "complete" not in {one.kind for one in records}
    # Neither is it whole when it was away before.
    assert (await _refused(exporting(suite), "SERVICE_UNAVAILABLE")).metadata == {"service": "files"}


async def test_an_export_of_a_user_who_is_deleted_meanwhile_is_not_complete(suite: Suite) -> None:
    await _add_much(suite)
    call = aiter(exporting(suite))
    records = list((await anext(call)).records)
    await _delete(suite)
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await _read_on(call, records)
    check(ended.value, "USER_NOT_FOUND")
    assert "complete" not in {one.kind for one in records}


async def test_one_that_is_given_up_makes_room_for_another(suite: Suite) -> None:
    await _add_much(suite)
    calls = [exporting(suite) for _ in range(MOST_AT_ONCE)]
    for call in calls:
        await anext(aiter(call))
        call.cancel()

    async def is_free() -> bool:
        try:
            return bool(await exported(suite))
        except grpc.aio.AioRpcError as error:
            check(error, "OVERLOADED")
            return False

    await until(is_free)


async def _refused(call: "grpc.aio.UnaryStreamCall[object, users_pb2.ExportUserResponse]", reason: str) -> ChatkitError:
    async def read() -> list[Record]:
        return [one async for frame in call for one in frame.records]

    return await refused(read(), reason)
