"""A service is moved to a PostgreSQL of its own by the steps of its page, and nothing of it is lost."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from chatkit.messages.v1 import messages_service_pb2 as pb2

from services.stack.bootstrap import password_variable
from services.stack.machine.cluster import BINARIES, DATABASE
from services.stack.machine.postgres import Postgres
from services.stack.roles import all_roles, role_names
from tests.checks.steps import ROOT
from tests.deploy.runbooks.console import Shell, steps
from tests.messages.chat import text
from tests.support.databases import TestDatabase
from tests.support.suite import Suite
from tests.support.tokens import user

_STEPS = list(steps(ROOT / "operations" / "runbooks" / "own-postgres.md"))
_MOVED = "messages"


@pytest.fixture
def new_server(short_path: Path) -> Iterator[Postgres]:
    """Run a server that has nothing yet."""
    with Postgres(short_path / "data", short_path / "postgres.log", password="superuser") as server:
        yield server


def _told(old: TestDatabase, new: Postgres) -> dict[str, str]:
    return {
        "PATH": f"{BINARIES}:{os.environ['PATH']}",
        "SERVICE": _MOVED,
        "OLD": old.superuser_dsn,
        "NEW_SERVER": new.superuser_dsn,
        "NEW": new.dsn("postgres", new.password, DATABASE),
        "CHATKIT_MIGRATE_DATABASE_URL": new.dsn(role_names(_MOVED)[1], _password(role_names(_MOVED)[1]), DATABASE),
        **{password_variable(role): _password(role) for role in all_roles()},
    }


def _password(role: str) -> str:
    return f"new password of {role}"


async def _take(shell: Shell, kind: str) -> None:
    taken = [step for step in _STEPS if step.kinds == {kind}]
    assert taken
    for step in taken:
        said = await shell.type(step.command)
        assert step.fits(said), f"{step.command}\n\nprints:\n{said}"


async def _texts(suite: Suite) -> list[tuple[int, str]]:
    page = await suite.messages.ListMessages(
        pb2.ListMessagesRequest(room_id="lobby"), metadata=user("alice"), wait_for_ready=True
    )
    return sorted((message.seq, message.parts[0].content) for message in page.messages)


async def test_messages_get_a_server_of_their_own(suite: Suite, new_server: Postgres) -> None:
    await suite.make_users("alice", "bob")
    await suite.make_room("lobby", "alice", "bob")
    for number in range(3):
        await suite.messages.SendMessage(text(f"before {number}", f"{number}"), metadata=user("alice"))
    before = await _texts(suite)
    assert len(before) == 3
    shell = await Shell.start(ROOT, _told(suite.database, new_server))
    try:
        await shell.type(f"cd {suite.folder} && ln -s {ROOT / '.venv'} {ROOT / 'services'} .")
        await _take(shell, "before")
        await suite.stop(_MOVED)
        await _take(shell, "stopped")
        role = role_names(_MOVED)[0]
        address = suite.servers[_MOVED].address
        await suite.start(_MOVED, listen=address, database_url=new_server.dsn(role, _password(role), DATABASE))
        await _take(shell, "after")
    finally:
        await shell.close()
    assert await _texts(suite) == before
    sent = await suite.messages.SendMessage(text("after", "after"), metadata=user("bob"), wait_for_ready=True)
    assert sent.message.seq == len(before) + 1
