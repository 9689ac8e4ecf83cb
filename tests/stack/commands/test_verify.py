"""What `verify` of each service says when one schema was put back, and that it says nothing before."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.stack.commands.comparing import COMPARES, EXPECTED, found, later
from tests.support.copies import copy, put_back
from tests.support.databases import ROOT, TestDatabase
from tests.support.suite import Suite, running


@pytest.fixture
async def suite(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Suite]:
    """Run all services, with a room of two."""
    async with running(database, tmp_path, *COMPARES) as started:
        await started.make_users("alice", "bob")
        await started.make_room("lobby", "alice", "bob")
        yield started


@pytest.mark.parametrize("schema", EXPECTED)
async def test_it_says_what_does_not_fit_after_one_schema_was_put_back(suite: Suite, schema: str) -> None:
    dsn = suite.database.superuser_dsn
    copy(dsn, schema, suite.folder / "before")
    await later(suite)
    copy(dsn, schema, suite.folder / "after")
    assert await found(suite) == set()
    put_back(dsn, schema, suite.folder / "before")
    assert await found(suite) - {(schema, "PUT_BACK_UNNOTICED")} == EXPECTED[schema]
    put_back(dsn, schema, suite.folder / "after")
    assert await found(suite) - {(schema, "PUT_BACK_UNNOTICED")} == set()


async def test_all_put_back_together_fits(suite: Suite) -> None:
    dsn = suite.database.superuser_dsn
    for schema in EXPECTED:
        copy(dsn, schema, suite.folder / schema)
    await later(suite)
    for schema in EXPECTED:
        put_back(dsn, schema, suite.folder / schema)
    # The content of the file is nobody's by then, and young: it is left alone for an hour.
    assert {kind for _, kind in await found(suite)} <= {"PUT_BACK_UNNOTICED"}


async def test_a_log_that_does_not_fit_its_head_and_a_cursor_beyond_it_are_told(suite: Suite) -> None:
    await later(suite)
    with psycopg.connect(suite.database.superuser_dsn) as connection:
        connection.execute("UPDATE messages.heads SET seq = seq + 1")
        columns = "messages.read_cursors (room_uid, user_uid, user_id, seq, revision, update_time, moved_xid)"
        values = "SELECT room_uid, room_uid, 'x', 9, 1, now(), pg_current_xact_id() FROM messages.heads"
        connection.execute(f"INSERT INTO {columns} {values}")
    assert await found(suite) == {("messages", "LOG_INCOMPLETE"), ("messages", "CURSOR_BEYOND_HEAD")}


async def test_the_command_has_a_line_for_each_and_a_status(suite: Suite) -> None:
    await later(suite)
    told = suite.settings_of("rooms")
    environ: dict[str, Any] = {
        **os.environ,
        "CHATKIT_DATABASE_URL": told.database_url.get_secret_value(),
        "CHATKIT_KEYS_FILE": str(told.keys_file),
        "CHATKIT_SERVICE_KEYS_FILE": str(told.service_keys_file),
        "CHATKIT_USERS_ADDRESS": told.users_address,
    }

    def run(*flags: str, **changes: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "services.rooms", "verify", *flags]
        return subprocess.run(
            command, cwd=ROOT, env={**environ, **changes}, capture_output=True, text=True, check=False
        )

    assert (await asyncio.to_thread(run)).returncode == 0
    with psycopg.connect(suite.database.superuser_dsn) as connection:
        connection.execute("DELETE FROM users.users WHERE id = 'carol'")
    ended = await asyncio.to_thread(run, "--json")
    line = {"service": "rooms", "kind": "MEMBER_UNKNOWN", "id": "carol", "is_note": False}
    assert ended.returncode == 1
    assert json.loads(ended.stdout).items() >= line.items()
    await suite.stop("users")
    assert (await asyncio.to_thread(run)).returncode == 2
