"""Streams: how they open, what they replay, and that nothing is missed or doubled between the two."""

import asyncio
from contextlib import AsyncExitStack

import grpc
import pytest
from chatkit.contract.v1 import error_reason_pb2
from chatkit.messages.v1 import messages_service_pb2 as pb2
from chatkit.messages.v1 import position_pb2, room_event_pb2
from chatkit.messages.v1.messages_service_pb2_grpc import MessagesServiceStub

from tests.messages.chat import Chat, Reader, in_room, text
from tests.support.refusals import refused
from tests.support.tokens import user


async def _opened(reader: Reader) -> tuple[room_event_pb2.Opened, list[int]]:
    first = await reader.next()
    assert first.WhichOneof("event") == "opened"
    replay = await reader.until("caught_up")
    return first.opened, [event.seq for event in replay if event.HasField("message_created")]


@pytest.mark.parametrize(("last", "expected"), [(None, 20), (0, 0), (5, 5), (100, 100)])
async def test_a_new_stream_starts_with_the_last_messages(chat: Chat, last: int | None, expected: int) -> None:
    await chat.send_many(110)
    async with chat.reading(last=last) as reader:
        opened, seqs = await _opened(reader)
    assert (opened.outcome, opened.reason) == (room_event_pb2.OUTCOME_SNAPSHOT, room_event_pb2.SNAPSHOT_REASON_NEW)
    assert (opened.position.seq, opened.oldest_seq) == (110, 1)
    assert seqs == list(range(111 - expected, 111))
    assert opened.first_seq == (seqs[0] if seqs else 0)


async def test_more_than_may_be_replayed_is_refused(chat: Chat) -> None:
    async with chat.reading(last=101) as reader:
        await refused(reader.next(), "LIMIT_EXCEEDED")


async def test_a_hundred_missed_events_are_replayed_and_a_hundred_and_one_are_not(chat: Chat) -> None:
    await chat.send_many(105)
    async with chat.reading(after=await chat.position(5)) as reader:
        opened, seqs = await _opened(reader)
    assert opened.outcome == room_event_pb2.OUTCOME_RESUMED
    assert seqs == list(range(6, 106))
    async with chat.reading(after=await chat.position(4)) as reader:
        opened, seqs = await _opened(reader)
    assert opened.outcome == room_event_pb2.OUTCOME_SNAPSHOT
    assert opened.reason == room_event_pb2.SNAPSHOT_REASON_TOO_FAR
    assert seqs == list(range(6, 106))


@pytest.mark.parametrize(("most", "expected"), [(None, 100), (0, 0), (5, 5), (100, 100)])
@pytest.mark.parametrize("is_followed", [False, True])
async def test_who_can_not_resume_gets_as_many_of_the_last_messages_as_they_want(
    chat: Chat, most: int | None, expected: int, *, is_followed: bool
) -> None:
    await chat.send_many(120)
    # So that not every one of the last events is of another message.
    for seq in (118, 119, 120):
        deletion = pb2.DeleteMessageRequest(room_id="lobby", seq=seq)
        await chat.suite.messages.DeleteMessage(deletion, metadata=user("alice"))
    behind = await chat.position(1)
    elsewhere = position_pb2.Position(epoch="other", seq=1)
    async with AsyncExitStack() as stack:
        if is_followed:
            follower = await stack.enter_async_context(chat.reading(last=0))
            await follower.until("caught_up")
        for position, reason in (
            (behind, room_event_pb2.SNAPSHOT_REASON_TOO_FAR),
            (elsewhere, room_event_pb2.SNAPSHOT_REASON_EPOCH),
        ):
            async with chat.reading(after=position, most=most) as reader:
                opened, seqs = await _opened(reader)
            assert (opened.reason, seqs) == (reason, list(range(118 - expected, 118)))
            assert opened.first_seq == (seqs[0] if seqs else 0)


async def test_how_many_there_are_when_it_can_not_resume_is_bounded_and_said_with_a_position_only(chat: Chat) -> None:
    here = await chat.position(0)
    for most, reason in ((101, "LIMIT_EXCEEDED"), (-1, "FIELD_INVALID")):
        async with chat.reading(after=here, most=most) as reader:
            assert (await refused(reader.next(), reason)).metadata["field"] == "max_snapshot_messages"
    for last in (None, 5):
        async with chat.reading(last=last, most=5) as reader:
            assert (await refused(reader.next(), "FIELD_INVALID")).metadata["field"] == "max_snapshot_messages"
        async with chat.following("one", in_room("lobby", last=last, most=5)) as reader:
            refusal = await refused(reader.next(), "FIELD_INVALID")
            assert refusal.metadata["field"] == "rooms[1].max_snapshot_messages"


async def test_a_position_of_another_log_or_of_the_future_is_never_guessed_at(chat: Chat) -> None:
    await chat.send_many(3)
    here = await chat.position(3)
    for position in (position_pb2.Position(epoch="other", seq=1), position_pb2.Position(epoch=here.epoch, seq=4)):
        async with chat.reading(after=position) as reader:
            opened, seqs = await _opened(reader)
        assert opened.reason == room_event_pb2.SNAPSHOT_REASON_EPOCH
        assert seqs == [1, 2, 3]


async def test_a_resumed_stream_has_exactly_what_was_missed_also_after_a_restart(chat: Chat) -> None:
    await chat.send_many(3, "before")
    position = await chat.position(2)
    await chat.suite.restart("messages")
    await chat.send_many(3, "after")
    async with chat.reading(after=position) as reader:
        opened, seqs = await _opened(reader)
        assert opened.outcome == room_event_pb2.OUTCOME_RESUMED
        assert seqs == [3, 4, 5, 6]
        await chat.send(text("live", "live"))
        assert await reader.until_seq(7) == [7]


async def test_streams_that_open_while_others_send_miss_and_double_nothing(chat: Chat) -> None:
    position = await chat.position(0)
    senders = [asyncio.create_task(chat.send_many(20, f"s{n}-")) for n in range(3)]

    async def read() -> list[int]:
        async with chat.reading(after=position) as reader:
            return await reader.until_seq(60)

    seen = await asyncio.gather(*(read() for _ in range(25)))
    await asyncio.gather(*senders)
    assert all(seqs == list(range(1, 61)) for seqs in seen)


async def test_what_another_process_appends_arrives_once_and_in_order(chat: Chat) -> None:
    first = chat.suite.servers["messages"]
    async with chat.reading(last=0) as reader:
        await reader.until("caught_up")
        # A second process on the same database; nothing but the database connects the two.
        addresses = {"rooms_address": chat.peers.address, "users_address": chat.peers.address}
        await chat.suite.start("messages", **addresses)
        await chat.send_many(30)
        assert await reader.until_seq(30) == list(range(1, 31))
    assert chat.suite.servers["messages"].address != first.address


async def test_a_reader_who_stops_is_cut_off_told_so_and_resumes_while_others_go_on(chat: Chat) -> None:
    content = "x" * 5_000
    # A connection of its own, because a stream that is not read holds up what else is there; and one that does not
    # grow its window until everything fits.
    alone = grpc.aio.insecure_channel(
        chat.suite.servers["messages"].address,
        options=(("grpc.use_local_subchannel_pool", 1), ("grpc.http2.bdp_probe", 0)),
    )
    call = MessagesServiceStub(alone).SubscribeRoom(
        pb2.SubscribeRoomRequest(room_id="lobby", last=0), metadata=user("bob")
    )
    stopped = Reader(call)
    async with alone, chat.reading(last=0, who="alice") as other:
        position = (await stopped.next()).opened.position
        await stopped.until("caught_up")
        await other.until("caught_up")
        sent = 0
        path = "/chatkit.messages.v1.MessagesService/SubscribeRoom"
        waiting = asyncio.create_task(other.until_seq(600))
        while sent < 600:
            await asyncio.gather(*(chat.send(text(content, f"{sent + n}")) for n in range(50)))
            sent += 50
        assert await waiting == list(range(1, 601))
        seen = await stopped.until("closed")
        assert error_reason_pb2.ErrorReason.Name(seen[-1].closed.reason) == "SLOW_CONSUMER"
        await refused(stopped.next(), "SLOW_CONSUMER")
        assert chat.suite.servers["messages"].handlers.answers[path, "RESOURCE_EXHAUSTED"] == 1
        # What it was given is whole; the rest is for a resume from its own position.
        seqs = [event.seq for event in seen if event.HasField("message_created")]
        assert seqs == list(range(1, len(seqs) + 1))
        assert len(seqs) < 600
    own = position_pb2.Position(epoch=position.epoch, seq=max(len(seqs), 550))
    async with chat.reading(after=own) as resumed:
        opened, rest = await _opened(resumed)
        assert opened.outcome == room_event_pb2.OUTCOME_RESUMED
        assert rest == list(range(own.seq + 1, 601))
