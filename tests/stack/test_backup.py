"""The steps of docs/backup.md, run as they stand there: each schema put back alone, and all together."""

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.stack.postgres import BINARIES
from tests.messages.chat import text
from tests.stack.test_verify import COMPARES, EXPECTED, found, later
from tests.support.databases import ROOT, TestDatabase
from tests.support.eventually import HANG_SECONDS
from tests.support.suite import Suite, running
from tests.support.tokens import user

STEPS = dict(re.findall(r"```sh (\S+)\n(.*?)```", (ROOT / "docs" / "backup.md").read_text(), re.DOTALL))
_UNNOTICED = "PUT_BACK_UNNOTICED"


@pytest.fixture
async def suite(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Suite]:
    """Run all services, with a room of two."""
    async with running(database, tmp_path, *COMPARES) as started:
        await started.make_users("alice", "bob")
        await started.make_room("lobby", "alice", "bob")
        yield started


async def _step(suite: Suite, name: str, backup: str, **variables: str) -> None:
    """Run a step of the page."""
    told = {
        "PATH": f"{BINARIES}:{os.environ['PATH']}",
        "DATABASE": suite.database.superuser_dsn,
        "BACKUP": str(suite.folder / backup),
        "BLOBS": str(suite.folder / "blobs"),
        **variables,
    }
    command = ["bash", "-eu", "-o", "pipefail", "-c", STEPS[name]]
    ended = await asyncio.to_thread(
        subprocess.run, command, env=told, capture_output=True, text=True, timeout=HANG_SECONDS, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr


async def _back_up(suite: Suite, backup: str) -> None:
    await _step(suite, "back-up", backup)
    await _step(suite, "content", backup)


async def _wrong(suite: Suite) -> set[tuple[str, str]]:
    return {(service, kind) for service, kind in await found(suite) if kind != _UNNOTICED}


@pytest.mark.parametrize("schema", EXPECTED)
async def test_one_schema_is_put_back_and_put_forward_again(suite: Suite, schema: str) -> None:
    await _back_up(suite, "before")
    await later(suite)
    await _back_up(suite, "after")
    assert await _wrong(suite) == set()
    await _step(suite, "put-back", "before", SCHEMAS=schema)
    assert await _wrong(suite) == EXPECTED[schema]
    await _step(suite, "put-back", "after", SCHEMAS=schema)
    assert await _wrong(suite) == set()


async def test_all_are_put_back_with_their_content(suite: Suite) -> None:
    await later(suite)
    await _back_up(suite, "backup")
    stored = {path.name for path in (suite.folder / "blobs").rglob("*") if path.is_file()}
    await suite.make_users("dave")
    await suite.messages.SendMessage(text("lost", "lost"), metadata=user("alice"))
    shutil.rmtree(suite.folder / "blobs")
    assert await _wrong(suite) == {("files", "STORE")}
    await _step(suite, "put-content-back", "backup")
    await _step(suite, "put-back", "backup")
    assert await _wrong(suite) == set()
    assert {path.name for path in (suite.folder / "blobs").rglob("*") if path.is_file()} == stored
    # It goes on: the message that is not there any more is written anew.
    sent = await suite.messages.SendMessage(text("again", "again"), metadata=user("alice"), wait_for_ready=True)
    assert sent.message.seq == 1


def test_every_finding_stands_on_the_page() -> None:
    source = "".join((ROOT / "services" / name / "verifying.py").read_text() for name in (*COMPARES, "runtime"))
    kinds = set(re.findall(r'"([A-Z]+(?:_[A-Z]+)*)"', source))
    page = (ROOT / "docs" / "backup.md").read_text()
    assert kinds
    assert [kind for kind in sorted(kinds) if kind not in page] == []
