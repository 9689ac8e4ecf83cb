"""Retention as callers see it: what is too old is gone everywhere, and the log goes on from where it begins."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from chatkit.messages.v1 import messages_service_pb2 as pb2
from chatkit.messages.v1 import part_pb2, position_pb2, room_event_pb2

from tests.messages.chat import Chat, text
from tests.messages.retention.sweeping import grow_old, oldest_seq
from tests.support.databases import ROOT, TestDatabase
from tests.support.eventually import HANG_SECONDS, eventually
from tests.support.peers import Peers, serve, uid_of
from tests.support.refusals import refused
from tests.support.suite import running
from tests.support.tokens import lasting

_BOB = lasting("bob")
_ALICE = lasting("alice")


@pytest.fixture
async def kept(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Chat]:
    """Run the service with a retention of 30 days, a sweeper that never rests, and three rooms."""
    members = {room_id: {"alice", "bob"} for room_id in ("lobby", "attic", "cellar")}
    peers = Peers(members=members, users={"alice", "bob"})
    told: dict[str, Any] = {
        "retention_days": 30,
        "retention_sweep_interval_seconds": 0.02,
        "retention_sweep_pause_seconds": 0,
    }
    async with serve(peers):
        told |= {"rooms_address": peers.address, "users_address": peers.address}
        async with running(database, tmp_path, "messages", **told) as suite:
            yield Chat(suite, peers)


async def _edit(chat: Chat, seq: int, content: str) -> None:
    part = part_pb2.Part(content_type="text/plain", content=content)
    request = pb2.EditMessageRequest(room_id="lobby", seq=seq, parts=[part])
    await chat.suite.messages.EditMessage(request, metadata=_ALICE)


async def _log(chat: Chat, after: position_pb2.Position | None = None) -> pb2.ListRoomEventsResponse:
    request = pb2.ListRoomEventsRequest(room_id="lobby", after=after)
    answer: pb2.ListRoomEventsResponse = await chat.suite.messages.ListRoomEvents(request, metadata=_BOB)
    return answer


async def _listed(chat: Chat, direction: Any = pb2.DIRECTION_OLDER) -> list[int]:
    request = pb2.ListMessagesRequest(room_id="lobby", direction=direction)
    return [message.seq for message in (await chat.suite.messages.ListMessages(request, metadata=_BOB)).messages]


async def _swept(chat: Chat, oldest: int, room_id: str = "lobby") -> None:
    await eventually(lambda: oldest_seq(chat.suite.database, uid_of(room_id)) == oldest)


async def _begins_for_streams(chat: Chat, oldest: int) -> list[room_event_pb2.RoomEvent]:
    """Return what a resumed stream starts with when the hub has heard where the log begins."""
    position = await chat.position(oldest - 1)
    async with asyncio.timeout(HANG_SECONDS):
        while True:
            async with chat.reading(after=position) as reader:
                events = await reader.until("caught_up")
            if events[0].opened.oldest_seq == oldest:
                return events


async def test_what_is_too_old_is_gone_and_what_is_left_is_a_dense_log(kept: Chat) -> None:
    for n in range(1, 6):
        await kept.send(text(f"secret {n}" if n < 4 else f"{n}", f"{n}"))
    await _edit(kept, 1, "secret too")
    await _edit(kept, 5, "kept")
    # Somebody follows meanwhile, so that a hub has everything.
    async with kept.reading(last=100) as live:
        await live.until("caught_up")
        grow_old(kept.suite.database, 3)
        await _swept(kept, 4)
        assert (await _listed(kept), await _listed(kept, pb2.DIRECTION_NEWER)) == ([5, 4], [4, 5])
        for seq in (1, 2, 3):
            request = pb2.GetMessageRequest(room_id="lobby", seq=seq)
            await refused(kept.suite.messages.GetMessage(request, metadata=_BOB), "MESSAGE_NOT_FOUND")
        log = await _log(kept)
        assert log.oldest_seq == 4
        assert [event.WhichOneof("event") for event in log.events] == [
            "message_created",
            "message_created",
            "message_gone",
            "message_edited",
        ]
        assert log.events[2].message_gone.seq == 1
        opened, *replayed, _ = await _begins_for_streams(kept, 4)
        assert opened.opened.outcome == room_event_pb2.OUTCOME_RESUMED
        assert replayed == list(log.events)
        assert all(b"secret" not in event.SerializeToString() for event in replayed)
        # Who followed goes on without noticing.
        await kept.send(text("on", "on"))
        assert (await live.next()).seq == 8


async def test_a_position_before_the_beginning_is_told_so_everywhere(kept: Chat) -> None:
    await kept.send_many(5)
    before, edge = await kept.position(2), await kept.position(3)
    async with kept.reading(last=0):
        grow_old(kept.suite.database, 3)
        await _swept(kept, 4)
        refusal = await refused(_log(kept, before), "HISTORY_GONE")
        assert refusal.metadata == {"oldest_seq": "4"}
        assert [event.seq for event in (await _log(kept, edge)).events] == [4, 5]
        await _begins_for_streams(kept, 4)
        async with kept.reading(after=before) as reader:
            opened, *replayed, _ = await reader.until("caught_up")
    assert opened.opened.outcome == room_event_pb2.OUTCOME_SNAPSHOT
    assert opened.opened.reason == room_event_pb2.SNAPSHOT_REASON_RETENTION
    assert [event.seq for event in replayed] == [4, 5]


async def test_a_page_token_whose_events_are_swept_meanwhile_is_out_of_range(kept: Chat) -> None:
    await kept.send_many(10)
    request = pb2.ListRoomEventsRequest(room_id="lobby", page_size=2)
    request.page_token = (await kept.suite.messages.ListRoomEvents(request, metadata=_BOB)).next_page_token
    grow_old(kept.suite.database, 5)
    await _swept(kept, 6)
    await refused(kept.suite.messages.ListRoomEvents(request, metadata=_BOB), "HISTORY_GONE")


async def test_a_request_id_is_kept_as_long_as_its_message(kept: Chat) -> None:
    await kept.send(text("old", "1"))
    young = await kept.send(text("young", "2"))
    grow_old(kept.suite.database, 1)
    await _swept(kept, 2)
    assert await kept.send(text("young", "2")) == young
    assert (await kept.send(text("old", "1"))).seq == 3
    await refused(_edit(kept, 1, "x"), "MESSAGE_NOT_FOUND")
    deletion = pb2.DeleteMessageRequest(room_id="lobby", seq=1)
    await refused(kept.suite.messages.DeleteMessage(deletion, metadata=_ALICE), "MESSAGE_NOT_FOUND")


async def test_a_room_whose_messages_are_all_gone_goes_on_where_it_was(kept: Chat) -> None:
    await kept.send_many(3)
    end = await kept.position(3)
    grow_old(kept.suite.database, 3)
    await _swept(kept, 4)
    assert await _listed(kept) == []
    log = await _log(kept)
    assert (list(log.events), log.oldest_seq, log.position) == ([], 4, end)
    assert list((await _log(kept, end)).events) == []
    assert len(await _begins_for_streams(kept, 4)) == 2
    assert (await kept.send(text("on", "on"))).seq == 4
    assert await _listed(kept) == [4]


async def test_a_rooms_own_retention_is_longer_or_shorter_than_the_deployments(kept: Chat) -> None:
    kept.peers.retention |= {"attic": 365, "cellar": 7}
    for room_id in ("lobby", "attic", "cellar"):
        await kept.send_many(3, room_id=room_id)
        # Forty days, ten days, and none.
        grow_old(kept.suite.database, 2, by=timedelta(days=10), room_uid=uid_of(room_id))
        grow_old(kept.suite.database, 1, by=timedelta(days=30), room_uid=uid_of(room_id))
    await _swept(kept, 2, "lobby")
    await _swept(kept, 3, "cellar")
    await _another_walk(kept)
    assert [oldest_seq(kept.suite.database, uid_of(room_id)) for room_id in ("lobby", "attic", "cellar")] == [2, 1, 3]


async def test_a_room_that_is_kept_for_ever_and_one_that_rooms_does_not_know_are_left_alone(kept: Chat) -> None:
    kept.peers.retention["lobby"] = 2**31 - 1
    for room_id in ("lobby", "attic", "cellar"):
        await kept.send_many(2, room_id=room_id)
    del kept.peers.members["attic"]
    for room_id in ("lobby", "attic", "cellar"):
        grow_old(kept.suite.database, 2, by=timedelta(days=3_650), room_uid=uid_of(room_id))
    await _swept(kept, 3, "cellar")
    await _another_walk(kept)
    assert [oldest_seq(kept.suite.database, uid_of(room_id)) for room_id in ("lobby", "attic")] == [1, 1]


@pytest.mark.parametrize("obstacle", ["unavailable", "knows_no_retention"])
async def test_nothing_is_swept_as_long_as_rooms_does_not_say_what_may_be(kept: Chat, obstacle: str) -> None:
    await kept.send_many(3)
    setattr(kept.peers, obstacle, True)
    grow_old(kept.suite.database, 3)
    await _another_walk(kept)
    assert oldest_seq(kept.suite.database) == 1
    setattr(kept.peers, obstacle, False)
    await _swept(kept, 4)


def test_a_deployments_retention_below_the_minimum_is_a_sentence_and_no_start(database: TestDatabase) -> None:
    environ = {**os.environ, "CHATKIT_DATABASE_URL": database.dsn("messages"), "CHATKIT_RETENTION_DAYS": "6"}
    command = [sys.executable, "-m", "services.messages", "serve"]
    ended = subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=HANG_SECONDS, check=False
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith(
        "messages: CHATKIT_RETENTION_DAYS is 6, and messages are kept for 7 days at the least"
    )
    assert ended.stderr.count("\n") == 1


async def _another_walk(chat: Chat) -> None:
    """Return when rooms has been asked twice more: what the first answer brought about is done then."""
    asked = chat.peers.retention_asked
    await eventually(lambda: chat.peers.retention_asked > asked + 1)
