"""Erasing what messages has of a user: their words go, the order stays, and who follows a room is told."""

import asyncio
from uuid import UUID

import psycopg
import pytest
from chatkit.internal.erasure.v1 import erasure_service_pb2 as pb2
from chatkit.internal.erasure.v1.erasure_service_pb2_grpc import ErasureServiceStub
from chatkit.messages.v1 import messages_service_pb2, part_pb2, read_states_service_pb2

from services.messages.attachments.store import ReferenceStore
from services.runtime.ids import RoomUid, UserUid
from tests.messages.chat import Chat, text
from tests.support.databases import TestDatabase
from tests.support.eventually import HANG_SECONDS
from tests.support.peers import uid_of
from tests.support.refusals import refused
from tests.support.tokens import service, user

ALICE, LOBBY = UserUid(uid_of("alice")), RoomUid(uid_of("lobby"))
_WORD = "rhubarb"


async def _erase(chat: Chat, user_uid: UUID = ALICE) -> bool:
    stub = ErasureServiceStub(chat.suite.channel("messages"))
    request = pb2.EraseRequest(user=pb2.ErasedUser(uid=user_uid.bytes, id="alice"))
    answer: pb2.EraseResponse = await stub.Erase(request, metadata=service("users", "messages"))
    return answer.is_done


def _all_rows(database: TestDatabase) -> str:
    tables = ("heads", "messages", "events", "read_cursors", "attachments")
    with psycopg.connect(database.superuser_dsn) as connection:
        return " ".join(str(connection.execute(f"SELECT * FROM messages.{table}").fetchall()) for table in tables)


async def _edit(chat: Chat, seq: int) -> None:
    part = part_pb2.Part(content_type="text/plain", content=f"{_WORD} again")
    edit = messages_service_pb2.EditMessageRequest(room_id="lobby", seq=seq, parts=[part], request_id="an edit")
    await chat.suite.messages.EditMessage(edit, metadata=user("alice"))


async def _delete(chat: Chat, seq: int) -> None:
    deletion = messages_service_pb2.DeleteMessageRequest(room_id="lobby", seq=seq)
    await chat.suite.messages.DeleteMessage(deletion, metadata=user("alice"))


async def _set_cursor(chat: Chat, who: str) -> None:
    cursor = read_states_service_pb2.SetReadCursorRequest(room_id="lobby", seq=1)
    await chat.suite.read_states.SetReadCursor(cursor, metadata=user(who))


async def _note(chat: Chat, request_id: str) -> None:
    references = ReferenceStore(chat.suite.servers["messages"].database)
    await references.note(["a file"], LOBBY, ALICE, request_id)


async def _log(chat: Chat, room_id: str = "lobby") -> list[tuple[int, str]]:
    request = messages_service_pb2.ListRoomEventsRequest(room_id=room_id)
    log = await chat.suite.messages.ListRoomEvents(request, metadata=user("bob"))
    return [(event.seq, str(event.WhichOneof("event"))) for event in log.events]


async def _erased(chat: Chat) -> bool:
    """Ask until all is erased, which takes a slow machine more than one call."""
    while not await _erase(chat):
        pass
    return True


async def test_all_that_a_user_wrote_goes_and_leaves_its_place(chat: Chat, database: TestDatabase) -> None:
    chat.peers.add("attic", "alice")
    chat.peers.add("attic", "bob")
    for number in range(3):
        await chat.send(text(_WORD, f"{_WORD} {number}"))
    await chat.send(text("hello", "bob's"), "bob")
    await chat.send(text(_WORD, f"{_WORD} 9", "attic"))
    # They need not be a member any more.
    chat.peers.remove("attic", "alice")
    await _edit(chat, 1)
    await _delete(chat, 2)
    for who in ("alice", "bob"):
        await _set_cursor(chat, who)
    await _note(chat, f"{_WORD} 1")
    assert await _erased(chat)
    rows = _all_rows(database)
    for word in (_WORD, "alice", str(ALICE), "an edit", "a file"):
        assert word not in rows, word
    assert "hello" in rows
    # Each message that was there has got a place in the order for its end.
    log = await _log(chat)
    assert [seq for seq, _ in log] == list(range(1, 9))
    assert log[-2:] == [(7, "message_deleted"), (8, "message_deleted")]
    listed = await chat.suite.messages.ListMessages(
        messages_service_pb2.ListMessagesRequest(room_id="lobby"), metadata=user("bob")
    )
    assert [message.sender_id for message in listed.messages] == ["bob"]
    states = await chat.suite.read_states.ListReadStates(
        read_states_service_pb2.ListReadStatesRequest(room_id="lobby"), metadata=user("bob")
    )
    assert [state.unread_count for state in states.read_states] == [1]
    # Also a second time, which costs nothing.
    assert await _erased(chat)


async def test_who_follows_the_room_is_told_of_each_in_order(chat: Chat) -> None:
    await chat.send_many(3)
    await chat.send(text("hello", "bob's"), "bob")
    async with chat.reading(last=10) as reader:
        await reader.until("caught_up")
        assert await _erased(chat)
        told = [await reader.next() for _ in range(3)]
    assert [(event.seq, event.message_deleted.seq) for event in told] == [(5, 1), (6, 2), (7, 3)]


async def test_nothing_of_theirs_comes_into_being_any_more(chat: Chat, database: TestDatabase) -> None:
    await chat.send(text("x", "before"))
    assert await _erased(chat)
    # Rooms, as it is here, still lets them in.
    await refused(chat.send(text("x", "late")), "USER_DELETED")
    await refused(chat.send(text("x", "before")), "USER_DELETED")
    await refused(_set_cursor(chat, "alice"), "USER_DELETED")
    await _note(chat, "late")
    assert "alice" not in _all_rows(database)
    assert str(ALICE) not in _all_rows(database)
    # In one batch with others'.
    await asyncio.gather(refused(chat.send(text("x", "late")), "USER_DELETED"), chat.send(text("x", "bob's"), "bob"))


async def test_a_send_that_was_under_way_is_waited_for_and_found(chat: Chat, database: TestDatabase) -> None:
    await chat.send(text("x", "first"), "bob")
    connection = await psycopg.AsyncConnection.connect(database.dsn("messages"))
    async with connection:
        # It has looked at the fence when there was none.
        await connection.execute("SELECT FROM messages.heads WHERE room_uid = %s FOR UPDATE", (LOBBY,))
        assert not await _erase(chat)
        insertion = """
            INSERT INTO messages.messages (room_uid, seq, ordinal, sender_uid, request_id, content_hash, create_time,
                message)
            SELECT room_uid, 2, 2, %s, 'late', '', create_time, message FROM messages.messages WHERE seq = 1
        """
        await connection.execute(insertion, (ALICE,))
        await connection.execute("UPDATE messages.heads SET seq = 2, ordinal = 2 WHERE room_uid = %s", (LOBBY,))
        await connection.commit()
    assert await _erased(chat)
    assert str(ALICE) not in _all_rows(database)


@pytest.mark.parametrize("at_once", [1, 3])
async def test_it_goes_on_where_it_was_whoever_goes_on(
    chat: Chat, database: TestDatabase, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr("services.messages.erasure.users_store._ROOMS_AT_ONCE", at_once)
    monkeypatch.setattr("services.messages.erasure.users._AT_ONCE", 2)
    monkeypatch.setattr("services.runtime.erasure.servicer._MOST_SECONDS", 0)
    rooms = [f"room {number}" for number in range(5)]
    for room_id in rooms:
        for who in ("alice", "bob"):
            chat.peers.add(room_id, who)
        await chat.send_many(3, "m", room_id)
    calls = 1
    async with asyncio.timeout(HANG_SECONDS):
        while not await _erase(chat):
            calls += 1
    assert calls > 5
    assert str(ALICE) not in _all_rows(database)
    for room_id in rooms:
        assert [seq for seq, _ in await _log(chat, room_id)] == list(range(1, 7))
