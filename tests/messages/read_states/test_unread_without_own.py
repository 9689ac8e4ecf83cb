"""What is unread where the deployment leaves a user's own messages out: the same wherever it is told, and bounded."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.messages.read_states.model import MOST_COUNTED, Unread, unread
from services.messages.read_states.states_store import _STATES, LOOKED_AT
from tests.messages.chat import Chat, text
from tests.messages.read_states.reading import delete, fill, read_states, set_cursor, unread_in_lobby, unread_total
from tests.support.databases import TestDatabase
from tests.support.peers import Peers, serve, uid_of
from tests.support.suite import running
from tests.support.tokens import su


@asynccontextmanager
async def _chat(database: TestDatabase, folder: Path, *, without_own: bool) -> AsyncIterator[Chat]:
    """Run the service with alice and bob in the room lobby."""
    peers = Peers(members={"lobby": {"alice", "bob"}}, users={"alice", "bob"})
    async with serve(peers):
        told: dict[str, Any] = {"rooms_address": peers.address, "users_address": peers.address}
        async with running(database, folder, "messages", unread_without_own_messages=without_own, **told) as suite:
            yield Chat(suite, peers)


@pytest.fixture
async def quiet(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Chat]:
    """Run the service with the setting."""
    async with _chat(database, tmp_path, without_own=True) as chat:
        yield chat


async def _counted(chat: Chat, who: str = "bob") -> tuple[int, bool]:
    (state,) = await read_states(chat, who, room_id="lobby")
    return state.unread_count, state.unread_capped


async def test_ones_own_messages_are_not_unread_wherever_it_is_told(quiet: Chat) -> None:
    for number, who in enumerate(["alice", "bob", "bob", "alice", "bob"]):
        await quiet.send(text(who, str(number)), who)
    assert (await unread_in_lobby(quiet, "alice"), await unread_in_lobby(quiet, "bob")) == (3, 2)
    assert await unread_total(quiet, "alice", su()) == (3, False, 1)
    # A superuser is told what the user is.
    (state,) = await read_states(quiet, user_id="bob", metadata=su())
    assert (state.unread_count, state.last_message.seq) == (2, 5)
    async with quiet.following("lobby", last=0, read_states=True) as reader:
        events = await reader.until("caught_up")
        assert [event.read_state.unread_count for event in events if event.HasField("read_state")] == [2]
        await quiet.send(text("again", "own"), "bob")
        await quiet.send(text("again", "other"), "alice")
        while (event := await reader.next()).read_state.unread_count != 3:
            assert event.read_state.unread_count in {0, 2}


async def test_a_room_with_nothing_but_ones_own_has_nothing_unread(quiet: Chat) -> None:
    for number in range(3):
        await quiet.send(text("mine", str(number)), "bob")
    assert await unread_in_lobby(quiet) == 0
    assert await unread_total(quiet) == (0, False, 0)


@pytest.mark.parametrize("without_own", [False, True])
async def test_both_ways_of_counting_are_what_one_would_count_by_hand(
    database: TestDatabase, tmp_path: Path, *, without_own: bool
) -> None:
    async with _chat(database, tmp_path, without_own=without_own) as chat:
        # By hand: the messages that are left, by seq, with their senders; where bob's cursor is.
        chance, left, sent, cursor = Random(11), dict[int, str](), list[int](), 0
        for step in range(60):
            what = chance.choice(["alice", "alice", "bob", "delete", "cursor"])
            if what in {"alice", "bob"}:
                seq = (await chat.send(text(what, str(step)), what)).seq
                left[seq] = what
                sent.append(seq)
            elif what == "delete" and sent:
                seq = chance.choice(sent)
                await delete(chat, seq)
                left.pop(seq, None)
            elif what == "cursor":
                cursor = (await set_cursor(chat, chance.randint(0, max(sent, default=0)), backward=True)).seq
            by_hand = sum(seq > cursor and (who != "bob" or not without_own) for seq, who in left.items())
            assert await unread_in_lobby(chat) == by_hand, (step, what)


async def test_counts_are_exact_up_to_a_thousand_of_others_messages(quiet: Chat) -> None:
    fill(quiet.suite.database, "lobby", 300, "bob")
    fill(quiet.suite.database, "lobby", 300 + MOST_COUNTED, "alice")
    assert await _counted(quiet) == (1_000, False)
    fill(quiet.suite.database, "lobby", 301 + MOST_COUNTED, "alice")
    assert await _counted(quiet) == (1_000, True)
    assert await _counted(quiet, "alice") == (300, False)


async def test_behind_the_events_that_are_looked_at_ones_own_count_too(quiet: Chat) -> None:
    fill(quiet.suite.database, "lobby", 5, "alice")
    fill(quiet.suite.database, "lobby", LOOKED_AT, "bob")
    assert await _counted(quiet) == (5, False)
    fill(quiet.suite.database, "lobby", LOOKED_AT + 7, "bob")
    assert await _counted(quiet) == (12, False)
    await delete(quiet, 1, LOOKED_AT, LOOKED_AT + 1, LOOKED_AT + 7)
    assert await _counted(quiet) == (9, False)
    # From the cursor on, wherever it is.
    await set_cursor(quiet, 3)
    assert await _counted(quiet) == (5, False)
    await set_cursor(quiet, 10)
    assert await _counted(quiet) == (0, False)


async def test_no_more_than_the_bound_is_read_however_long_the_log_is(quiet: Chat) -> None:
    # Statistics by which the planner takes every log for a short one.
    for number in range(100):
        fill(quiet.suite.database, f"other {number}", 5)
    fill(quiet.suite.database, "lobby", 30_000, "bob")
    asked = {"room_uids": [uid_of("lobby")], "user_uids": [uid_of("bob")], "looked_at": LOOKED_AT, "most": 1_001}
    with psycopg.connect(quiet.suite.database.superuser_dsn, autocommit=True) as connection:
        connection.execute("ANALYZE messages.messages")
        explain = f"EXPLAIN (ANALYZE, FORMAT JSON) {_STATES.sql}"
        ((plans,),) = connection.execute(explain, {**asked, "with_last_message": True}).fetchall()
    read = sum(_rows_read(plans[0]["Plan"]))
    assert LOOKED_AT <= read <= LOOKED_AT + 10


def _rows_read(node: dict[str, Any]) -> Iterator[int]:
    """Return how many rows of messages each part of a plan reads, those that it leaves out included."""
    if node.get("Relation Name") == "messages":
        yield (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
    for part in node.get("Plans", ()):
        yield from _rows_read(part)


@settings(deadline=None)
@given(st.lists(st.sampled_from(["kept", "deleted", "own"]), max_size=60), st.integers(0, 60), st.integers(0, 40))
def test_the_rule_counts_as_one_would_by_hand(messages: list[str], cursor: int, looked_at: int) -> None:
    left = messages[cursor:]
    first, rest = left[:looked_at], left[looked_at:]
    counted = unread(
        len(messages), cursor + len(first) + 1 if left else None, rest.count("deleted"), first.count("kept")
    )
    assert counted == Unread(first.count("kept") + rest.count("kept") + rest.count("own"), is_capped=False)
