"""What messages tells Prometheus of the committer, of those who follow rooms, and of the access that it keeps."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from tests.messages.chat import Chat, text
from tests.support.databases import TestDatabase
from tests.support.eventually import until
from tests.support.figures import Figures, figures_of
from tests.support.peers import Peers, serve
from tests.support.suite import running

_AGES = "chatkit_delivery_age_seconds_count"


@pytest.fixture
async def chat(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Chat]:
    """Run the service, which tells its figures, with alice and bob in a room."""
    peers = Peers(members={"lobby": {"alice", "bob"}}, users={"alice", "bob"})
    async with serve(peers):
        told: dict[str, Any] = dict.fromkeys(("rooms_address", "users_address"), peers.address)
        async with running(database, tmp_path, "messages", metrics_listen="127.0.0.1:0", **told) as suite:
            yield Chat(suite, peers)


async def _figures(chat: Chat) -> Figures:
    return await figures_of(chat.suite.servers["messages"].metrics_address)


async def test_what_is_stored_and_handed_on_is_counted(chat: Chat) -> None:
    async with chat.reading(last=0, who="alice") as one, chat.reading(last=0, who="bob") as other:
        for reader in (one, other):
            await reader.until("caught_up")
        for number in range(5):
            await chat.send(text(f"{number}", f"{number}"))
        for reader in (one, other):
            await reader.until_seq(5)
        figures = await _figures(chat)
        async with chat.reading(last=5, who="alice") as late:
            await late.until("caught_up")
        assert (await _figures(chat))(_AGES) == figures(_AGES)
    assert figures("chatkit_committer_wait_seconds_count") == 5
    assert figures("chatkit_committer_batch_writes_sum", lane="first") == 5
    assert figures("chatkit_committer_transaction_seconds_count", lane="first") == 5
    assert figures("chatkit_committer_waiting") == 0
    assert figures("chatkit_rooms_followed") == 1
    assert (figures("chatkit_entries_taken_total"), figures("chatkit_deliveries_total")) == (5, 10)
    # Of each stream at least one frame, and of replays none.
    assert 2 <= (figures(_AGES) or 0) <= 10
    # Rooms was asked about two subscribers and a sender; what is kept let in four sends, and each stream once more.
    assert (figures("chatkit_access_questions_total"), figures("chatkit_access_hits_total")) == (3, 6)
    assert figures("chatkit_access_kept") == 3


async def test_who_sends_most_is_told_on_a_page_of_its_own(chat: Chat) -> None:
    for number in range(3):
        await chat.send(text(f"{number}", f"{number}"), sender="bob")
    await chat.send(text("last", "last"))
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.get(f"http://{chat.suite.servers['messages'].metrics_address}/senders")
    assert answer.json()["current"]["senders"] == [
        {"user_id": "bob", "messages": 3, "too_many": 0},
        {"user_id": "alice", "messages": 1, "too_many": 0},
    ]


async def test_a_room_that_somebody_has_locked_shows_in_the_second_lane(chat: Chat, database: TestDatabase) -> None:
    await chat.send(text("first", "first"))
    with psycopg.connect(database.migrate_dsn("messages")) as holder:
        holder.execute("SELECT FROM messages.heads FOR UPDATE")
        sending = asyncio.create_task(chat.send(text("second", "second")))

        async def is_waiting() -> bool:
            figures = await _figures(chat)
            return figures("chatkit_committer_busy_rooms") == figures("chatkit_committer_waiting") == 1

        await until(is_waiting)
        holder.rollback()
        assert (await sending).seq == 2
    figures = await _figures(chat)
    assert figures("chatkit_committer_busy_rooms") == figures("chatkit_committer_waiting") == 0
    assert figures("chatkit_committer_transaction_seconds_count", lane="second")
