"""The steps of docs/backup.md, run as they stand there: each schema put back alone, and all together."""

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from services.stack.machine.cluster import BINARIES, DATABASE, SUPERUSER
from tests.deploy.compose import sample
from tests.messages.chat import text
from tests.stack.commands.comparing import COMPARES, EXPECTED, found, later
from tests.support.databases import ROOT, TestDatabase
from tests.support.eventually import HANG_SECONDS
from tests.support.stack import running_stack
from tests.support.suite import Suite, running
from tests.support.tokens import user

PAGE = (ROOT / "docs" / "backup.md").read_text()
STEPS = dict(re.findall(r"```sh (\S+)\n(.*?)```", PAGE, re.DOTALL))
_UNNOTICED = "PUT_BACK_UNNOTICED"
_VOLUME = "/var/lib/chatkit"
# Does what Docker would do in a container, on the test's own database and folder.
_DOCKER = """#!/usr/bin/env bash
set -eu
[ "$1 $2 $3" = "compose exec -T" ] && shift 3
while [ "$1" = -e ]; do export "$2"; shift 2; done
[ "$1" = files ] || [ "$1 $PGUSER $PGDATABASE" = "postgres $SUPERUSER $DATABASE" ]
export PGDATABASE="$TESTED"
shift
exec "${@//$VOLUME/$CONTENT}"
"""


@pytest.fixture
async def suite(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Suite]:
    """Run all services, with a room of two."""
    async with running(database, tmp_path, *COMPARES) as started:
        await started.make_users("alice", "bob")
        await started.make_room("lobby", "alice", "bob")
        yield started


async def _run(steps: str, told: Mapping[str, str]) -> str:
    """Run steps of the page, and return what was said."""
    command = ["bash", "-eu", "-o", "pipefail", "-c", steps]
    ended = await asyncio.to_thread(
        subprocess.run, command, env=told, cwd=ROOT, capture_output=True, text=True, timeout=HANG_SECONDS, check=False
    )
    return f"{ended.stdout}{ended.stderr}"


async def _step(suite: Suite, name: str, backup: str, **variables: str) -> str:
    """Run a step of the page as in compose, with what stands in for Docker."""
    docker = suite.folder / "bin" / "docker"
    docker.parent.mkdir(exist_ok=True)
    docker.write_text(_DOCKER)
    docker.chmod(0o700)
    (suite.folder / "blobs").mkdir(exist_ok=True)
    database = conninfo_to_dict(suite.database.superuser_dsn)
    told = {
        "PATH": f"{docker.parent}:{BINARIES}:{os.environ['PATH']}",
        "PGHOST": str(database["host"]),
        "PGPASSWORD": str(database["password"]),
        "SUPERUSER": SUPERUSER,
        "DATABASE": DATABASE,
        "VOLUME": _VOLUME,
        "TESTED": str(database["dbname"]),
        "CONTENT": str(suite.folder / "blobs"),
        "BACKUP": str(suite.folder / backup),
        **variables,
    }
    return await _run(STEPS["compose"] + STEPS[name], told)


async def _done(suite: Suite, name: str, backup: str, **variables: str) -> None:
    assert await _step(suite, name, backup, **variables) == ""


async def _back_up(suite: Suite, backup: str) -> None:
    await _done(suite, "back-up", backup)
    await _done(suite, "content", backup)


async def _wrong(suite: Suite) -> set[tuple[str, str]]:
    return {(service, kind) for service, kind in await found(suite) if kind != _UNNOTICED}


@pytest.mark.parametrize("schema", EXPECTED)
async def test_one_schema_is_put_back_and_put_forward_again(suite: Suite, schema: str) -> None:
    await _back_up(suite, "before")
    await later(suite)
    await _back_up(suite, "after")
    assert await _wrong(suite) == set()
    await _done(suite, "put-back", "before", SCHEMAS=schema)
    assert await _wrong(suite) == EXPECTED[schema]
    await _done(suite, "put-back", "after", SCHEMAS=schema)
    assert await _wrong(suite) == set()


async def test_all_are_put_back_with_their_content(suite: Suite) -> None:
    await later(suite)
    await _back_up(suite, "backup")
    stored = {path.name for path in (suite.folder / "blobs").rglob("*") if path.is_file()}
    await suite.make_users("dave")
    await suite.messages.SendMessage(text("lost", "lost"), metadata=user("alice"))
    shutil.rmtree(suite.folder / "blobs")
    assert await _wrong(suite) == {("files", "STORE")}
    await _done(suite, "put-content-back", "backup")
    await _done(suite, "put-back", "backup")
    assert await _wrong(suite) == set()
    assert {path.name for path in (suite.folder / "blobs").rglob("*") if path.is_file()} == stored
    # It goes on: the message that is not there any more is written anew.
    sent = await suite.messages.SendMessage(text("again", "again"), metadata=user("alice"), wait_for_ready=True)
    assert sent.message.seq == 1


@pytest.mark.parametrize("has_copy", [True, False])
async def test_a_schema_whose_copy_can_not_be_read_is_left_as_it_is(suite: Suite, has_copy: bool) -> None:
    await _back_up(suite, "backup")
    copy = suite.folder / "backup" / "messages.dump"
    whole = copy.read_bytes()
    copy.unlink()
    if has_copy:
        copy.write_bytes(whole[: len(whole) // 2])
    assert await _step(suite, "put-back", "backup", SCHEMAS="messages") != ""
    assert await _wrong(suite) == set()


async def test_on_one_machine_the_page_is_all_that_is_needed(tmp_path: Path) -> None:
    async with running_stack() as stack:
        told = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("CHATKIT_", "PG"))},
            "CHATKIT_HOME": str(stack.home.folder),
            "BACKUP": str(tmp_path / "backup"),
        }
        (stack.home.folder / "blobs" / "kept").write_text("content")
        steps = ["one-machine", "back-up", "content"]
        assert await _run("".join(STEPS[name] for name in steps), told) == ""
        (stack.home.folder / "blobs" / "kept").unlink()
        steps = ["one-machine", "put-content-back", "put-back"]
        assert await _run("".join(STEPS[name] for name in steps), told) == ""
        assert (stack.home.folder / "blobs" / "kept").read_text() == "content"
        (repairing,) = re.findall(r"`(xargs .*? sh)`", PAGE)
        said = await _run(f"{repairing.replace('PID', str(stack.pid('files')))} && echo done", told)
        assert said.endswith("done\n"), said


def test_compose_is_as_the_page_says() -> None:
    services = sample()["services"]
    assert services["postgres"]["environment"].keys() & {"POSTGRES_USER", "POSTGRES_DB"} == set()
    assert services["bootstrap"]["environment"]["CHATKIT_DATABASE"] == DATABASE
    assert services["files"]["environment"]["CHATKIT_BLOB_DIR"] == _VOLUME


def test_the_page_is_short_and_its_steps_are_numbered() -> None:
    assert len(PAGE.splitlines()) <= 120
    assert re.findall(r"^(\d+)\. ", PAGE, re.MULTILINE) == [str(number) for number in range(1, 8)]


def test_every_finding_stands_on_the_page() -> None:
    source = "".join((ROOT / "services" / name / "verifying.py").read_text() for name in (*COMPARES, "runtime/process"))
    kinds = set(re.findall(r'"([A-Z]+(?:_[A-Z]+)*)"', source))
    assert kinds
    assert [kind for kind in sorted(kinds) if kind not in PAGE] == []
