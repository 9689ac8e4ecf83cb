"""Sends: one place in one order, once, whatever is repeated."""

import asyncio

import grpc
import psycopg
from chatkit.messages.v1 import message_pb2, part_pb2
from chatkit.messages.v1 import messages_service_pb2 as pb2

from tests.messages.chat import Chat, text
from tests.support.refusals import refused
from tests.support.tokens import su, user


async def test_a_message_is_answered_as_it_is_stored(chat: Chat) -> None:
    sent = await chat.send(text("hello", "1"))
    assert (sent.room_id, sent.seq, sent.sender_id, sent.revision) == ("lobby", 1, "alice", 1)
    assert sent.parts[0].content == "hello"
    read = await chat.suite.messages.GetMessage(pb2.GetMessageRequest(room_id="lobby", seq=1), metadata=user("bob"))
    assert read.message == sent
    missing = chat.suite.messages.GetMessage(pb2.GetMessageRequest(room_id="lobby", seq=2), metadata=user("bob"))
    await refused(missing, "MESSAGE_NOT_FOUND")


async def test_sends_at_once_get_dense_places_and_times_that_never_go_back(chat: Chat) -> None:
    await chat.send_many(200)
    request = pb2.ListMessagesRequest(room_id="lobby", direction=pb2.DIRECTION_NEWER, page_size=100)
    messages: list[message_pb2.Message] = []
    while True:
        page = await chat.suite.messages.ListMessages(request, metadata=user("bob"))
        messages.extend(page.messages)
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert [message.seq for message in messages] == list(range(1, 201))
    times = [message.create_time.ToNanoseconds() for message in messages]
    assert times == sorted(times)


async def test_a_repeated_request_is_one_message_also_after_a_restart(chat: Chat) -> None:
    first = await chat.send(text("hello", "1"))
    assert await chat.send(text("hello", "1")) == first
    await refused(chat.send(text("other", "1")), "REQUEST_ID_REUSED")
    await chat.suite.restart("messages")
    assert await chat.send(text("hello", "1")) == first
    await refused(chat.send(text("other", "1")), "REQUEST_ID_REUSED")
    assert chat.suite.database.count("messages.messages") == 1


async def test_repetitions_at_once_are_one_message(chat: Chat) -> None:
    sent = await asyncio.gather(*(chat.send(text("hello", "1")) for _ in range(20)))
    assert {message.seq for message in sent} == {1}
    assert chat.suite.database.count("messages.messages") == 1


async def test_of_different_contents_at_once_one_is_taken(chat: Chat) -> None:
    async def attempt(content: str) -> str:
        try:
            return (await chat.send(text(content, "1"))).parts[0].content
        except grpc.aio.AioRpcError as error:
            return error.code().name

    answers = await asyncio.gather(*(attempt(f"content {n}") for n in range(20)))
    assert answers.count("ALREADY_EXISTS") == 19
    assert chat.suite.database.count("messages.messages") == 1


async def test_a_request_id_is_of_its_sender_and_room(chat: Chat) -> None:
    chat.peers.members["other"] = {"alice"}
    await chat.send(text("hello", "1"))
    await chat.send(text("hello", "1"), "bob")
    await chat.send(text("hello", "1", "other"))
    assert chat.suite.database.count("messages.messages") == 3


async def test_a_superuser_sends_for_a_user_and_nobody_else_does(chat: Chat) -> None:
    request = text("hello", "1", sender_id="carol")
    assert (await chat.suite.messages.SendMessage(request, metadata=su())).message.sender_id == "carol"
    await refused(chat.suite.messages.SendMessage(request, metadata=user("alice")), "SUBJECT_MISMATCH")
    unknown = text("hello", "1", sender_id="nobody")
    await refused(chat.suite.messages.SendMessage(unknown, metadata=su()), "USER_NOT_FOUND")
    nameless = chat.suite.messages.SendMessage(text("hello", "1"), metadata=su())
    await refused(nameless, "SUBJECT_REQUIRED")


async def test_an_outsider_can_neither_send_nor_read(chat: Chat) -> None:
    stub, metadata = chat.suite.messages, user("carol")
    for room_id in ("lobby", "nope"):
        await refused(stub.SendMessage(text("x", "1", room_id), metadata=metadata), "ROOM_ACCESS_DENIED")
        listed = pb2.ListMessagesRequest(room_id=room_id)
        await refused(stub.ListMessages(listed, metadata=metadata), "ROOM_ACCESS_DENIED")
        got = pb2.GetMessageRequest(room_id=room_id, seq=1)
        await refused(stub.GetMessage(got, metadata=metadata), "ROOM_ACCESS_DENIED")
        subscribed = stub.SubscribeRoom(pb2.SubscribeRoomRequest(room_id=room_id), metadata=metadata)
        await refused(subscribed.read(), "ROOM_ACCESS_DENIED")
    assert chat.suite.database.count("messages.messages") == 0


async def test_a_message_is_as_large_as_its_parts_together(chat: Chat) -> None:
    kind = "text/plain"
    fits = part_pb2.Part(content_type=kind, content="é" * ((5120 - len(kind)) // 2))
    request = pb2.SendMessageRequest(room_id="lobby", parts=[fits], request_id="1")
    await chat.send(request)
    url = part_pb2.Part(content_type="x/y", url="https://example.com")
    over = pb2.SendMessageRequest(room_id="lobby", parts=[fits, url], request_id="2")
    refusal = await refused(chat.send(over), "LIMIT_EXCEEDED")
    assert (refusal.metadata["limit"], refusal.metadata["actual"]) == ("MESSAGE_BYTES", str(5120 + 3 + 19))
    assert chat.suite.database.count("messages.messages") == 1


async def test_empty_content_is_valid_and_no_part_is_not(chat: Chat) -> None:
    assert (await chat.send(text("", "1"))).parts[0].WhichOneof("value") == "content"
    await refused(chat.send(pb2.SendMessageRequest(room_id="lobby", request_id="2")), "FIELD_REQUIRED")


async def test_a_client_that_gives_up_does_not_take_its_message_back(chat: Chat) -> None:
    calls = [chat.suite.messages.SendMessage(text("x", f"{n}"), metadata=user("alice")) for n in range(30)]
    await calls[0]
    for call in calls[1:]:
        call.cancel()
    async with chat.reading(last=100) as reader:
        await reader.until("caught_up")
        last = (await chat.send(text("last", "last"))).seq
        await reader.until_seq(last)
    assert chat.suite.database.count("messages.messages") == last


async def test_an_append_reads_no_table_whole_though_it_was_planned_when_they_were_empty(chat: Chat) -> None:
    for burst in range(20):
        await chat.send_many(10, prefix=f"{burst} ")
    # Connections tell what they have counted when they are closed.
    await chat.suite.stop("messages")
    with psycopg.connect(chat.suite.database.superuser_dsn) as connection:
        query = "SELECT seq_tup_read FROM pg_stat_user_tables WHERE schemaname = 'messages' AND relname = 'messages'"
        assert connection.execute(query).fetchone() == (0,)
