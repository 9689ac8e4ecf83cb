"""ListRoomSummaries: a user's rooms, the latest to move first, with what is shown of each, page by page."""

from typing import Any

import pytest
from chatkit.messages.v1 import messages_service_pb2 as messages_pb2
from chatkit.messages.v1 import read_states_service_pb2 as pb2
from chatkit.messages.v1.room_summary_pb2 import RoomSummary
from chatkit.rooms.v1 import room_pb2

from services.runtime.calls.paging import PAGE_BYTES
from tests.messages.chat import Chat, text
from tests.messages.read_states.reading import fill, read_states, set_cursor
from tests.support.refusals import refused
from tests.support.tokens import Metadata, su, user

_ROOMS = [f"room {number:02}" for number in range(12)]


@pytest.fixture
def chat(chat: Chat) -> Chat:
    """Let bob be in some rooms more, in which nothing has happened."""
    chat.peers.members |= {room_id: {"bob"} for room_id in _ROOMS}
    chat.peers.names |= {"alice": "Alice", "carol": "Carol"}
    return chat


async def _page(
    chat: Chat, page_size: int = 100, page_token: str = "", metadata: Metadata | None = None, **fields: Any
) -> tuple[list[RoomSummary], str]:
    request = pb2.ListRoomSummariesRequest(page_size=page_size, page_token=page_token, **fields)
    page = await chat.suite.read_states.ListRoomSummaries(request, metadata=metadata or user("bob"))
    return list(page.summaries), page.next_page_token


async def _ids(chat: Chat, page_size: int = 100) -> list[str]:
    """Return the ids of all rooms, from as many pages as there are."""
    summaries, token = await _page(chat, page_size)
    while token:
        more, token = await _page(chat, page_size, token)
        summaries += more
    return [summary.room.id for summary in summaries]


async def _send(chat: Chat, *room_ids: str) -> None:
    for room_id in room_ids:
        chat.peers.members[room_id].add("alice")
        await chat.send(text("x", f"in {room_id}", room_id))


# In which order.


async def test_the_room_with_the_latest_event_is_first_and_quiet_rooms_are_last(chat: Chat) -> None:
    assert await _ids(chat) == ["lobby", *_ROOMS]
    await _send(chat, "room 05", "room 02", "lobby")
    latest = ["lobby", "room 02", "room 05"]
    assert await _ids(chat) == [*latest, *(one for one in _ROOMS if one not in latest)]
    # Every event counts, and not messages alone; a cursor is no event.
    deleted = messages_pb2.DeleteMessageRequest(room_id="room 05", seq=1)
    await chat.suite.messages.DeleteMessage(deleted, metadata=su("alice"))
    await set_cursor(chat, 1, room_id="room 02")
    assert (await _ids(chat))[:3] == ["room 05", "lobby", "room 02"]


async def test_pages_follow_one_another_and_list_every_room_once(chat: Chat) -> None:
    await _send(chat, "room 07", "room 01", "room 10", "room 04")
    whole = await _ids(chat)
    for size in (1, 3, 5, 13):
        assert await _ids(chat, size) == whole
    assert len((await _page(chat, 0))[0]) == 13


async def test_a_room_that_moves_between_two_pages_is_first_when_it_is_read_again(chat: Chat) -> None:
    await _send(chat, "room 03", "room 02", "room 01")
    first, token = await _page(chat, 2)
    await _send(chat, "lobby", "room 09")
    rest, _ = await _page(chat, 100, token)
    assert [summary.room.id for summary in first] == ["room 01", "room 02"]
    seen = [summary.room.id for summary in (*first, *rest)]
    assert len(seen) == len(set(seen)) == 11
    assert (await _ids(chat))[:2] == ["room 09", "lobby"]


async def test_a_token_is_of_its_caller_and_of_its_user(chat: Chat) -> None:
    chat.peers.members["room 00"].add("alice")
    _, token = await _page(chat, 1)
    assert (await _page(chat, 1, token, user_id="bob"))[0]
    await refused(_page(chat, 1, token, user("alice")), "PAGE_TOKEN_INVALID")
    await refused(_page(chat, 1, f"{token}x"), "PAGE_TOKEN_INVALID")


# What is shown.


async def test_a_summary_is_the_room_and_its_read_state_and_who_else_is_there(chat: Chat) -> None:
    await chat.send_many(4)
    await set_cursor(chat, 1)
    chat.peers.rooms["lobby"] = room_pb2.Room(name="The lobby", visibility=room_pb2.VISIBILITY_PRIVATE)
    chat.peers.rooms["lobby"].custom_data.update({"topic": "all"})
    ((summary, *quiet), _) = await _page(chat)
    assert (summary.room.name, summary.room.visibility) == ("The lobby", room_pb2.VISIBILITY_PRIVATE)
    assert summary.room.custom_data["topic"] == "all"
    (state,) = await read_states(chat, room_id="lobby")
    assert summary.read_state == state
    assert (state.unread_count, state.cursor.seq, state.last_message.seq) == (3, 1, 4)
    assert [(one.user_id, one.name) for one in summary.other_members] == [("alice", "Alice")]
    assert summary.last_event_time == summary.read_state.last_message.create_time
    for other in quiet:
        assert (other.read_state.room_id, other.read_state.unread_count) == (other.room.id, 0)
        assert not other.HasField("last_event_time")
        assert not other.other_members


async def test_others_are_named_where_they_are_few(chat: Chat) -> None:
    others = {f"user {number}" for number in range(6)}
    chat.peers.users |= others
    chat.peers.members |= {"room 00": {"bob", *sorted(others)[:5]}, "room 01": {"bob", *others}}
    summaries = {summary.room.id: summary for summary in (await _page(chat))[0]}
    assert [one.user_id for one in summaries["room 00"].other_members] == sorted(others)[:5]
    assert not summaries["room 01"].other_members
    assert summaries["room 01"].room.member_count == 7


async def test_the_other_one_of_a_direct_room_is_named_though_they_have_left(chat: Chat) -> None:
    chat.peers.rooms["room 00"] = room_pb2.Room(direct_user_ids=["bob", "carol"])
    summaries = {summary.room.id: summary for summary in (await _page(chat))[0]}
    assert [(one.user_id, one.name) for one in summaries["room 00"].other_members] == [("carol", "Carol")]


async def test_who_was_deleted_is_not_among_the_others(chat: Chat) -> None:
    chat.peers.members["lobby"] |= {"deleted", "carol"}
    ((summary, *_), _) = await _page(chat)
    assert [one.user_id for one in summary.other_members] == ["alice", "carol"]


async def test_what_a_user_may_not_read_is_not_shown(chat: Chat) -> None:
    await chat.send_many(2)
    await _send(chat, "room 00", "room 01")
    chat.peers.denied["bob"] = {"cursors:read:get"}
    assert not any(summary.HasField("read_state") for summary in (await _page(chat))[0])
    chat.peers.denied_in["alice", "room 00"] = {"cursors:read:get"}
    chat.peers.denied_in["alice", "room 01"] = {"room:messages:get"}
    # Asked room by room, because the global role grants neither.
    chat.peers.denied_in["alice", ""] = {"cursors:read:get", "room:messages:get"}
    summaries = {summary.room.id: summary for summary in (await _page(chat, metadata=user("alice")))[0]}
    assert {room_id: one.HasField("read_state") for room_id, one in summaries.items()} == {
        "lobby": True,
        "room 00": False,
        "room 01": True,
    }
    assert summaries["lobby"].read_state.HasField("last_message")
    assert not summaries["room 01"].read_state.HasField("last_message")
    assert summaries["room 01"].read_state.unread_count == 1
    # Superusers need no permission.
    shown = (await _page(chat, metadata=su(), user_id="bob"))[0]
    assert all(summary.HasField("read_state") for summary in shown)


async def test_whose_rooms_are_listed(chat: Chat) -> None:
    assert [one.room.id for one in (await _page(chat, metadata=su(), user_id="alice"))[0]] == ["lobby"]
    assert await _page(chat, metadata=user("carol")) == ([], "")
    chat.peers.denied["alice"] = {"user:rooms:get"}
    for metadata, user_id, reason in (
        (user("alice"), "", "PERMISSION_MISSING"),
        (user("carol"), "bob", "SUBJECT_MISMATCH"),
        (su(), "", "SUBJECT_REQUIRED"),
        (su(), "nobody", "USER_NOT_FOUND"),
    ):
        await refused(_page(chat, metadata=metadata, user_id=user_id), reason)


async def test_a_room_that_is_left_meanwhile_is_not_listed(chat: Chat) -> None:
    await _send(chat, "room 03", "room 02", "room 01")
    chat.peers.left_meanwhile = {"room 01", "room 02"}
    summaries, token = await _page(chat, 2)
    assert (summaries, bool(token)) == ([], True)
    ((third, *_), _) = await _page(chat, 2, token)
    assert third.room.id == "room 03"


# How much, and what fails.


async def test_a_page_ends_before_it_grows_too_large(chat: Chat) -> None:
    for room_id in _ROOMS:
        chat.peers.rooms[room_id] = room_pb2.Room(name="x" * (PAGE_BYTES // 5))
    first, token = await _page(chat)
    # The lobby, which is small, and as many as fit.
    assert [summary.room.id for summary in first] == ["lobby", *_ROOMS[:4]]
    assert token
    assert await _ids(chat) == ["lobby", *_ROOMS]


async def test_a_page_ends_where_rooms_has_answered_no_farther(chat: Chat) -> None:
    await _send(chat, "room 05")
    whole = await _ids(chat)
    chat.peers.most_described = 5
    assert [summary.room.id for summary in (await _page(chat))[0]] == whole[:5]
    assert await _ids(chat) == whole


async def test_a_page_asks_rooms_and_users_once(chat: Chat) -> None:
    for room_id in _ROOMS:
        fill(chat.suite.database, room_id, 3)
        chat.peers.members[room_id].add("carol")
    await _page(chat)
    asked = chat.peers.listed, chat.peers.described, chat.peers.resolved
    await _page(chat)
    assert (chat.peers.listed, chat.peers.described, chat.peers.resolved) == tuple(count + 1 for count in asked)


async def test_beside_a_rooms_of_the_release_before_it_is_unavailable(chat: Chat) -> None:
    chat.peers.is_without_descriptions = True
    refusal = await refused(_page(chat), "SERVICE_UNAVAILABLE")
    assert refusal.metadata == {"service": "rooms"}


async def test_while_users_tells_no_names_there_are_ids(chat: Chat) -> None:
    chat.peers.users_unavailable = True
    ((summary, *_), _) = await _page(chat)
    assert [(one.user_id, one.name) for one in summary.other_members] == [("alice", "")]
    chat.peers.users_unavailable = False
    # As a users of the release before answers.
    chat.peers.names.clear()
    ((summary, *_), _) = await _page(chat)
    assert [(one.user_id, one.name) for one in summary.other_members] == [("alice", "")]
