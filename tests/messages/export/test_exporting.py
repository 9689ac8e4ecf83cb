"""What messages exports of a user: in the order of each room, over all pages, and nothing of another."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import psycopg
import pytest
from chatkit.messages.v1 import message_pb2, messages_service_pb2, part_pb2, read_states_service_pb2

from services.messages.export import store
from tests.messages.chat import Chat, text
from tests.support.databases import TestDatabase
from tests.support.exports import exported_by, of_kind
from tests.support.peers import uid_of
from tests.support.tokens import user

ALICE, LOBBY = uid_of("alice"), uid_of("lobby")


def _put(database: TestDatabase, room_uid: UUID, room_id: str, count: int) -> None:
    """Store so many messages of alice's, as if they had been sent, with request ids in another order."""
    now = datetime.now(UTC)
    with psycopg.connect(database.superuser_dsn) as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO messages.heads (room_uid, seq, oldest_seq, ordinal, last_time) VALUES (%s, %s, 1, %s, %s)",
            (room_uid, count, count, now),
        )
        rows = (
            (
                room_uid,
                seq,
                seq,
                ALICE,
                f"{uuid4()}",
                b"",
                now,
                message_pb2.Message(room_id=room_id, seq=seq, sender_id="alice").SerializeToString(),
            )
            for seq in range(1, count + 1)
        )
        columns = "room_uid, seq, ordinal, sender_uid, request_id, content_hash, create_time, message"
        with cursor.copy(f"COPY messages.messages ({columns}) FROM STDIN") as copied:
            for row in rows:
                copied.write_row(row)


async def test_a_long_room_comes_whole_and_in_order(
    chat: Chat, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_SEQS_AT_ONCE", 250)
    count = 2 * 250 + store.MESSAGES_AT_ONCE + 1
    _put(database, LOBBY, "lobby", count)
    records = await exported_by(chat.suite, "messages", ALICE)
    assert [int(one["seq"]) for one in of_kind(records, "message")] == list(range(1, count + 1))


async def test_all_rooms_are_looked_through(chat: Chat, database: TestDatabase) -> None:
    rooms = {f"room {number}": uuid4() for number in range(2 * store._ROOMS_AT_ONCE + 1)}
    for room_id, room_uid in rooms.items():
        _put(database, room_uid, room_id, 1)
    records = await exported_by(chat.suite, "messages", ALICE)
    assert sorted(one["room_id"] for one in of_kind(records, "message")) == sorted(rooms)


async def test_a_message_is_as_it_is_now_and_a_deleted_one_has_no_content(chat: Chat) -> None:
    await chat.send(text("before", "1"))
    await chat.send(text("gone", "2"))
    part = part_pb2.Part(content_type="text/plain", content="after")
    edit = messages_service_pb2.EditMessageRequest(room_id="lobby", seq=1, parts=[part], request_id="an edit")
    await chat.suite.messages.EditMessage(edit, metadata=user("alice"))
    deletion = messages_service_pb2.DeleteMessageRequest(room_id="lobby", seq=2)
    await chat.suite.messages.DeleteMessage(deletion, metadata=user("alice"))
    edited, gone = of_kind(await exported_by(chat.suite, "messages", ALICE), "message")
    assert (edited["parts"], edited["revision"]) == ([{"content_type": "text/plain", "content": "after"}], "3")
    assert "edit_time" in edited
    assert (gone["room_id"], gone["seq"], set(gone)) == (
        "lobby",
        "2",
        {"room_id", "seq", "create_time", "delete_time"},
    )


async def test_a_message_comes_with_its_custom_data(chat: Chat) -> None:
    for request_id, kept in (("1", {"a": [1.5, None]}), ("2", {})):
        await chat.send(text("hello", request_id, custom_data=kept))
    first, second = of_kind(await exported_by(chat.suite, "messages", ALICE), "message")
    assert first["custom_data"] == {"a": [1.5, None]}
    assert "custom_data" not in second


async def test_nothing_of_another_is_in_it(chat: Chat) -> None:
    await chat.send(text("mine", "1"))
    await chat.send(text("rhubarb", "2"), "bob")
    for who, seq in (("alice", 1), ("bob", 2)):
        cursor = read_states_service_pb2.SetReadCursorRequest(room_id="lobby", seq=seq)
        await chat.suite.read_states.SetReadCursor(cursor, metadata=user(who))
    records = await exported_by(chat.suite, "messages", ALICE)
    assert [one.kind for one in records] == ["message", "read_cursor"]
    assert "rhubarb" not in str(records)
    (cursor_told,) = of_kind(records, "read_cursor")
    assert (cursor_told["room_id"], cursor_told["user_id"], cursor_told["seq"]) == ("lobby", "alice", "1")


async def test_a_cursor_of_a_silent_room_has_no_rooms_id(chat: Chat) -> None:
    cursor = read_states_service_pb2.SetReadCursorRequest(room_id="lobby", seq=0)
    await chat.suite.read_states.SetReadCursor(cursor, metadata=user("alice"))
    (told,) = of_kind(await exported_by(chat.suite, "messages", ALICE), "read_cursor")
    assert (told["seq"], "room_id" in told) == ("0", False)
