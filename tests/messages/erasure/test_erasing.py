"""Erasing what messages has of a room: everything goes, nothing comes again, and nobody else's room notices."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import psycopg
import pytest
from chatkit.contract.v1 import error_reason_pb2
from chatkit.internal.erasure.v1 import erasure_service_pb2 as pb2
from chatkit.internal.erasure.v1.erasure_service_pb2_grpc import ErasureServiceStub
from chatkit.messages.v1 import messages_service_pb2, read_states_service_pb2

from services.messages.attachments.store import ReferenceStore
from services.messages.erasure.eraser import MessagesEraser
from services.messages.erasure.store import UNLOCKED, ErasureStore
from services.runtime.clock import SystemClock
from services.runtime.data.database import Database
from services.runtime.data.writers import Writers
from services.runtime.deadline import NEVER, Deadline
from services.runtime.ids import RoomUid, UserUid
from tests.messages.chat import Chat, text
from tests.support.databases import TestDatabase
from tests.support.peers import uid_of
from tests.support.refusals import refused
from tests.support.tokens import service, user

LOBBY = RoomUid(uid_of("lobby"))
TABLES = ("messages", "events", "read_cursors", "attachments")


def _rows(database: TestDatabase, room_uid: UUID) -> dict[str, int]:
    with psycopg.connect(database.superuser_dsn) as connection:
        counts = {
            table: connection.execute(f"SELECT count(*) FROM messages.{table} WHERE room_uid = %s", (room_uid,))
            for table in TABLES
        }
        return {table: (cursor.fetchone() or (0,))[0] for table, cursor in counts.items()}


async def _fill(chat: Chat, room_id: str) -> None:
    """Put something into each table of a room's."""
    await chat.send_many(3, room_id, room_id)
    deletion = messages_service_pb2.DeleteMessageRequest(room_id=room_id, seq=1)
    await chat.suite.messages.DeleteMessage(deletion, metadata=user("alice"))
    cursor = read_states_service_pb2.SetReadCursorRequest(room_id=room_id, seq=2)
    await chat.suite.read_states.SetReadCursor(cursor, metadata=user("bob"))
    references = ReferenceStore(chat.suite.servers["messages"].database)
    await references.note(["a file"], RoomUid(uid_of(room_id)), UserUid(uid_of("alice")), f"{room_id}0")


async def _erase(chat: Chat, room_uid: UUID = LOBBY) -> bool:
    stub = ErasureServiceStub(chat.suite.channel("messages"))
    request = pb2.EraseRequest(room_uid=room_uid.bytes)
    answer: pb2.EraseResponse = await stub.Erase(request, metadata=service("rooms", "messages"))
    return answer.is_done


class _Watched(Writers):
    """Says when it is waited for writers."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, SystemClock(), UNLOCKED)
        self.is_waited_for = asyncio.Event()

    async def have_ended(self, transactions: Sequence[str], until: Deadline) -> bool:
        """Say so, and wait."""
        self.is_waited_for.set()
        return await super().have_ended(transactions, until)


def _eraser(chat: Chat, writers: Writers | None = None) -> MessagesEraser:
    database = chat.suite.servers["messages"].database
    return MessagesEraser(ErasureStore(database), writers or _Watched(database), lambda _: None)


async def _erased(chat: Chat) -> bool:
    """Ask until all is erased, which takes a slow machine more than one call."""
    while not await _erase(chat):
        pass
    return True


async def test_all_of_a_room_goes_and_nothing_of_others(chat: Chat, database: TestDatabase) -> None:
    for user_id in ("alice", "bob"):
        chat.peers.add("attic", user_id)
    for room_id in ("lobby", "attic"):
        await _fill(chat, room_id)
    others = _rows(database, uid_of("attic"))
    assert all(others.values())
    assert await _erased(chat)
    assert _rows(database, LOBBY) == dict.fromkeys(TABLES, 0)
    assert _rows(database, uid_of("attic")) == others
    # Also a second time.
    assert await _erased(chat)


async def test_nothing_comes_into_being_in_a_room_that_was_erased(chat: Chat, database: TestDatabase) -> None:
    await _fill(chat, "lobby")
    assert await _erased(chat)
    # Rooms, as it is here, still lets them in.
    await refused(chat.send(text("x", "late")), "ROOM_DELETED")
    await refused(chat.send(text("0", "lobby0")), "ROOM_DELETED")
    deletion = messages_service_pb2.DeleteMessageRequest(room_id="lobby", seq=2)
    await refused(chat.suite.messages.DeleteMessage(deletion, metadata=user("alice")), "MESSAGE_NOT_FOUND")
    cursor = read_states_service_pb2.SetReadCursorRequest(room_id="lobby", seq=2)
    await refused(chat.suite.read_states.SetReadCursor(cursor, metadata=user("bob")), "ROOM_DELETED")
    references = ReferenceStore(chat.suite.servers["messages"].database)
    await references.note(["a file"], LOBBY, UserUid(uid_of("alice")), "late")
    assert _rows(database, LOBBY) == dict.fromkeys(TABLES, 0)


async def test_a_room_in_which_nothing_was_said_is_erased_too(chat: Chat, database: TestDatabase) -> None:
    assert await _erased(chat)
    await refused(chat.send(text("x", "first")), "ROOM_DELETED")
    assert _rows(database, LOBBY) == dict.fromkeys(TABLES, 0)


@pytest.mark.parametrize("count", [0, 3])
async def test_who_follows_the_room_is_told_that_it_was_deleted(chat: Chat, count: int) -> None:
    chat.peers.add("attic", "bob")
    await chat.send_many(count)
    async with chat.reading() as alone, chat.following("lobby", "attic") as together:
        await alone.until("caught_up")
        await together.until_room("", "caught_up")
        assert await _erased(chat)
        for closed in (await alone.until("closed"), await together.until_room("lobby", "closed")):
            assert closed[-1].closed.reason == error_reason_pb2.ROOM_DELETED
        # The other room goes on.
        await chat.send(text("x", "1", "attic"), "bob")
        assert (await together.until("message_created"))[-1].room_id == "attic"


async def test_what_is_too_much_for_one_call_takes_several(
    chat: Chat, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.messages.erasure.store._AT_ONCE", 2)
    await chat.send_many(7)
    eraser = _eraser(chat)
    assert not await eraser.erase_room(LOBBY, Deadline.after(0))
    # The fence stands before anything goes.
    assert _rows(database, LOBBY)["messages"] == 7
    await refused(chat.send(text("x", "late")), "ROOM_DELETED")
    assert await eraser.erase_room(LOBBY, NEVER)
    assert _rows(database, LOBBY)["messages"] == 0


async def test_a_write_that_was_under_way_is_waited_for_and_found(chat: Chat, database: TestDatabase) -> None:
    insertion = """
        INSERT INTO messages.read_cursors VALUES (%s, %s, 'bob', 1, 1, clock_timestamp(), pg_current_xact_id())
    """
    connection = await psycopg.AsyncConnection.connect(database.dsn("messages"))
    async with connection:
        # It has looked at the fence when there was none.
        await connection.execute(insertion, (LOBBY, uid_of("bob")))
        writers = _Watched(chat.suite.servers["messages"].database)
        erasing = asyncio.create_task(_eraser(chat, writers).erase_room(LOBBY, NEVER))
        waiting = asyncio.create_task(writers.is_waited_for.wait())
        await asyncio.wait({erasing, waiting}, return_when=asyncio.FIRST_COMPLETED)
        assert not erasing.done()
        await connection.commit()
        assert await erasing
    assert _rows(database, LOBBY)["read_cursors"] == 0


async def test_only_services_erase_and_only_what_they_name_well(chat: Chat) -> None:
    stub = ErasureServiceStub(chat.suite.channel("messages"))
    await refused(stub.Erase(pb2.EraseRequest(room_uid=LOBBY.bytes), metadata=user("alice")), "SERVICE_REQUIRED")
    as_rooms = service("rooms", "messages")
    await refused(stub.Erase(pb2.EraseRequest(), metadata=as_rooms), "FIELD_REQUIRED")
    await refused(stub.Erase(pb2.EraseRequest(room_uid=b"short"), metadata=as_rooms), "FIELD_INVALID")
