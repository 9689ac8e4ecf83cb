"""The deployment's epoch: which changes of the database, and which commands, make every position void."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import psycopg
import pytest
from chatkit.contract.v1 import error_reason_pb2
from chatkit.messages.v1 import messages_service_pb2 as pb2
from chatkit.messages.v1 import room_event_pb2
from structlog.testing import capture_logs

from services.messages.log.connecting import connecting
from services.runtime.data.epoch import Epoch, rotate
from tests.messages.chat import Chat, text
from tests.support.databases import ROOT, TestDatabase
from tests.support.eventually import HANG_SECONDS
from tests.support.refusals import refused
from tests.support.tokens import user


def _run(database: TestDatabase, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of messages as an operator does."""
    environ = {**os.environ, "CHATKIT_DATABASE_URL": database.dsn("messages")}
    command = [sys.executable, "-m", "services.messages", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=HANG_SECONDS, check=False
    )


def _epoch(database: TestDatabase) -> UUID:
    with psycopg.connect(database.superuser_dsn) as connection:
        row: Sequence[Any] | None = connection.execute("SELECT epoch FROM messages.deployment").fetchone()
    assert row is not None
    return UUID(str(row[0]))


def _pretend(database: TestDatabase, change: str) -> None:
    """Let the database have been another server's, or on another timeline, when it was last written to."""
    with psycopg.connect(database.superuser_dsn) as connection:
        connection.execute(f"UPDATE messages.deployment SET {change}")


async def test_rotated_by_hand_it_ends_live_streams_and_makes_their_positions_void(chat: Chat) -> None:
    await chat.send_many(3)
    async with chat.reading(last=0) as reader:
        position = (await reader.next()).opened.position
        await reader.until("caught_up")
        ended = await asyncio.to_thread(_run, chat.suite.database, "rotate-epoch")
        assert (ended.returncode, ended.stdout) == (0, f"the epoch is {_epoch(chat.suite.database)}\n")
        # Nothing is sent, so no connection is opened: the process looks by itself.
        closed = (await reader.until("closed"))[-1].closed
        assert error_reason_pb2.ErrorReason.Name(closed.reason) == "LOG_RESET"
        # What was sent is of the old log: whoever resumes from there must not be taken for one who knows the new one.
        assert closed.position == position
    async with chat.reading(after=position) as reader:
        opened = (await reader.next()).opened
        assert opened.reason == room_event_pb2.SNAPSHOT_REASON_EPOCH
        assert [event.seq for event in await reader.until("caught_up") if event.seq] == [1, 2, 3]
    request = pb2.ListRoomEventsRequest(room_id="lobby", after=position)
    await refused(chat.suite.messages.ListRoomEvents(request, metadata=user("bob")), "LOG_RESET")
    assert (await chat.send(text("on", "on"))).seq == 4


@pytest.mark.parametrize("change", ["system_identifier = system_identifier + 1", "timeline_id = timeline_id + 1"])
async def test_it_rotates_by_itself_when_the_database_is_not_the_one_that_it_was(chat: Chat, change: str) -> None:
    await chat.send(text("hello", "1"))
    before = _epoch(chat.suite.database)
    async with chat.reading(last=0) as reader:
        await reader.until("caught_up")
        _pretend(chat.suite.database, change)
        closed = (await reader.until("closed"))[-1].closed
        assert error_reason_pb2.ErrorReason.Name(closed.reason) == "LOG_RESET"
    assert _epoch(chat.suite.database) != before


async def test_a_position_that_a_member_has_made_up_is_told_and_alarms_nobody(chat: Chat) -> None:
    await chat.send_many(3)
    async with chat.reading(last=0) as reader:
        position = (await reader.next()).opened.position
    position.seq += 1_000_000
    with capture_logs() as logs:
        async with chat.reading(after=position) as reader:
            assert (await reader.next()).opened.reason == room_event_pb2.SNAPSHOT_REASON_EPOCH
        request = pb2.ListRoomEventsRequest(room_id="lobby", after=position)
        await refused(chat.suite.messages.ListRoomEvents(request, metadata=user("bob")), "LOG_RESET")
    told = [(line["event"], line["log_level"]) for line in logs if line["log_level"] != "debug"]
    assert told == [*[("position_beyond_head", "info")] * 2, ("call_refused", "info")]


async def test_a_log_that_is_shorter_than_it_was_ends_the_epoch_before_its_streams(chat: Chat) -> None:
    await chat.send_many(3)
    before = _epoch(chat.suite.database)
    async with chat.reading(last=0) as reader:
        position = (await reader.next()).opened.position
        await reader.until("caught_up")
        with psycopg.connect(chat.suite.database.superuser_dsn) as connection:
            connection.execute("DELETE FROM messages.messages WHERE seq > 1")
            connection.execute("UPDATE messages.heads SET seq = 1, ordinal = 1")
        assert error_reason_pb2.ErrorReason.Name((await reader.until("closed"))[-1].closed.reason) == "LOG_RESET"
    after = _epoch(chat.suite.database)
    assert after != before
    # The log grows past what the client has seen, with other messages.
    for request_id in ("other 2", "other 3", "other 4"):
        await chat.send(text(request_id, request_id))
    async with chat.reading(after=position) as reader:
        assert (await reader.next()).opened.reason == room_event_pb2.SNAPSHOT_REASON_EPOCH
        assert [event.seq for event in await reader.until("caught_up") if event.seq] == [1, 2, 3, 4]
    assert _epoch(chat.suite.database) == after


async def test_it_stays_when_the_process_starts_anew(chat: Chat) -> None:
    before = _epoch(chat.suite.database)
    await chat.suite.restart("messages")
    await chat.send(text("hello", "1"))
    assert _epoch(chat.suite.database) == before


async def test_a_new_connection_looks_before_anything_is_appended(database: TestDatabase) -> None:
    changes: list[str] = []
    epoch = Epoch("messages")
    epoch.listen(lambda: changes.append("changed"))
    connect = connecting(database.dsn("messages"), epoch)
    async with connect():
        first = epoch.value
    async with connect():
        assert (epoch.value, changes) == (first, [])
    assert rotate(database.dsn("messages"), "messages") == _epoch(database) != first
    async with connect():
        assert (epoch.value, changes) == (_epoch(database), ["changed"])


def test_where_nothing_was_written_there_is_nothing_to_rotate(database: TestDatabase) -> None:
    ended = _run(database, "rotate-epoch")
    assert (ended.returncode, ended.stdout) == (0, "nothing was ever written: there is nothing to rotate\n")


def test_a_database_that_is_away_is_one_line_and_status_2(database: TestDatabase) -> None:
    with psycopg.connect(database.superuser_dsn) as connection:
        connection.execute("ALTER TABLE messages.deployment RENAME TO gone")
    ended = _run(database, "rotate-epoch")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("messages: ")
    assert (ended.returncode, ended.stdout) == (2, "")
