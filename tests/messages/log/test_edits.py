"""Edits and deletions: who may, what readers see, what takes a seq, and that nothing erased comes back."""

import asyncio
from typing import Any

import psycopg
import pytest
from chatkit.messages.v1 import message_pb2, part_pb2, room_event_pb2
from chatkit.messages.v1 import messages_service_pb2 as pb2

from tests.messages.chat import Chat, text
from tests.support.refusals import refused
from tests.support.tokens import Metadata, su, user

_EDITED, _DELETED = "message_edited", "message_deleted"


def _part(content: str) -> part_pb2.Part:
    return part_pb2.Part(content_type="text/plain", content=content)


async def _edit(
    chat: Chat, seq: int, content: str, who: Metadata | None = None, *, request_id: str = ""
) -> message_pb2.Message:
    request = pb2.EditMessageRequest(room_id="lobby", seq=seq, parts=[_part(content)], request_id=request_id)
    answer: Any = await chat.suite.messages.EditMessage(request, metadata=who or user("alice"))
    return answer.message  # type: ignore[no-any-return]


async def _delete(chat: Chat, seq: int, who: Metadata | None = None) -> message_pb2.Message:
    request = pb2.DeleteMessageRequest(room_id="lobby", seq=seq)
    answer: Any = await chat.suite.messages.DeleteMessage(request, metadata=who or user("alice"))
    return answer.message  # type: ignore[no-any-return]


async def _log(chat: Chat) -> list[room_event_pb2.RoomEvent]:
    answer = await chat.suite.messages.ListRoomEvents(
        pb2.ListRoomEventsRequest(room_id="lobby", page_size=100), metadata=user("bob")
    )
    return list(answer.events)


async def _replay(chat: Chat, *, after: int | None = None) -> list[room_event_pb2.RoomEvent]:
    """Return what a new stream replays."""
    position = await chat.position(after) if after is not None else None
    async with chat.reading(after=position) as reader:
        return [event for event in await reader.until("caught_up") if event.seq]


def _kinds(events: list[room_event_pb2.RoomEvent]) -> list[tuple[int, str | None]]:
    return [(event.seq, event.WhichOneof("event")) for event in events]


async def test_an_edit_replaces_the_parts_and_keeps_the_rest(chat: Chat) -> None:
    sent = await chat.send(text("hello", "1"))
    edited = await _edit(chat, 1, "goodbye")
    assert edited.parts[0].content == "goodbye"
    assert (edited.seq, edited.revision, edited.sender_id, edited.create_time) == (1, 2, "alice", sent.create_time)
    assert edited.edit_time.ToNanoseconds() >= sent.create_time.ToNanoseconds()
    again = await _edit(chat, 1, "hello again")
    assert (again.seq, again.revision) == (1, 3)
    listed = await chat.suite.messages.ListMessages(pb2.ListMessagesRequest(room_id="lobby"), metadata=user("bob"))
    assert list(listed.messages) == [again]


async def test_a_deleted_message_is_nowhere_but_in_the_log(chat: Chat) -> None:
    for n in range(3):
        await chat.send(text(f"{n}", f"{n}"))
    deleted = await _delete(chat, 2)
    expected = message_pb2.Message(room_id="lobby", seq=2, revision=4, delete_time=deleted.delete_time)
    assert deleted == expected
    assert deleted.delete_time.seconds
    stub, bob = chat.suite.messages, user("bob")
    await refused(stub.GetMessage(pb2.GetMessageRequest(room_id="lobby", seq=2), metadata=bob), "MESSAGE_NOT_FOUND")
    for direction in (pb2.DIRECTION_OLDER, pb2.DIRECTION_NEWER):
        request = pb2.ListMessagesRequest(room_id="lobby", direction=direction)
        listed = await stub.ListMessages(request, metadata=bob)
        assert {message.seq for message in listed.messages} == {1, 3}
    events = await _log(chat)
    assert _kinds(events) == [
        (1, "message_created"),
        (2, "message_created"),
        (3, "message_created"),
        (4, _DELETED),
    ]
    assert events[1].message_created == events[3].message_deleted == expected


async def test_what_changes_nothing_takes_no_seq(chat: Chat) -> None:
    await chat.send(text("hello", "1"))
    assert (await _edit(chat, 1, "hello")).revision == 1
    edited = await _edit(chat, 1, "other")
    assert await _edit(chat, 1, "other") == edited
    deleted = await _delete(chat, 1)
    assert await _delete(chat, 1) == deleted
    assert deleted.revision == 3
    await refused(_edit(chat, 1, "too late"), "MESSAGE_NOT_FOUND")
    assert [event.seq for event in await _log(chat)] == [1, 2, 3]


async def test_a_repeated_edit_never_undoes_the_one_that_came_between(chat: Chat) -> None:
    await chat.send(text("hello", "1"))
    await _edit(chat, 1, "first", request_id="a")
    second = await _edit(chat, 1, "second", request_id="b")
    assert await _edit(chat, 1, "first", request_id="a") == second
    await refused(_edit(chat, 1, "third", request_id="a"), "REQUEST_ID_REUSED")
    await _delete(chat, 1)
    assert (await _edit(chat, 1, "first", request_id="a")).HasField("delete_time")
    assert len(await _log(chat)) == 4


async def test_a_repeated_send_answers_the_message_as_it_is_now(chat: Chat) -> None:
    await chat.send(text("hello", "1"))
    edited = await _edit(chat, 1, "other")
    assert await chat.send(text("hello", "1")) == edited
    await refused(chat.send(text("other", "1")), "REQUEST_ID_REUSED")
    deleted = await _delete(chat, 1)
    assert await chat.send(text("hello", "1")) == deleted


async def test_changes_at_once_are_one_order_and_repetitions_at_once_are_one_change(chat: Chat) -> None:
    await chat.send(text("hello", "1"))
    await asyncio.gather(*(_edit(chat, 1, "same", request_id="same") for _ in range(10)))
    await asyncio.gather(*(_edit(chat, 1, f"{n}") for n in range(20)), chat.send_many(10))
    await asyncio.gather(*(_delete(chat, 1) for _ in range(10)))
    events = await _log(chat)
    assert [event.seq for event in events] == list(range(1, 34))
    assert [kind for _, kind in _kinds(events)].count(_EDITED) == 21
    assert [kind for _, kind in _kinds(events)].count(_DELETED) == 1


async def test_changes_arrive_live_and_in_order(chat: Chat) -> None:
    async with chat.reading(last=0) as reader:
        await reader.until("caught_up")
        await chat.send(text("hello", "1"))
        await _edit(chat, 1, "other")
        await _delete(chat, 1)
        created, edited, deleted = [await reader.next() for _ in range(3)]
    assert (created.seq, created.message_created.parts[0].content) == (1, "hello")
    assert (edited.seq, edited.message_edited.seq, edited.message_edited.revision) == (2, 1, 2)
    assert edited.message_edited.parts[0].content == "other"
    assert (deleted.seq, deleted.message_deleted.seq, deleted.message_deleted.revision) == (3, 1, 3)
    assert not deleted.message_deleted.parts
    assert not deleted.message_deleted.sender_id


@pytest.mark.parametrize("is_followed", [True, False])
async def test_a_replay_shows_every_event_with_the_message_as_it_is_now(chat: Chat, is_followed: bool) -> None:
    async def change() -> None:
        await chat.send(text("secret one", "1"))
        await chat.send(text("secret two", "2"))
        await _edit(chat, 1, "secret three")
        await _edit(chat, 2, "public")
        await _delete(chat, 1)

    if is_followed:
        # The hub has given all of it away, and kept it.
        async with chat.reading(last=0, who="alice") as other:
            await other.until("caught_up")
            await change()
            await other.until(_DELETED)
            events = await _replay(chat, after=0)
    else:
        await change()
        events = await _replay(chat, after=0)
    assert _kinds(events) == [
        (1, "message_created"),
        (2, "message_created"),
        (3, _EDITED),
        (4, _EDITED),
        (5, _DELETED),
    ]
    tombstone = events[4].message_deleted
    assert events[0].message_created == events[2].message_edited == tombstone
    assert events[1].message_created == events[3].message_edited
    assert events[1].message_created.parts[0].content == "public"
    assert all(b"secret" not in event.SerializeToString() for event in [*events, *await _log(chat)])


async def test_a_snapshot_has_the_last_messages_however_much_was_changed_since(chat: Chat) -> None:
    await chat.send_many(30)
    for n in range(110):
        await _edit(chat, 30, f"edit {n}")
    await _delete(chat, 29)
    for is_kept in (False, True):
        async with chat.reading(last=20) as reader:
            events = [event for event in await reader.until("caught_up") if event.seq]
            assert [event.seq for event in events] == [*range(10, 29), 30], is_kept
            assert events[-1].message_created.parts[0].content == "edit 109"
    async with chat.reading(last=100) as reader:
        opened = await reader.next()
        seqs = [event.seq for event in await reader.until("caught_up") if event.seq]
    assert seqs == [*range(1, 29), 30]
    assert (opened.opened.first_seq, opened.opened.position.seq) == (1, 141)


async def test_another_ones_message_needs_the_permission_to_moderate(chat: Chat) -> None:
    await chat.send(text("hello", "1"))
    chat.peers.denied["bob"] = {"message:moderate"}
    for call in (_edit(chat, 1, "other", user("bob")), _delete(chat, 1, user("bob"))):
        assert (await refused(call, "PERMISSION_MISSING")).metadata == {"permission": "message:moderate"}
    await refused(_delete(chat, 7, user("bob")), "MESSAGE_NOT_FOUND")
    # Whoever may moderate needs nothing else; and who may neither is told of the lesser one.
    chat.peers.assign("bob", (2, "moderator"), room_id="lobby", denied={"message:edit", "message:delete"})
    assert (await _edit(chat, 1, "moderated", user("bob"))).parts[0].content == "moderated"
    chat.peers.denied["alice"] = {"message:edit", "message:delete", "message:moderate"}
    refusal = await refused(_delete(chat, 1), "PERMISSION_MISSING")
    assert refusal.metadata == {"permission": "message:delete"}
    await _delete(chat, 1, su())


async def test_what_is_not_there_can_be_neither_edited_nor_deleted(chat: Chat) -> None:
    await chat.send(text("hello", "1"))
    await _delete(chat, 1)
    for seq in (2, 3, 2**62):
        for who in (user("alice"), su()):
            refusal = await refused(_edit(chat, seq, "other", who), "MESSAGE_NOT_FOUND")
            assert refusal.metadata == {"room_id": "lobby", "seq": str(seq)}
            await refused(_delete(chat, seq, who), "MESSAGE_NOT_FOUND")
    await refused(_edit(chat, -1, "other"), "FIELD_INVALID")
    await refused(_edit(chat, 0, "other"), "FIELD_REQUIRED")
    await refused(_edit(chat, 1, "x" * 5_121), "LIMIT_EXCEEDED")
    empty = pb2.EditMessageRequest(room_id="lobby", seq=1)
    await refused(chat.suite.messages.EditMessage(empty, metadata=user("alice")), "FIELD_REQUIRED")
    await refused(_edit(chat, 1, "other", user("carol")), "ROOM_ACCESS_DENIED")
    assert len(await _log(chat)) == 2


async def test_events_of_messages_that_retention_has_swept_say_so(chat: Chat) -> None:
    for n in range(3):
        await chat.send(text(f"secret {n}", f"{n}"))
    await _edit(chat, 1, "secret edit")
    await _edit(chat, 3, "kept")
    async with chat.reading(last=100) as reader:
        await reader.until("caught_up")
        _sweep(chat, 3)
        # Once from what a hub keeps, which notices when it next looks at the heads; and once from the database.
        for _ in range(2):
            events = await _until_swept(chat)
            assert _kinds(events) == [(3, "message_created"), (4, "message_gone"), (5, _EDITED)]
            assert events[1].message_gone.seq == 1
            assert events[0].message_created == events[2].message_edited
            assert all(b"secret" not in event.SerializeToString() for event in events)
            await chat.suite.restart("messages")
    await refused(_log_after(chat, await chat.position(1)), "HISTORY_GONE")
    async with chat.reading(after=await chat.position(1)) as reader:
        opened = await reader.next()
        assert opened.opened.reason == room_event_pb2.SNAPSHOT_REASON_RETENTION
        assert [event.seq for event in await reader.until("caught_up") if event.seq] == [3]


def _sweep(chat: Chat, oldest_seq: int) -> None:
    """Do what the sweeper does."""
    with psycopg.connect(chat.suite.database.superuser_dsn) as connection:
        connection.execute("UPDATE messages.heads SET oldest_seq = %s", (oldest_seq,))
        connection.execute("DELETE FROM messages.messages WHERE seq < %s", (oldest_seq,))
        connection.execute("DELETE FROM messages.events WHERE seq < %s", (oldest_seq,))


async def _until_swept(chat: Chat) -> list[room_event_pb2.RoomEvent]:
    position = await chat.position(2)
    while True:
        async with chat.reading(after=position) as reader:
            opened = (await reader.next()).opened
            events = [event for event in await reader.until("caught_up") if event.seq]
        if opened.oldest_seq == 3:
            return events
        await asyncio.sleep(0)


async def _log_after(chat: Chat, position: Any) -> object:
    request = pb2.ListRoomEventsRequest(room_id="lobby", after=position)
    return await chat.suite.messages.ListRoomEvents(request, metadata=user("bob"))
