"""Read cursors and read states: where cursors go, what is unread, and what that costs."""

import asyncio
from contextlib import AbstractContextManager
from random import Random
from typing import Any

import psycopg
from chatkit.messages.v1 import read_states_service_pb2 as pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from services.messages.read_states.model import MOST_COUNTED, Unread, unread
from tests.messages.chat import Chat, text
from tests.messages.read_states.reading import delete, fill, read_states, set_cursor, unread_in_lobby, unread_total
from tests.support.peers import uid_of
from tests.support.refusals import refused
from tests.support.statements import noting_statements
from tests.support.tokens import su, user


async def _cursors(chat: Chat, who: str = "bob", **fields: Any) -> dict[tuple[str, str], int]:
    request = pb2.ListReadCursorsRequest(**fields)
    seen: dict[tuple[str, str], int] = {}
    while True:
        page = await chat.suite.read_states.ListReadCursors(request, metadata=user(who))
        seen |= {(cursor.room_id, cursor.user_id): cursor.seq for cursor in page.cursors}
        if not page.next_page_token:
            return seen
        request.page_token = page.next_page_token


# What a cursor does.


async def test_a_cursor_that_was_never_set_is_absent_and_no_error(chat: Chat) -> None:
    await chat.send(text("one", "1"))
    answer = await chat.suite.read_states.GetReadCursor(pb2.GetReadCursorRequest(room_id="lobby"), metadata=user("bob"))
    assert not answer.HasField("cursor")
    (state,) = await read_states(chat)
    assert not state.HasField("cursor")
    assert await _cursors(chat, room_id="lobby") == {}


async def test_a_cursor_goes_forward_and_backward_only_on_request(chat: Chat) -> None:
    await chat.send_many(5)
    first = await set_cursor(chat, 3)
    assert (first.room_id, first.user_id, first.seq, first.revision) == ("lobby", "bob", 3, 1)
    # What does not move it leaves revision and time alone.
    assert await set_cursor(chat, 3) == first
    assert await set_cursor(chat, 1) == first
    assert await set_cursor(chat, 3, backward=True) == first
    back = await set_cursor(chat, 1, backward=True)
    assert (back.seq, back.revision) == (1, 2)
    assert back.update_time.ToNanoseconds() >= first.update_time.ToNanoseconds()
    ahead = await set_cursor(chat, 4, backward=True)
    assert (ahead.seq, ahead.revision) == (4, 3)
    assert (await set_cursor(chat, 0, backward=True)).seq == 0


async def test_a_cursor_stays_within_the_log(chat: Chat) -> None:
    assert (await set_cursor(chat, 42)).seq == 0
    await chat.send_many(3)
    assert (await set_cursor(chat, 2**63 - 1)).seq == 3
    await refused(
        chat.suite.read_states.SetReadCursor(pb2.SetReadCursorRequest(room_id="lobby", seq=-1), metadata=user("bob")),
        "FIELD_INVALID",
    )


async def test_of_moves_at_once_the_farthest_wins_and_each_has_a_revision(chat: Chat) -> None:
    await chat.send_many(30)
    cursors = await asyncio.gather(*(set_cursor(chat, seq) for seq in range(1, 31)))
    last = max(cursors, key=lambda cursor: cursor.revision)
    assert last.seq == 30
    by_revision = {cursor.revision: cursor.seq for cursor in cursors}
    assert list(by_revision) != []
    assert [by_revision[number] for number in sorted(by_revision)] == sorted(by_revision.values())
    assert sorted(by_revision) == list(range(1, len(by_revision) + 1))


# Whose cursors.


async def test_ones_own_are_set_and_members_read_everybodys(chat: Chat) -> None:
    await chat.send_many(2)
    await set_cursor(chat, 1, "alice")
    get = pb2.GetReadCursorRequest(room_id="lobby", user_id="alice")
    answer = await chat.suite.read_states.GetReadCursor(get, metadata=user("bob"))
    assert (answer.cursor.user_id, answer.cursor.seq) == ("alice", 1)
    with_other = pb2.SetReadCursorRequest(room_id="lobby", seq=2, user_id="alice")
    await refused(chat.suite.read_states.SetReadCursor(with_other, metadata=user("bob")), "SUBJECT_MISMATCH")
    await refused(chat.suite.read_states.GetReadCursor(get, metadata=user("carol")), "ROOM_ACCESS_DENIED")
    get.user_id = "nobody"
    await refused(chat.suite.read_states.GetReadCursor(get, metadata=user("bob")), "USER_NOT_FOUND")
    get.user_id = ""
    await refused(chat.suite.read_states.GetReadCursor(get, metadata=su()), "SUBJECT_REQUIRED")


async def test_a_superuser_sets_and_lists_for_others(chat: Chat) -> None:
    await chat.send_many(2)
    assert (await set_cursor(chat, 2, user_id="alice", metadata=su())).user_id == "alice"
    states = await read_states(chat, metadata=su(), user_id="alice")
    assert [(state.unread_count, state.last_message.seq) for state in states] == [(0, 2)]
    stub = chat.suite.read_states
    own = await stub.ListReadCursors(pb2.ListReadCursorsRequest(user_id="alice"), metadata=su())
    of_room = await stub.ListReadCursors(pb2.ListReadCursorsRequest(room_id="lobby"), metadata=su())
    assert [cursor.user_id for cursor in own.cursors] == [cursor.user_id for cursor in of_room.cursors] == ["alice"]
    for request in (pb2.ListReadStatesRequest(user_id="nobody"), pb2.ListReadCursorsRequest(user_id="nobody")):
        method = stub.ListReadStates if isinstance(request, pb2.ListReadStatesRequest) else stub.ListReadCursors
        await refused(method(request, metadata=su()), "USER_NOT_FOUND")
    await refused(set_cursor(chat, 1, user_id="nobody", metadata=su()), "USER_NOT_FOUND")


async def test_what_is_another_users_is_not_listed(chat: Chat) -> None:
    stub = chat.suite.read_states
    for who in (pb2.ListReadCursorsRequest(user_id="alice"), pb2.ListReadCursorsRequest(user_id="nobody")):
        await refused(stub.ListReadCursors(who, metadata=user("bob")), "SUBJECT_MISMATCH")
    await refused(
        stub.ListReadStates(pb2.ListReadStatesRequest(user_id="alice"), metadata=user("bob")), "SUBJECT_MISMATCH"
    )
    both = pb2.ListReadCursorsRequest(room_id="lobby", user_id="bob")
    assert (await refused(stub.ListReadCursors(both, metadata=user("bob")), "FIELD_INVALID")).metadata == {
        "field": "user_id"
    }
    of_room = pb2.ListReadCursorsRequest(room_id="lobby")
    await refused(stub.ListReadCursors(of_room, metadata=user("carol")), "ROOM_ACCESS_DENIED")
    await refused(stub.ListReadCursors(pb2.ListReadCursorsRequest(), metadata=su()), "SUBJECT_REQUIRED")


async def test_cursors_are_listed_by_page_for_a_room_and_for_a_user(chat: Chat) -> None:
    members = {f"user {n:02}" for n in range(25)}
    chat.peers.members["lobby"] |= members
    chat.peers.members |= {f"room {n}": {"bob"} for n in range(5)}
    await chat.send(text("one", "1"))
    for who in sorted(members):
        await set_cursor(chat, 1, who)
    await set_cursor(chat, 0, room_id="room 2")
    await set_cursor(chat, 0, room_id="room 4")
    assert set(await _cursors(chat, room_id="lobby", page_size=7)) == {("lobby", who) for who in members}
    assert list(await _cursors(chat, page_size=2)) == [("room 2", "bob"), ("room 4", "bob")]


async def test_a_page_goes_on_whether_its_user_is_named_or_not(chat: Chat) -> None:
    chat.peers.members |= {f"room {n}": {"bob"} for n in range(3)}
    stub = chat.suite.read_states
    for first, second in (("", "bob"), ("bob", "")):
        states = pb2.ListReadStatesRequest(page_size=2, user_id=first)
        states.page_token = (await stub.ListReadStates(states, metadata=user("bob"))).next_page_token
        states.user_id = second
        assert len((await stub.ListReadStates(states, metadata=user("bob"))).read_states) == 2
        cursors = pb2.ListReadCursorsRequest(page_size=2, user_id=first)
        cursors.page_token = (await stub.ListReadCursors(cursors, metadata=user("bob"))).next_page_token
        cursors.user_id = second
        await stub.ListReadCursors(cursors, metadata=user("bob"))


async def test_who_has_left_is_not_listed_until_they_come_back(chat: Chat) -> None:
    await chat.send_many(3)
    await set_cursor(chat, 2, "alice")
    await set_cursor(chat, 1, "bob")
    chat.peers.members["lobby"].discard("alice")
    assert await _cursors(chat, room_id="lobby", page_size=1) == {("lobby", "bob"): 1}
    assert await _cursors(chat, "alice") == {}
    assert await read_states(chat, "alice") == []
    chat.peers.members["lobby"].add("alice")
    assert await _cursors(chat, room_id="lobby") == {("lobby", "bob"): 1, ("lobby", "alice"): 2}
    assert await _cursors(chat, "alice") == {("lobby", "alice"): 2}


async def test_beside_a_rooms_that_cannot_tell_who_has_left_all_cursors_are_listed(chat: Chat) -> None:
    await chat.send_many(1)
    await set_cursor(chat, 1, "alice")
    await set_cursor(chat, 1, "bob")
    chat.peers.members["lobby"].discard("alice")
    chat.peers.is_without_filter = True
    assert set(await _cursors(chat, room_id="lobby")) == {("lobby", "alice"), ("lobby", "bob")}


# What is unread.


async def test_unread_counts_follow_the_old_sequence(chat: Chat) -> None:
    assert await unread_in_lobby(chat, "alice") == 0
    # One's own messages count, too.
    first = await chat.send(text("one", "1"))
    assert await unread_in_lobby(chat, "alice") == 1
    await set_cursor(chat, first.seq, "alice")
    assert await unread_in_lobby(chat, "alice") == 0
    await chat.send(text("two", "2"))
    await chat.send(text("three", "3"))
    assert await unread_in_lobby(chat, "alice") == 2
    # Others have a count of their own.
    assert await unread_in_lobby(chat, "bob") == 3


async def test_deleted_messages_are_not_unread_and_never_the_last(chat: Chat) -> None:
    await chat.send_many(6)
    await delete(chat, 2, 4, 6)
    (state,) = await read_states(chat)
    assert (state.unread_count, state.last_message.seq) == (3, 5)
    await set_cursor(chat, 3)
    assert await unread_in_lobby(chat) == 1
    # Between the log's events, and at its end.
    await set_cursor(chat, 5)
    assert await unread_in_lobby(chat) == 0
    await set_cursor(chat, 9)
    await chat.send(text("more", "more"))
    (state,) = await read_states(chat)
    assert (state.unread_count, state.last_message.seq, state.cursor.seq) == (1, 10, 9)
    await delete(chat, 1, 3, 5, 10)
    (state,) = await read_states(chat)
    assert (state.unread_count, state.HasField("last_message")) == (0, False)


async def test_what_retention_has_swept_is_not_unread(chat: Chat) -> None:
    await chat.send_many(6)
    await delete(chat, 2, 5)
    await set_cursor(chat, 1)
    _sweep(chat, 3)
    assert await unread_in_lobby(chat) == 2
    assert await unread_in_lobby(chat, "alice") == 2
    await set_cursor(chat, 4)
    assert await unread_in_lobby(chat) == 1
    _sweep(chat, 9)
    assert await unread_in_lobby(chat, "alice") == 0


async def test_counts_are_exact_up_to_a_thousand(chat: Chat) -> None:
    fill(chat.suite.database, "lobby", MOST_COUNTED)
    (state,) = await read_states(chat)
    assert (state.unread_count, state.unread_capped) == (1_000, False)
    fill(chat.suite.database, "lobby", MOST_COUNTED + 1)
    (state,) = await read_states(chat)
    assert (state.unread_count, state.unread_capped, state.last_message.seq) == (1_000, True, 1_001)
    await delete(chat, 17)
    (state,) = await read_states(chat)
    assert (state.unread_count, state.unread_capped) == (1_000, False)


@settings(deadline=None)
@given(st.lists(st.sampled_from(["kept", "deleted"]), max_size=1_200), st.integers(0, 1_200), st.integers(0, 1_200))
def test_the_rule_counts_as_one_would_by_hand(messages: list[str], swept: int, cursor: int) -> None:
    left = [(ordinal, what) for ordinal, what in enumerate(messages, start=1) if ordinal > max(swept, cursor)]
    first = left[0][0] if left else None
    counted = unread(len(messages), first, sum(what == "deleted" for _, what in left))
    by_hand = sum(what == "kept" for _, what in left)
    assert counted == Unread(min(by_hand, MOST_COUNTED), by_hand > MOST_COUNTED)


async def test_read_states_are_what_one_would_count_by_hand_whatever_happens(chat: Chat) -> None:
    # The room by hand: the seqs of messages, those that are left, the end of the log, and where bob's cursor is.
    chance, sent, left, head, cursor = Random(7), list[int](), set[int](), 0, 0
    for step in range(80):
        what = chance.choice(["send", "send", "delete", "forward", "anywhere"])
        if what == "send":
            head = (await chat.send(text(str(step), f"{step}"))).seq
            sent.append(head)
            left.add(head)
        elif what == "delete" and sent:
            seq = chance.choice(sent)
            await delete(chat, seq)
            head += seq in left
            left.discard(seq)
        elif what in {"forward", "anywhere"}:
            to = chance.randint(0, head + 2)
            cursor = min(to, head) if what == "anywhere" else max(cursor, min(to, head))
            assert (await set_cursor(chat, to, backward=what == "anywhere")).seq == cursor
        (state,) = await read_states(chat)
        assert state.unread_count == sum(seq > cursor for seq in left), (step, what)
        assert state.last_message.seq == max(left, default=0)


# What is unread in all rooms together.


async def test_the_total_is_the_sum_of_what_is_unread_in_each_room(chat: Chat) -> None:
    assert await unread_total(chat) == (0, False, 0)
    names = [f"room {n:03}" for n in range(250)]
    chat.peers.members |= {name: {"bob"} for name in names} | {"others": {"alice"}}
    for name, count in {names[3]: 5, names[120]: 7, names[249]: 2, names[17]: 4, "others": 9}.items():
        fill(chat.suite.database, name, count)
    await chat.send_many(3)
    await delete(chat, 2)
    await set_cursor(chat, 6, room_id=names[120])
    await set_cursor(chat, 4, room_id=names[17])
    assert await unread_total(chat) == (5 + 1 + 2 + 2, False, 4)
    states = await read_states(chat)
    assert sum(state.unread_count for state in states) == 10
    await set_cursor(chat, 4)
    assert await unread_total(chat) == (8, False, 3)
    # A superuser counts for somebody else.
    assert await unread_total(chat, "alice", su()) == (11, False, 2)


async def test_the_total_says_when_a_room_has_more_than_is_counted(chat: Chat) -> None:
    chat.peers.members |= {"first": {"bob"}, "second": {"bob"}}
    fill(chat.suite.database, "first", MOST_COUNTED)
    fill(chat.suite.database, "second", 3)
    assert await unread_total(chat) == (MOST_COUNTED + 3, False, 2)
    fill(chat.suite.database, "first", MOST_COUNTED + 1)
    assert await unread_total(chat) == (MOST_COUNTED + 3, True, 2)


async def test_the_total_is_of_rooms_where_cursors_may_be_read(chat: Chat) -> None:
    chat.peers.members |= {"other": {"bob"}}
    fill(chat.suite.database, "other", 3)
    await chat.send_many(2)
    chat.peers.denied_in["bob", "other"] = {"cursors:read:get"}
    assert await unread_total(chat) == (2, False, 1)
    # Superusers need no permission.
    assert await unread_total(chat, "bob", su()) == (5, False, 2)
    chat.peers.denied["alice"] = {"user:rooms:get"}
    for who, user_id, reason in (
        (user("alice"), "", "PERMISSION_MISSING"),
        (user("carol"), "bob", "SUBJECT_MISMATCH"),
        (su(), "", "SUBJECT_REQUIRED"),
        (su(), "nobody", "USER_NOT_FOUND"),
    ):
        request = pb2.GetUnreadTotalRequest(user_id=user_id)
        await refused(chat.suite.read_states.GetUnreadTotal(request, metadata=who), reason)
    assert await unread_total(chat, "carol", su()) == (0, False, 0)


async def test_the_total_of_a_thousand_rooms_takes_two_questions_and_four_statements(chat: Chat) -> None:
    chat.peers.members |= {f"room {n:03}": {"bob"} for n in range(999)}
    fill(chat.suite.database, "room 998", 3)
    with _statements(chat) as statements:
        assert await unread_total(chat) == (3, False, 1)
    assert (chat.peers.listed, len(statements)) == (2, 4)


# What may be seen, and what it costs.


async def test_the_last_message_is_shown_only_where_it_may_be_read(chat: Chat) -> None:
    await chat.send_many(2)
    chat.peers.denied["bob"] = {"room:messages:get"}
    for room_id in ("", "lobby"):
        (state,) = await read_states(chat, room_id=room_id)
        assert (state.room_id, state.unread_count, state.HasField("last_message")) == ("lobby", 2, False)
    chat.peers.denied["alice"] = {"cursors:read:get"}
    await refused(
        chat.suite.read_states.ListReadStates(pb2.ListReadStatesRequest(), metadata=user("alice")),
        "PERMISSION_MISSING",
    )


async def test_read_states_of_a_thousand_rooms_take_a_statement_a_page(chat: Chat) -> None:
    names = [f"room {n:04}" for n in range(999)]
    chat.peers.members |= {name: {"bob"} for name in names}
    fill(chat.suite.database, names[7], 3)
    fill(chat.suite.database, names[998], 1)
    await set_cursor(chat, 1, room_id=names[7])
    with _statements(chat) as statements:
        states = await read_states(chat, page_size=1_000)
        assert [state.room_id for state in states] == ["lobby", *names]
        assert len(statements) == 10
        assert [(state.room_id, state.unread_count) for state in states if state.unread_count] == [
            (names[7], 2),
            (names[998], 1),
        ]
        assert states[8].last_message.seq == 3
        statements.clear()
        await read_states(chat, room_id="lobby")
        assert len(statements) == 1


def _statements(chat: Chat) -> AbstractContextManager[list[str]]:
    """Write down what the service says to the database, but for its looks at which database that is."""
    return noting_statements(lambda said: "messages.deployment" not in said, chat.suite.servers["messages"].database)


def _sweep(chat: Chat, seq: int) -> None:
    """Drop the messages up to a seq, as retention does."""
    with psycopg.connect(chat.suite.database.superuser_dsn) as connection:
        connection.execute("DELETE FROM messages.messages WHERE room_uid = %s AND seq <= %s", (uid_of("lobby"), seq))
