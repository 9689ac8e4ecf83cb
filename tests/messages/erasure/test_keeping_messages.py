"""Erasing a user whose messages stay: nobody can tell any more who had sent them, and everything else is as it was."""

import psycopg
from chatkit.internal.erasure.v1 import erasure_service_pb2 as pb2
from chatkit.internal.erasure.v1.erasure_service_pb2_grpc import ErasureServiceStub
from chatkit.messages.v1 import message_pb2, messages_service_pb2, part_pb2

from services.messages.log.append import append
from services.messages.model import Anonymization
from services.runtime.contract.errors import NotFound
from services.runtime.erasure.model import PseudonymKey
from services.runtime.ids import RoomId, RoomUid, UserId
from tests.messages.chat import Chat, text
from tests.support.databases import TestDatabase
from tests.support.peers import uid_of
from tests.support.refusals import refused
from tests.support.tokens import service, su, user

KEY = PseudonymKey(bytes(range(32)))
LOBBY = RoomUid(uid_of("lobby"))


def _pseudonym(room_id: str = "lobby") -> UserId:
    return KEY.pseudonym_in(RoomUid(uid_of(room_id)))


async def _erase(chat: Chat, secret: bytes = KEY.secret) -> None:
    """Ask until all is erased, which takes a slow machine more than one call."""
    stub = ErasureServiceStub(chat.suite.channel("messages"))
    alice = pb2.ErasedUser(uid=uid_of("alice").bytes, id="alice")
    request = pb2.EraseRequest(anonymized_user=pb2.AnonymizedUser(user=alice, pseudonym_key=secret))
    while not (await stub.Erase(request, metadata=service("users", "messages"))).is_done:
        pass


def _rows(database: TestDatabase) -> str:
    tables = ("heads", "messages", "events", "read_cursors", "attachments")
    with psycopg.connect(database.superuser_dsn) as connection:
        return " ".join(str(connection.execute(f"SELECT * FROM messages.{table}").fetchall()) for table in tables)


async def _messages(chat: Chat, room_id: str = "lobby") -> list[message_pb2.Message]:
    """Return the messages of a room, the oldest first."""
    request = messages_service_pb2.ListMessagesRequest(room_id=room_id)
    answer = await chat.suite.messages.ListMessages(request, metadata=user("bob"))
    return list(answer.messages)[::-1]


async def _edit(chat: Chat, request_id: str, who: str = "alice", content: str = "again") -> None:
    part = part_pb2.Part(content_type="text/plain", content=content)
    edit = messages_service_pb2.EditMessageRequest(room_id="lobby", seq=1, parts=[part], request_id=request_id)
    await chat.suite.messages.EditMessage(edit, metadata=su(who))


async def _delete(chat: Chat, seq: int) -> None:
    deletion = messages_service_pb2.DeleteMessageRequest(room_id="lobby", seq=seq)
    await chat.suite.messages.DeleteMessage(deletion, metadata=user("alice"))


async def test_what_they_said_stays_and_who_they_were_goes(chat: Chat, database: TestDatabase) -> None:
    for who in ("alice", "bob"):
        chat.peers.add("attic", who)
    for room_id in ("attic", "lobby"):
        await chat.send(text("hello", "their request", room_id, custom_data={"kept": "with the parts"}))
    await _edit(chat, "their edit")
    await chat.send(text("hi", "bob's"), "bob")
    await chat.send(text("a slip", "their slip"))
    await _delete(chat, 4)
    before = (await _messages(chat))[0]
    await _erase(chat)
    rows = _rows(database)
    for word in ("alice", str(uid_of("alice")), "their request", "their edit", "their slip"):
        assert word not in rows, word
    first, second = await _messages(chat)
    # An event like any other, and no edit of theirs.
    assert (first.sender_id, first.seq, first.revision) == (_pseudonym(), 1, 6)
    assert (first.parts, first.create_time, first.edit_time) == (before.parts, before.create_time, before.edit_time)
    assert first.custom_data == before.custom_data == {"kept": "with the parts"}
    assert (second.sender_id, second.revision) == ("bob", 3)
    assert [message.request_id for message in (before, first, second)] == ["their request", "", "bob's"]
    assert [message.sender_id for message in await _messages(chat, "attic")] == [_pseudonym("attic")]
    assert _pseudonym("attic") != _pseudonym()
    # Also a second time, which changes nothing.
    await _erase(chat)
    assert await _messages(chat) == [first, second]


async def test_who_follows_the_room_is_told_of_each_in_order(chat: Chat) -> None:
    await chat.send_many(3)
    async with chat.reading(last=10) as reader:
        await reader.until("caught_up")
        await _erase(chat)
        told = [await reader.next() for _ in range(3)]
    assert [(event.seq, event.message_edited.seq) for event in told] == [(4, 1), (5, 2), (6, 3)]
    assert {event.message_edited.sender_id for event in told} == {_pseudonym()}
    assert not any(event.message_edited.HasField("edit_time") for event in told)
    # Neither those nor what a stream begins with show what the sender has called their requests.
    async with chat.reading(last=10) as reader:
        begun = [event.message_created for event in await reader.until("caught_up") if event.seq]
    assert len(begun) == 3
    assert {message.request_id for message in [*begun, *(event.message_edited for event in told)]} == {""}


async def test_nothing_new_is_theirs_and_moderators_go_on(chat: Chat) -> None:
    await chat.send(text("hello", "before"))
    await _erase(chat)
    await refused(chat.send(text("late", "late")), "USER_DELETED")
    await _edit(chat, "a moderator's", "bob", "removed by a moderator")
    (message,) = await _messages(chat)
    assert (message.sender_id, message.parts[0].content) == (_pseudonym(), "removed by a moderator")


async def test_a_message_that_is_deleted_meanwhile_stays_deleted(chat: Chat, database: TestDatabase) -> None:
    await chat.send(text("hello", "before"))
    await _delete(chat, 1)
    late = Anonymization(LOBBY, RoomId("lobby"), 1, _pseudonym())
    async with await psycopg.AsyncConnection.connect(database.dsn("messages"), autocommit=True) as connection:
        (told,) = (await append(connection, [late], wait_ms=1000)).values()
    assert isinstance(told, NotFound)
    assert await _messages(chat) == []


async def test_repeating_it_after_an_unknown_outcome_changes_nothing(chat: Chat, database: TestDatabase) -> None:
    await chat.send(text("hello", "before"))
    one = Anonymization(LOBBY, RoomId("lobby"), 1, _pseudonym())
    async with await psycopg.AsyncConnection.connect(database.dsn("messages"), autocommit=True) as connection:
        told = [(await append(connection, [one], wait_ms=1000))[one.key] for _ in range(2)]
    assert [getattr(result, "is_new", None) for result in told] == [True, False]
    assert [message_pb2.Message.FromString(getattr(result, "message", b"")).request_id for result in told] == ["", ""]
    assert [message.revision for message in await _messages(chat)] == [2]


async def test_a_key_that_is_none_is_refused_and_nothing_is_erased(chat: Chat) -> None:
    await chat.send(text("hello", "before"))
    await refused(_erase(chat, b"short"), "FIELD_INVALID")
    await chat.send(text("hello", "after"))
