"""Custom data of messages: kept, replaced and taken away with what the message says, and bounded."""

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import psycopg
import pytest
from chatkit.contract.v1 import error_reason_pb2
from chatkit.messages.v1 import message_pb2, part_pb2
from chatkit.messages.v1 import messages_service_pb2 as pb2
from google.protobuf import json_format, struct_pb2

from services.messages.batch_send import BatchSend
from services.messages.preparing import Preparation
from services.runtime.contract.errors import Unavailable
from services.runtime.contract.policies import Limits
from services.runtime.deadline import Deadline
from services.runtime.ids import UserId
from services.runtime.streaming.event_queue import FRAME_BYTES
from tests.messages.chat import Chat, text
from tests.support.databases import TestDatabase
from tests.support.refusals import refused
from tests.support.tokens import su, user

_MANY = {"a": [1.5, None, {"b": "\u2028"}], "c": {}}
# What becomes the largest message of all whose JSON is as long as it may be.
_LARGEST = {"a": [0] * ((5120 - len('{"a":[]}')) // 2)}
_GRPC_BYTES = 4 * 1024 * 1024


def _edit(content: str, kept: Mapping[str, Any] | None = None, request_id: str = "") -> pb2.EditMessageRequest:
    part = part_pb2.Part(content_type="text/plain", content=content)
    return pb2.EditMessageRequest(room_id="lobby", seq=1, parts=[part], request_id=request_id, custom_data=kept)


async def _edited(chat: Chat, request: pb2.EditMessageRequest) -> message_pb2.Message:
    answer: pb2.EditMessageResponse = await chat.suite.messages.EditMessage(request, metadata=user("alice"))
    return answer.message


def _kept(message: message_pb2.Message) -> Mapping[str, Any] | None:
    return json_format.MessageToDict(message.custom_data) if message.HasField("custom_data") else None


async def test_an_edit_replaces_it_whole_or_leaves_it_or_takes_it_away(chat: Chat) -> None:
    async with chat.reading(last=0) as reader:
        await reader.until("caught_up")
        sent = await chat.send(text("hello", "1", custom_data=_MANY))
        assert _kept(sent) == _MANY
        assert (await reader.next()).message_created == sent
        steps: list[tuple[pb2.EditMessageRequest, Any]] = [
            # A change of it alone is an edit like any other.
            (_edit("hello", {"d": 1}), {"d": 1}),
            (_edit("goodbye"), {"d": 1}),
            (_edit("goodbye", {}), None),
            (_edit("again"), None),
            (_edit("again", _MANY), _MANY),
        ]
        for revision, (request, kept) in enumerate(steps, start=2):
            edited = await _edited(chat, request)
            assert (edited.revision, _kept(edited)) == (revision, kept)
            assert edited.HasField("edit_time")
            event = await reader.next()
            assert (event.seq, event.message_edited) == (revision, edited)
            get = pb2.GetMessageRequest(room_id="lobby", seq=1)
            assert (await chat.suite.messages.GetMessage(get, metadata=user("bob"))).message == edited


async def test_what_is_so_already_takes_no_seq(chat: Chat) -> None:
    await chat.send(text("hello", "1", custom_data=_MANY))
    for same in (_edit("hello"), _edit("hello", dict(reversed(_MANY.items())))):
        assert (await _edited(chat, same)).revision == 1
    await _edited(chat, _edit("hello", {"d": 1}))
    for same in (_edit("hello"), _edit("hello", {"d": 1})):
        assert (await _edited(chat, same)).revision == 2
    await _edited(chat, _edit("hello", {}))
    for same in (_edit("hello"), _edit("hello", {})):
        assert (await _edited(chat, same)).revision == 3


async def test_a_send_is_the_same_only_with_the_same_custom_data(chat: Chat) -> None:
    sent = await chat.send(text("hello", "1", custom_data=_MANY))
    assert await chat.send(text("hello", "1", custom_data=dict(reversed(_MANY.items())))) == sent
    for other in ({"d": 1}, {}, None):
        await refused(chat.send(text("hello", "1", custom_data=other)), "REQUEST_ID_REUSED")
    # Nothing is the same as {}.
    bare = await chat.send(text("hello", "2", custom_data={}))
    assert (_kept(bare), await chat.send(text("hello", "2"))) == (None, bare)
    await refused(chat.send(text("hello", "2", custom_data=_MANY)), "REQUEST_ID_REUSED")


async def test_an_edit_is_the_same_only_with_the_same_custom_data(chat: Chat) -> None:
    await chat.send(text("hello", "1", custom_data=_MANY))
    for request_id, kept in (("a", {"d": 1}), ("b", None), ("c", {})):
        first = await _edited(chat, _edit(f"edit {request_id}", kept, request_id))
        assert await _edited(chat, _edit(f"edit {request_id}", kept, request_id)) == first
        for other in ({"d": 1}, {"d": 2}, None, {}):
            if other != kept:
                await refused(_edited(chat, _edit(f"edit {request_id}", other, request_id)), "REQUEST_ID_REUSED")


async def test_it_goes_with_the_message(chat: Chat, database: TestDatabase) -> None:
    await chat.send(text("hello", "1", custom_data={"rhubarb": 1}))
    await _edited(chat, _edit("hello", {"rhubarb": 2}))
    await chat.suite.messages.DeleteMessage(pb2.DeleteMessageRequest(room_id="lobby", seq=1), metadata=user("alice"))
    log = await chat.suite.messages.ListRoomEvents(pb2.ListRoomEventsRequest(room_id="lobby"), metadata=user("bob"))
    assert "rhubarb" not in str(log)
    with psycopg.connect(database.superuser_dsn) as connection:
        ((stored,),) = connection.execute("SELECT message FROM messages.messages").fetchall()
        assert b"rhubarb" not in stored


def _nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"a": value}
    return value


def _without_a_kind() -> struct_pb2.Struct:
    value = struct_pb2.Struct()
    value.fields["a"].SetInParent()
    return value


@pytest.mark.parametrize(
    ("kept", "reason"),
    [
        ({"a": "x" * 5120}, "LIMIT_EXCEEDED"),
        ({"a": float("nan")}, "FIELD_INVALID"),
        ({"a": "\0"}, "FIELD_INVALID"),
        (_nested(21), "FIELD_INVALID"),
        (_without_a_kind(), "FIELD_INVALID"),
    ],
    ids=["too long", "no number", "nul", "too deep", "no kind"],
)
async def test_what_can_not_be_kept_is_refused(chat: Chat, kept: Any, reason: str) -> None:
    refusal = await refused(chat.send(text("hello", "1", custom_data=kept)), reason)
    assert refusal.metadata["field"] == "custom_data"
    await chat.send(text("hello", "1"))
    await refused(_edited(chat, _edit("again", kept)), reason)
    requests = [text("hello", f"{n}", sender_id="bob", custom_data=of) for n, of in enumerate((_MANY, kept, None))]
    batch = await chat.suite.messages.BatchSendMessages(pb2.BatchSendMessagesRequest(requests=requests), metadata=su())
    assert [result.WhichOneof("result") for result in batch.results] == ["message", "failure", "message"]
    assert batch.results[1].failure.reason == getattr(error_reason_pb2, reason)


async def test_the_largest_is_one_frame_and_a_page_of_them_one_answer(chat: Chat) -> None:
    largest = text("x" * (5120 - len("text/plain")), "1", custom_data=_LARGEST)
    async with chat.reading(last=0) as reader:
        await reader.until("caught_up")
        sent = await chat.send(largest)
        assert (await reader.next()).message_created == sent
    assert sent.custom_data == largest.custom_data
    assert sent.ByteSize() < FRAME_BYTES
    assert sent.ByteSize() * 100 < _GRPC_BYTES


async def test_a_batch_full_of_it_is_checked_in_steps() -> None:
    class Access:
        def kept(self, _query: object) -> None:
            pass

        async def check_rooms(self, _query: object, _room_ids: object) -> None:
            raise Unavailable("SERVICE_UNAVAILABLE", "away")

    nobody: Any = SimpleNamespace(send_each=_send_none, settle=_settle_none)
    batches = BatchSend(nobody, Preparation(nobody, nobody, cast("Any", Access())), Limits({}))
    requests = [text("hello", f"{n}", sender_id="alice", custom_data=_LARGEST) for n in range(30)]
    turns = 0
    sending = asyncio.create_task(batches.send(requests, UserId("alice"), Deadline.after(60)))
    while not sending.done():
        turns += 1
        await asyncio.sleep(0)
    assert {getattr(one, "reason", None) for one in sending.result()} == {"SERVICE_UNAVAILABLE"}
    # Others have run at least once between any two of them.
    assert turns > len(requests)


async def _send_none(_drafts: object, _deadline: object) -> list[Any]:
    return []


async def _settle_none(_unattached: object) -> list[Any]:
    return []
