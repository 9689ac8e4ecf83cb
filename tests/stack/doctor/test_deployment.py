"""`./chatkit doctor` of a deployment that is told by where its processes and its PostgreSQL are."""

import asyncio
import json
from pathlib import Path

import psycopg
import pytest

from services.stack.cli import main
from tests.support.databases import TestDatabase
from tests.support.eventually import until
from tests.support.nats import running as running_nats
from tests.support.suite import running

Captured = pytest.CaptureFixture[str]
_AWAY = "127.0.0.1:1"


async def test_processes_and_a_database_are_looked_at_wherever_they_are(
    database: TestDatabase, tmp_path: Path, capsys: Captured
) -> None:
    with running_nats(tmp_path) as nats:
        async with running(database, tmp_path, "users", "rooms", nats=nats, metrics_listen="127.0.0.1:0") as suite:
            told = [f"--process={name}-1={server.metrics_address}" for name, server in suite.servers.items()]
            told += [f"--process=nats={nats.url('users').rpartition('@')[2]}", f"--database={database.superuser_dsn}"]

            async def is_well() -> bool:
                # On a busy machine one may not answer in time.
                return await asyncio.to_thread(main, ["doctor", *told]) == 0

            await until(is_well)
            assert capsys.readouterr().out.endswith("nothing is wrong\n")
            more = (f"--process=messages-2={_AWAY}", "--certificate=/nowhere.pem", "--json")
            assert await asyncio.to_thread(main, ["doctor", *told, *more]) == 1
    out = capsys.readouterr().out
    # Services in this process log beside it.
    told_of, _ = json.JSONDecoder().raw_decode(out, out.index("{\n"))
    found = [one["what"] for one in told_of["findings"]]
    assert found == [
        "messages-2 does not answer",
        "the certificate /nowhere.pem can't be read (No such file or directory)",
    ]


def test_a_service_with_a_database_of_its_own_needs_its_own_schema_only(
    database: TestDatabase, capsys: Captured
) -> None:
    with psycopg.connect(database.superuser_dsn) as connection:
        connection.execute("DROP SCHEMA rooms CASCADE")
    assert main(["doctor", f"--database=users={database.superuser_dsn}"]) == 0
    assert main(["doctor", f"--database={database.superuser_dsn}"]) == 1
    assert "broken  the schema rooms was not made" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("--process=messages-2", "--process 'messages-2' is not like messages-2=HOST:PORT"),
        ("--process=postgres=127.0.0.1:5432", "names begin with users, rooms, messages, files, edge or nats"),
        ("--database=secret of somebody", "--database must be like users=postgresql://USER@HOST/DATABASE\n"),
    ],
)
def test_what_can_not_be_looked_at_is_a_sentence(argument: str, sentence: str, capsys: Captured) -> None:
    assert main(["doctor", argument]) == 1
    said = capsys.readouterr().err
    assert sentence in said
    assert "secret" not in said
