"""A message is shown with the request id that it was sent with, wherever it is shown, and its bytes do not hold it."""

from typing import Any

import psycopg
from chatkit.messages.v1 import message_pb2, part_pb2
from chatkit.messages.v1 import messages_service_pb2 as pb2
from chatkit.messages.v1.read_states_service_pb2 import ListReadStatesRequest

from services.messages.log.append import append
from services.messages.model import Deletion
from services.runtime.ids import RoomId, RoomUid
from tests.messages.chat import Chat, text
from tests.support.databases import TestDatabase
from tests.support.peers import uid_of
from tests.support.tokens import su, user

_MINE = "mine: 7 \N{HEAVY BLACK HEART}"


def _edit(content: str) -> pb2.EditMessageRequest:
    part = part_pb2.Part(content_type="text/plain", content=content)
    return pb2.EditMessageRequest(room_id="lobby", seq=1, parts=[part], request_id="an edit")


async def _shown(chat: Chat) -> dict[str, message_pb2.Message]:
    """Return the message as everything shows it that reads."""
    stub, bob = chat.suite.messages, user("bob")
    shown: dict[str, Any] = {}
    for direction in (pb2.DIRECTION_OLDER, pb2.DIRECTION_NEWER):
        listed = await stub.ListMessages(pb2.ListMessagesRequest(room_id="lobby", direction=direction), metadata=bob)
        shown[f"ListMessages {direction}"] = listed.messages[0]
    shown["GetMessage"] = (await stub.GetMessage(pb2.GetMessageRequest(room_id="lobby", seq=1), metadata=bob)).message
    batch = await stub.BatchGetMessages(pb2.BatchGetMessagesRequest(room_id="lobby", seqs=[1]), metadata=bob)
    shown["BatchGetMessages"] = batch.messages[0]
    log = await stub.ListRoomEvents(pb2.ListRoomEventsRequest(room_id="lobby"), metadata=bob)
    for event in log.events:
        shown[f"ListRoomEvents {event.seq}"] = getattr(event, str(event.WhichOneof("event")))
    states = await chat.suite.read_states.ListReadStates(ListReadStatesRequest(), metadata=bob)
    shown["ListReadStates"] = states.read_states[0].last_message
    start = await chat.position(0)
    for name, stream in (("snapshot", chat.reading(last=1)), ("resumed", chat.reading(after=start))):
        async with stream as reader:
            event = next(event for event in await reader.until("caught_up") if event.seq)
            shown[f"SubscribeRoom {name}"] = event.message_created
    async with chat.following("lobby", read_states=True) as reader:
        for event in await reader.until_room("lobby", "caught_up"):
            if event.HasField("read_state"):
                shown["SubscribeRooms read_state"] = event.read_state.last_message
            elif event.seq:
                shown["SubscribeRooms"] = event.message_created
    return shown


async def test_everything_that_shows_a_message_shows_its_request_id(chat: Chat) -> None:
    async with chat.reading(last=0) as reader:
        await reader.until("caught_up")
        sent = {"SendMessage": await chat.send(text("hello", _MINE))}
        sent["live"] = (await reader.next()).message_created
        shown = sent | await _shown(chat)
        assert {where: message.request_id for where, message in shown.items()} == dict.fromkeys(shown, _MINE)
        edited = (await chat.suite.messages.EditMessage(_edit("again"), metadata=user("alice"))).message
        shown = {"EditMessage": edited, "live": (await reader.next()).message_edited}
    # Both, repeated, answer the message as it is now.
    shown["repeated send"] = await chat.send(text("hello", _MINE))
    shown["repeated edit"] = (await chat.suite.messages.EditMessage(_edit("again"), metadata=user("alice"))).message
    shown |= await _shown(chat)
    assert {where: message.parts[0].content for where, message in shown.items()} == dict.fromkeys(shown, "again")
    assert {where: message.request_id for where, message in shown.items()} == dict.fromkeys(shown, _MINE)


async def test_each_message_of_a_batch_is_answered_with_its_own(chat: Chat) -> None:
    requests = [text("hello", f"batch {number}", sender_id="alice") for number in range(3)]
    request = pb2.BatchSendMessagesRequest(requests=requests)
    for _ in range(2):
        answer = await chat.suite.messages.BatchSendMessages(request, metadata=su())
        assert [result.message.request_id for result in answer.results] == ["batch 0", "batch 1", "batch 2"]


async def test_a_deleted_message_has_none(chat: Chat, database: TestDatabase) -> None:
    await chat.send(text("hello", _MINE))
    deletion = pb2.DeleteMessageRequest(room_id="lobby", seq=1)
    async with chat.reading(last=1) as reader:
        await reader.until("caught_up")
        deleted = (await chat.suite.messages.DeleteMessage(deletion, metadata=user("alice"))).message
        shown = {"DeleteMessage": deleted, "live": (await reader.next()).message_deleted}
    shown["repeated send"] = await chat.send(text("hello", _MINE))
    shown["repeated deletion"] = (await chat.suite.messages.DeleteMessage(deletion, metadata=user("alice"))).message
    log = await chat.suite.messages.ListRoomEvents(pb2.ListRoomEventsRequest(room_id="lobby"), metadata=user("bob"))
    shown |= {f"ListRoomEvents {event.seq}": getattr(event, str(event.WhichOneof("event"))) for event in log.events}
    async with chat.reading(after=await chat.position(0)) as reader:
        replayed = [event for event in await reader.until("caught_up") if event.seq]
    shown |= {f"resumed {event.seq}": getattr(event, str(event.WhichOneof("event"))) for event in replayed}
    assert len(shown) == 8
    assert shown == dict.fromkeys(shown, deleted)
    assert not deleted.request_id
    # Whatever of it is still there, it was deleted once.
    one = Deletion(RoomUid(uid_of("lobby")), RoomId("lobby"), 1)
    async with await psycopg.AsyncConnection.connect(database.dsn("messages"), autocommit=True) as connection:
        told = (await append(connection, [one], wait_ms=1000))[one.key]
    assert message_pb2.Message.FromString(getattr(told, "message", b"")) == deleted


async def test_what_is_stored_of_a_message_does_not_hold_it(chat: Chat, database: TestDatabase) -> None:
    # So a replica of the release before, which knows no such field, makes it go where it makes a message nobody's.
    await chat.send(text("hello", _MINE))
    await chat.suite.messages.EditMessage(_edit("again"), metadata=user("alice"))
    with psycopg.connect(database.superuser_dsn) as connection:
        ((stored,),) = connection.execute("SELECT message FROM messages.messages").fetchall()
        assert message_pb2.Message.FromString(stored).parts[0].content == "again"
        assert _MINE.encode() not in stored
