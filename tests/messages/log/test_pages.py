"""History by page: messages both ways from any seq, and the log itself."""

import pytest
from chatkit.messages.v1 import message_pb2, part_pb2, position_pb2, room_event_pb2
from chatkit.messages.v1 import messages_service_pb2 as pb2

from tests.messages.chat import Chat, text
from tests.support.refusals import refused
from tests.support.tokens import lasting, user

_BOB = lasting("bob")


async def _messages(chat: Chat, **fields: object) -> list[message_pb2.Message]:
    """Read messages page by page to the end."""
    request = pb2.ListMessagesRequest(room_id="lobby", **fields)  # type: ignore[arg-type]
    found: list[message_pb2.Message] = []
    while True:
        page = await chat.suite.messages.ListMessages(request, metadata=_BOB)
        assert len(page.messages) <= (request.page_size or 20)
        found.extend(page.messages)
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


async def _events(chat: Chat, after: position_pb2.Position | None, size: int) -> list[room_event_pb2.RoomEvent]:
    """Read the log page by page to the end."""
    request = pb2.ListRoomEventsRequest(room_id="lobby", after=after, page_size=size)
    found: list[room_event_pb2.RoomEvent] = []
    while True:
        page = await chat.suite.messages.ListRoomEvents(request, metadata=_BOB)
        assert len(page.events) <= size
        found.extend(page.events)
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


async def _change_much(chat: Chat) -> None:
    """Leave the messages 1 to 12 but for the deleted ones 3, 6, 9 and 12, and 4 edited."""
    await chat.send_many(12)
    part = part_pb2.Part(content_type="text/plain", content="other")
    edit = pb2.EditMessageRequest(room_id="lobby", seq=4, parts=[part])
    await chat.suite.messages.EditMessage(edit, metadata=user("alice"))
    for seq in (3, 6, 9, 12):
        deletion = pb2.DeleteMessageRequest(room_id="lobby", seq=seq)
        await chat.suite.messages.DeleteMessage(deletion, metadata=user("alice"))


async def test_messages_are_listed_both_ways_from_any_seq(chat: Chat) -> None:
    await _change_much(chat)
    there = [1, 2, 4, 5, 7, 8, 10, 11]
    for size in (1, 3, 100):
        for start in range(20):
            newer = await _messages(chat, direction=pb2.DIRECTION_NEWER, from_seq=start, page_size=size)
            assert [message.seq for message in newer] == [seq for seq in there if seq > start]
            older = await _messages(chat, from_seq=start, page_size=size)
            assert [message.seq for message in older] == [seq for seq in there[::-1] if seq < (start or 100)]


async def _some(chat: Chat, *seqs: int, room_id: str = "lobby", who: str = "bob") -> list[message_pb2.Message]:
    request = pb2.BatchGetMessagesRequest(room_id=room_id, seqs=seqs)
    answer: pb2.BatchGetMessagesResponse = await chat.suite.messages.BatchGetMessages(request, metadata=user(who))
    return list(answer.messages)


async def test_messages_are_read_by_their_seqs_as_they_are_now(chat: Chat) -> None:
    await _change_much(chat)
    there = {message.seq: message for message in await _messages(chat)}
    assert there[4].parts[0].content == "other"
    # In the order asked for and each once, without deleted ones, unknown ones and other events.
    assert await _some(chat, 11, 4, 3, 1, 4, 13, 0, 99, 2**63 - 1) == [there[11], there[4], there[1]]
    assert await _some(chat, 3) == []


async def test_messages_are_read_by_seqs_of_a_room_that_one_may_read_and_not_too_many_at_once(chat: Chat) -> None:
    await chat.send_many(3)
    assert len(await _some(chat, *range(1, 101))) == 3
    too_many = await refused(_some(chat, *range(1, 102)), "LIMIT_EXCEEDED")
    assert (too_many.metadata["limit"], too_many.metadata["field"]) == ("PAGE_SIZE", "seqs")
    assert (await refused(_some(chat), "FIELD_REQUIRED")).metadata["field"] == "seqs"
    assert (await refused(_some(chat, 1, -1), "FIELD_INVALID")).metadata["field"] == "seqs[1]"
    for room_id in ("lobby", "nope"):
        await refused(_some(chat, 1, room_id=room_id, who="carol"), "ROOM_ACCESS_DENIED")
    chat.peers.members["other"] = {"bob"}
    assert await _some(chat, 1, room_id="other") == []


async def _around(chat: Chat, **fields: object) -> pb2.ListMessagesResponse:
    request = pb2.ListMessagesRequest(room_id="lobby", **fields)  # type: ignore[arg-type]
    page: pb2.ListMessagesResponse = await chat.suite.messages.ListMessages(request, metadata=_BOB)
    return page


@pytest.mark.parametrize("direction", [pb2.DIRECTION_OLDER, pb2.DIRECTION_NEWER])
async def test_messages_are_listed_around_any_seq_and_on_from_there_both_ways(chat: Chat, direction: int) -> None:
    await _change_much(chat)
    there = [1, 2, 4, 5, 7, 8, 10, 11]
    for size in (1, 2, 5, 8, 100):
        for seq in (*range(1, 14), 2**63 - 1):
            older, newer = [one for one in there if one < seq], [one for one in there if one >= seq]
            before = min(len(older), max(size // 2, size - len(newer)))
            expected = [*older[len(older) - before :], *newer[: size - before]]
            listing = {"around_seq": seq, "page_size": size, "direction": direction}
            page = await _around(chat, **listing)
            found = [message.seq for message in page.messages]
            assert found == (expected if direction == pb2.DIRECTION_NEWER else expected[::-1])
            token = page.previous_page_token
            while token:
                back = await _around(chat, **listing, page_token=token)
                # And from there to where it has come from.
                again = await _around(chat, **listing, page_token=back.next_page_token)
                assert again.messages[0].seq == found[0]
                found, token = [message.seq for message in back.messages] + found, back.previous_page_token
            token = page.next_page_token
            while token:
                on = await _around(chat, **listing, page_token=token)
                found, token = found + [message.seq for message in on.messages], on.next_page_token
            assert found == (there if direction == pb2.DIRECTION_NEWER else there[::-1])


async def test_a_listing_around_a_seq_shows_the_messages_as_they_are_now(chat: Chat) -> None:
    empty = await _around(chat, around_seq=1)
    assert (list(empty.messages), empty.next_page_token, empty.previous_page_token) == ([], "", "")
    await _change_much(chat)
    page = await _around(chat, around_seq=4)
    assert list(page.messages) == await _messages(chat)
    assert not (await _around(chat)).previous_page_token


async def test_what_a_listing_around_a_seq_can_not_be_asked_is_refused(chat: Chat) -> None:
    await chat.send_many(5)
    assert (await refused(_around(chat, around_seq=1, from_seq=1), "FIELD_INVALID")).metadata["field"] == "around_seq"
    assert (await refused(_around(chat, around_seq=-1), "FIELD_INVALID")).metadata["field"] == "around_seq"
    page = await _around(chat, around_seq=3, page_size=1)
    for token in (page.next_page_token, page.previous_page_token):
        for other in ({"around_seq": 4}, {}, {"from_seq": 3}):
            await refused(_around(chat, **other, page_size=1, page_token=token), "PAGE_TOKEN_INVALID")


async def test_the_log_is_listed_after_any_position(chat: Chat) -> None:
    await _change_much(chat)
    whole = await _events(chat, None, 100)
    assert [event.seq for event in whole] == list(range(1, 18))
    for size in (1, 4, 100):
        for start in range(18):
            assert await _events(chat, await chat.position(start), size) == whole[start:]


async def test_a_page_of_the_log_says_where_it_ends(chat: Chat) -> None:
    request = pb2.ListRoomEventsRequest(room_id="lobby")
    empty = await chat.suite.messages.ListRoomEvents(request, metadata=_BOB)
    assert (list(empty.events), empty.position.seq, empty.oldest_seq) == ([], 0, 1)
    await chat.send_many(3)
    request.page_size = 2
    page = await chat.suite.messages.ListRoomEvents(request, metadata=_BOB)
    assert (page.position, page.oldest_seq) == (await chat.position(3), 1)
    # Where one listing ends, the next one and a stream go on.
    request = pb2.ListRoomEventsRequest(room_id="lobby", after=page.position)
    assert not (await chat.suite.messages.ListRoomEvents(request, metadata=_BOB)).events
    async with chat.reading(after=page.position) as reader:
        assert (await reader.next()).opened.outcome == room_event_pb2.OUTCOME_RESUMED


async def test_a_position_of_another_log_or_of_the_future_is_refused(chat: Chat) -> None:
    await chat.send_many(3)
    here = await chat.position(3)
    for position in (
        position_pb2.Position(epoch="other", seq=1),
        position_pb2.Position(seq=1),
        position_pb2.Position(epoch=here.epoch, seq=4),
    ):
        await refused(_events(chat, position, 10), "LOG_RESET")


async def test_a_page_token_is_of_the_log_that_it_was_made_for(chat: Chat) -> None:
    await chat.send_many(3)
    request = pb2.ListRoomEventsRequest(room_id="lobby", page_size=1)
    request.page_token = (await chat.suite.messages.ListRoomEvents(request, metadata=_BOB)).next_page_token
    listed = pb2.ListMessagesRequest(room_id="lobby", page_token=request.page_token)
    await refused(chat.suite.messages.ListMessages(listed, metadata=_BOB), "PAGE_TOKEN_INVALID")
    await refused(chat.suite.messages.ListRoomEvents(request, metadata=user("alice")), "PAGE_TOKEN_INVALID")


async def test_a_page_goes_on_whether_its_direction_is_said_or_not(chat: Chat) -> None:
    await chat.send_many(3)
    unsaid, older = pb2.DIRECTION_UNSPECIFIED, pb2.DIRECTION_OLDER
    for first, second in ((unsaid, older), (older, unsaid)):
        request = pb2.ListMessagesRequest(room_id="lobby", page_size=1, direction=first)
        request.page_token = (await chat.suite.messages.ListMessages(request, metadata=_BOB)).next_page_token
        request.direction = second
        (message,) = (await chat.suite.messages.ListMessages(request, metadata=_BOB)).messages
        assert message.seq == 2
        request.direction = pb2.DIRECTION_NEWER
        await refused(chat.suite.messages.ListMessages(request, metadata=_BOB), "PAGE_TOKEN_INVALID")


async def test_an_outsider_learns_nothing_of_the_log(chat: Chat) -> None:
    await chat.send(text("hello", "1"))
    for room_id in ("lobby", "nope"):
        request = pb2.ListRoomEventsRequest(room_id=room_id)
        await refused(chat.suite.messages.ListRoomEvents(request, metadata=user("carol")), "ROOM_ACCESS_DENIED")
