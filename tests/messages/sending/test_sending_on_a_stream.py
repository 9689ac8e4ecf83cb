"""SendMessages: a result for each message, in the order of its room, and one that is refused spoils no other."""

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from chatkit.messages.v1 import messages_service_pb2 as pb2

from tests.messages.chat import Chat, text
from tests.support import tokens
from tests.support.eventually import eventually
from tests.support.refusals import refused
from tests.support.sending import Sender, sending, word
from tests.support.tokens import Metadata, su, user

CREATE = "message:create"
WRITER = (2, "writer")


def _open(chat: Chat, metadata: Metadata | None = None) -> AbstractAsyncContextManager[Sender]:
    return sending(chat.suite.messages, metadata or user("alice"))


async def test_messages_are_stored_in_their_order_and_answered_by_number(chat: Chat) -> None:
    chat.peers.members["other"] = {"alice"}
    async with _open(chat) as sender:
        await sender.opened()
        for n in range(1, 31, 2):
            await sender.send(text(f"{n}", f"{n}", "lobby"), text(f"{n + 1}", f"{n + 1}", "other"))
        assert await sender.told(30) == ["OK"] * 30
        await sender.finish()
        for room_id, numbers in (("lobby", range(1, 31, 2)), ("other", range(2, 31, 2))):
            assert [number for number in sender.results if number in numbers] == list(numbers)
            messages = await sender.messages(numbers)
            assert [message.room_id for message in messages] == [room_id] * 15
            assert [message.seq for message in messages] == list(range(1, 16))
            assert [message.parts[0].content for message in messages] == [f"{n}" for n in numbers]
            assert {message.sender_id for message in messages} == {"alice"}


async def test_a_room_that_is_asked_about_holds_up_no_other_and_keeps_its_order(chat: Chat) -> None:
    chat.peers.members["slow"] = {"alice"}
    async with _open(chat) as sender:
        await sender.send(text("x", "1"))
        assert await sender.told(1) == ["OK"]
        asked, chat.peers.hold = len(chat.peers.batches), asyncio.Event()
        await sender.send(*(text(f"{n}", f"{n}", "slow") for n in range(3)), text("x", "2"))
        assert word(await sender.result(5)) == "OK"
        await eventually(lambda: len(chat.peers.batches) == asked + 1)
        # What comes meanwhile waits behind what is there, and so does what is refused by itself.
        await sender.send(text("3", "3", "slow"), text("a\0b", "4", "slow"), text("x", "3"))
        assert word(await sender.result(8)) == "OK"
        assert set(sender.results) == {1, 5, 8}
        chat.peers.hold.set()
        assert await sender.told(8) == [*["OK"] * 6, "FIELD_INVALID", "OK"]
        assert [number for number in sender.results if number in {2, 3, 4, 6, 7}] == [2, 3, 4, 6, 7]
        assert [message.seq for message in await sender.messages([2, 3, 4, 6])] == [1, 2, 3, 4]
        # One question for all that waited, and none for what came while it was put.
        assert len(chat.peers.batches) == asked + 1


async def test_each_refused_message_has_its_error_and_the_stream_goes_on(chat: Chat) -> None:
    chat.peers.members["quiet"] = {"alice"}
    chat.peers.denied_in["alice", "quiet"] = {CREATE}
    await chat.send(text("hello", "taken"))
    bad = {
        "ROOM_ACCESS_DENIED": text("x", "1", "nowhere"),
        "PERMISSION_MISSING": text("x", "2", "quiet"),
        "SUBJECT_MISMATCH": text("x", "3", sender_id="bob"),
        "LIMIT_EXCEEDED": text("x" * 6_000, "4"),
        "FIELD_INVALID": text("x", "a\0b"),
        "FIELD_REQUIRED": text("x", "6", ""),
        "REQUEST_ID_REUSED": text("other", "taken"),
    }
    async with _open(chat) as sender:
        for number, request in enumerate(bad.values()):
            await sender.send(request, text("x", f"good {number}"))
        assert await sender.told(14) == [one for reason in bad for one in (reason, "OK")]
        await sender.finish()
        failures = {reason: sender.results[1 + 2 * number].failure for number, reason in enumerate(bad)}
    assert [message.seq for message in await sender.messages(range(2, 15, 2))] == list(range(2, 9))
    assert failures["ROOM_ACCESS_DENIED"].metadata == {"room_id": "nowhere"}
    assert failures["ROOM_ACCESS_DENIED"].code == 7
    assert failures["SUBJECT_MISMATCH"].metadata == {"field": "sender_id"}
    assert failures["LIMIT_EXCEEDED"].metadata["limit"] == "MESSAGE_BYTES"
    assert all(failure.message for failure in failures.values())
    assert chat.suite.database.count("messages.messages") == 8


async def test_a_message_that_is_sent_again_is_answered_as_it_is_whatever_way_it_was_sent(chat: Chat) -> None:
    unary = await chat.send(text("hello", "unary"))
    async with _open(chat) as sender:
        await sender.send(text("hello", "unary"), text("x", "1"), text("x", "1"))
        assert await sender.told(3) == ["OK"] * 3
        first, second, third = await sender.messages(range(1, 4))
        assert (first, second) == (unary, third)
    async with _open(chat) as again:
        await again.send(text("x", "1"))
        assert await again.messages([1]) == [second]
    assert await chat.send(text("x", "1")) == second
    assert chat.suite.database.count("messages.messages") == 2


async def test_a_removed_member_is_refused_at_once_and_may_send_elsewhere(chat: Chat) -> None:
    chat.peers.members["attic"] = {"alice"}
    async with _open(chat) as sender:
        await sender.send(text("x", "1"), text("x", "1", "attic"))
        assert await sender.told(2) == ["OK", "OK"]
        chat.peers.remove("lobby", "alice")
        await chat.heard()
        await sender.send(text("x", "2"), text("x", "2", "attic"))
        assert (await sender.told(4))[2:] == ["ROOM_ACCESS_DENIED", "OK"]
        chat.peers.add("lobby", "alice")
        await sender.send(text("x", "3"))
        assert (await sender.told(5))[4:] == ["OK"]


async def test_whoever_loses_the_permission_is_refused_at_once(chat: Chat) -> None:
    async with _open(chat) as sender:
        await sender.send(text("x", "1"))
        assert await sender.told(1) == ["OK"]
        chat.peers.assign("alice", WRITER, denied=[CREATE])
        await chat.heard()
        await sender.send(text("x", "2"))
        failure = (await sender.result(2)).failure
        assert word(await sender.result(2)) == "PERMISSION_MISSING"
        assert failure.metadata == {"permission": CREATE}


async def test_rooms_is_asked_once_for_a_room_and_a_sender_however_they_send(chat: Chat) -> None:
    async with _open(chat) as sender:
        for number in range(3):
            await sender.send(text("x", f"{number}"))
            await sender.result(number + 1)
    await chat.send(text("x", "unary"))
    assert (chat.peers.checks, chat.peers.batches) == (0, [1])


async def test_peers_that_are_away_are_an_error_of_each_message_that_needs_them(chat: Chat) -> None:
    async with _open(chat) as sender:
        await sender.send(text("x", "1"))
        await sender.result(1)
        chat.peers.unavailable = True
        await sender.send(text("x", "2"), text("x", "2", "other"))
        assert (await sender.told(3))[1:] == ["OK", "DATABASE_UNAVAILABLE"]
        assert (await sender.result(3)).failure.code == 14


async def test_superusers_send_on_behalf_of_anybody_to_any_room(chat: Chat) -> None:
    chat.peers.members["other"] = {"bob"}
    requests = [
        text("x", f"{n}", "other" if n % 2 else "lobby", sender_id=("alice", "bob", "carol")[n % 3]) for n in range(60)
    ]
    async with _open(chat, su()) as sender:
        await sender.send(*requests)
        assert await sender.told(60) == ["OK"] * 60
        messages = await sender.messages(range(1, 61))
        assert [(one.room_id, one.sender_id) for one in messages] == [(one.room_id, one.sender_id) for one in requests]
        for room_id in ("lobby", "other"):
            assert [one.seq for one in messages if one.room_id == room_id] == list(range(1, 31))
        # What rooms has said of each member is kept, though they were asked about together.
        asked, chat.peers.unavailable = len(chat.peers.batches), True
        await sender.send(text("x", "kept", sender_id="alice"), text("x", "kept", sender_id="bob"))
        assert (await sender.told(62))[60:] == ["OK", "OK"]
        assert len(chat.peers.batches) == asked
        chat.peers.unavailable = False
        await sender.send(
            text("x", "1"), text("x", "2", "nowhere", sender_id="alice"), text("x", "3", sender_id="nobody")
        )
        assert (await sender.told(65))[62:] == ["SUBJECT_REQUIRED", "ROOM_NOT_FOUND", "USER_NOT_FOUND"]
    async with _open(chat, su("carol")) as sender:
        await sender.send(text("x", "own"))
        assert [message.sender_id for message in await sender.messages([1])] == ["carol"]


async def test_who_is_nobody_can_not_open_a_stream(chat: Chat) -> None:
    for metadata, reason in (((), "TOKEN_MISSING"), (tokens.service("rooms", "messages"), "TOKEN_INVALID")):
        await refused(chat.suite.messages.SendMessages(metadata=metadata).read(), reason)


def _frame(*requests: pb2.SendMessageRequest) -> bytes:
    return pb2.SendMessagesRequest(requests=requests).SerializeToString()


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"\x0a\x05x", "REQUEST_MALFORMED"),
        (pb2.SendMessagesRequest(requests=[text("x" * 70_000, "1")]).SerializeToString(), "REQUEST_TOO_LARGE"),
        (
            pb2.SendMessagesRequest(requests=[text("x", f"{n}") for n in range(101)]).SerializeToString(),
            "LIMIT_EXCEEDED",
        ),
    ],
    ids=["malformed", "too large", "too many"],
)
async def test_a_frame_that_is_none_ends_the_stream_when_what_came_before_is_answered(
    chat: Chat, frame: bytes, reason: str
) -> None:
    path = "/chatkit.messages.v1.MessagesService/SendMessages"
    method: Any = chat.suite.channel("messages").stream_stream(
        path, response_deserializer=pb2.SendMessagesResponse.FromString
    )
    sender = Sender(method(metadata=user("alice")))
    chat.peers.hold = asyncio.Event()
    await sender.call.write(_frame(text("x", "before")))
    await eventually(lambda: chat.peers.batches)
    await sender.call.write(frame)
    chat.peers.hold.set()
    assert await sender.ending() == (reason, reason)
    assert await sender.told(1) == ["OK"]
    assert chat.suite.database.count("messages.messages") == 1


async def test_what_this_release_does_not_know_is_not_stored(chat: Chat) -> None:
    request = text("x", "1")
    request.MergeFromString(b"\xfa\x01\x03odd")
    request.parts[0].MergeFromString(b"\xfa\x01\x03odd")
    async with _open(chat) as sender:
        await sender.send(request)
        (message,) = await sender.messages([1])
    assert message == await chat.send(text("x", "1"))
    assert b"odd" not in message.SerializeToString()


async def test_whoever_closes_their_side_is_answered_all_of_it(chat: Chat) -> None:
    chat.peers.hold = asyncio.Event()
    async with _open(chat) as sender:
        await sender.send(*(text("x", f"{n}") for n in range(10)))
        await sender.send()
        await sender.call.done_writing()
        await eventually(lambda: chat.peers.batches)
        chat.peers.hold.set()
        await sender.finish()
        assert [word(result) for result in sender.results.values()] == ["OK"] * 10
        assert sender.closed is None
    async with _open(chat) as silent:
        await silent.finish()
        assert (silent.results, silent.heartbeats, silent.closed) == ({}, 1, None)
