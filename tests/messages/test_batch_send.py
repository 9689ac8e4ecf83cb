"""BatchSendMessages: a result for each message, and a bad one spoils no other."""

import asyncio
from typing import Any

import pytest
from chatkit.contract.v1 import error_reason_pb2
from chatkit.messages.v1 import messages_service_pb2 as pb2
from chatkit.messages.v1 import send_result_pb2

from tests.messages.chat import Chat, text
from tests.support.refusals import refused
from tests.support.tokens import Metadata, su, user


async def _batch(
    chat: Chat, *requests: pb2.SendMessageRequest, who: Metadata | None = None
) -> list[send_result_pb2.SendResult]:
    request = pb2.BatchSendMessagesRequest(requests=requests)
    answer: Any = await chat.suite.messages.BatchSendMessages(request, metadata=who or su())
    return list(answer.results)


def _reason(result: send_result_pb2.SendResult) -> str:
    if result.HasField("message"):
        return "OK"
    return error_reason_pb2.ErrorReason.Name(result.failure.reason)


async def test_a_batch_is_appended_in_its_order_by_its_senders_members_or_not(chat: Chat) -> None:
    chat.peers.members["other"] = {"alice"}
    requests = [
        text(f"{n}", f"{n}", "other" if n % 3 == 0 else "lobby", sender_id=("alice", "bob", "carol")[n % 3])
        for n in range(60)
    ]
    results = await _batch(chat, *requests)
    assert {_reason(result) for result in results} == {"OK"}
    messages = [result.message for result in results]
    assert [(one.room_id, one.sender_id) for one in messages] == [(one.room_id, one.sender_id) for one in requests]
    assert [one.parts[0].content for one in messages] == [f"{n}" for n in range(60)]
    for room_id, count in (("other", 20), ("lobby", 40)):
        assert [one.seq for one in messages if one.room_id == room_id] == list(range(1, count + 1))
    assert [result.message for result in await _batch(chat, *requests)] == messages
    assert chat.suite.database.count("messages.messages") == 60


async def test_each_bad_message_has_its_error_and_spoils_no_other(chat: Chat) -> None:
    await chat.send(text("hello", "taken"))
    bad = {
        "FIELD_REQUIRED": pb2.SendMessageRequest(room_id="lobby", sender_id="alice", request_id="1"),
        "LIMIT_EXCEEDED": text("x" * 6_000, "2", sender_id="alice"),
        "FIELD_INVALID": text("a\0b", "3", sender_id="alice"),
        "SUBJECT_REQUIRED": text("x", "4"),
        "ROOM_NOT_FOUND": text("x", "5", "nowhere", sender_id="alice"),
        "USER_NOT_FOUND": text("x", "6", sender_id="nobody"),
        "REQUEST_ID_REUSED": text("other", "taken", sender_id="alice"),
    }
    requests = [one for n, request in enumerate(bad.values()) for one in (request, text("x", f"good {n}"))]
    for request in requests[1::2]:
        request.sender_id = "bob"
    results = await _batch(chat, *requests)
    assert [_reason(result) for result in results] == [one for reason in bad for one in (reason, "OK")]
    assert [result.message.seq for result in results[1::2]] == list(range(2, 9))
    failures = {reason: result.failure for reason, result in zip(bad, results[::2], strict=True)}
    assert failures["LIMIT_EXCEEDED"].code == 3
    assert failures["LIMIT_EXCEEDED"].metadata["limit"] == "MESSAGE_BYTES"
    assert failures["ROOM_NOT_FOUND"].metadata == {"room_id": "nowhere"}
    assert failures["USER_NOT_FOUND"].metadata == {"user_ids": '["nobody"]'}
    assert all(failure.message for failure in failures.values())
    assert chat.suite.database.count("messages.messages") == 8


async def test_a_message_without_a_sender_is_the_tokens_own(chat: Chat) -> None:
    (result,) = await _batch(chat, text("x", "1"), who=su("carol"))
    assert result.message.sender_id == "carol"


async def test_the_same_message_twice_in_a_batch_is_one(chat: Chat) -> None:
    same = text("x", "1", sender_id="alice")
    first, second, other = await _batch(chat, same, same, text("y", "1", sender_id="alice"))
    assert first == second
    assert _reason(other) == "REQUEST_ID_REUSED"


async def test_a_batch_is_for_superusers_and_bounded(chat: Chat) -> None:
    request = pb2.BatchSendMessagesRequest(requests=[text("x", "1")])
    await refused(chat.suite.messages.BatchSendMessages(request, metadata=user("alice")), "SUPERUSER_REQUIRED")
    await refused(_batch(chat), "FIELD_REQUIRED")
    await refused(_batch(chat, *(text("x", f"{n}", sender_id="alice") for n in range(101))), "LIMIT_EXCEEDED")
    assert chat.suite.database.count("messages.messages") == 0


@pytest.mark.parametrize("senders", [("alice",), ("alice", "bob", "carol")])
async def test_rooms_and_users_are_asked_one_question_each_for_many_rooms_and_senders(
    chat: Chat, senders: tuple[str, ...]
) -> None:
    rooms = [f"room {n}" for n in range(100)]
    chat.peers.members |= {room_id: {"alice", "bob"} for room_id in rooms}
    await chat.send(text("x", "before"))
    checks, batched = chat.peers.checks, len(chat.peers.batches)
    requests = [text("x", "1", room_id, sender_id=senders[n % len(senders)]) for n, room_id in enumerate(rooms)]
    results = await _batch(chat, *requests)
    assert {_reason(result) for result in results} == {"OK"}
    assert [result.message.sender_id for result in results] == [request.sender_id for request in requests]
    assert (chat.peers.checks - checks, len(chat.peers.batches) - batched) == (0, 1)
    # And what was answered is kept.
    assert [result.message for result in await _batch(chat, *requests)] == [result.message for result in results]
    assert (chat.peers.checks - checks, len(chat.peers.batches) - batched) == (0, 1)


async def test_peers_that_are_away_are_an_error_of_each_message_that_needed_them(chat: Chat) -> None:
    await _batch(chat, text("x", "1", sender_id="alice"))
    chat.peers.unavailable = True
    known, unknown = await _batch(
        chat, text("x", "2", sender_id="alice"), text("x", "3", "other room", sender_id="alice")
    )
    assert (_reason(known), _reason(unknown)) == ("OK", "DATABASE_UNAVAILABLE")
    assert unknown.failure.code == 14


async def test_batches_at_once_from_everywhere_are_dense_and_in_their_order(chat: Chat) -> None:
    batches = [[text(f"{b} {n}", f"{b} {n}", sender_id="alice") for n in range(100)] for b in range(8)]
    others = asyncio.create_task(chat.send_many(50))
    told = await asyncio.gather(*(_batch(chat, *requests) for requests in batches))
    await others
    seqs = [[result.message.seq for result in results] for results in told]
    assert all(one == sorted(one) for one in seqs)
    assert chat.suite.database.count("messages.messages") == 850
