"""A service process as its supervisor sees it: one line and a status."""

import asyncio
import gc
import json
import os
import re
import runpy
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from types import SimpleNamespace
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from services.runtime import logs
from services.runtime.clock import Clock
from services.runtime.identity.api_keys import ApiKey
from services.runtime.process import main
from services.runtime.settings import Settings
from services.stack.roles import EPOCHS, SERVICES
from tests.support import tokens
from tests.support.databases import ROOT, TestDatabase
from tests.support.eventually import HANG_SECONDS


@dataclass(frozen=True)
class Ended:
    """How a process has ended, and what it has written."""

    status: int
    stdout: str
    stderr: str


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Set an environment with which a service would start."""
    for name in os.environ:
        if name.startswith("CHATKIT_"):
            monkeypatch.delenv(name)
    keys, service_keys = tokens.write_keys(tmp_path)
    monkeypatch.setenv("CHATKIT_DATABASE_URL", "postgresql://nobody@/nothing")
    monkeypatch.setenv("CHATKIT_KEYS_FILE", str(keys))
    monkeypatch.setenv("CHATKIT_SERVICE_KEYS_FILE", str(service_keys))
    monkeypatch.setenv("CHATKIT_INSTANCE", tokens.INSTANCE)
    return monkeypatch


_OF_GRPC = re.compile(r"[IWEF]\d{4} ")


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Restore how the test's process takes signals: uvloop leaves its own handlers when it closes, which do nothing."""
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


class Here:
    """Runs what `python -m` would run, in the test's process: an interpreter of its own takes a second to import it."""

    def __init__(self, environ: pytest.MonkeyPatch, captured: pytest.CaptureFixture[str]) -> None:
        self._environ = environ
        self._captured = captured
        # It would redirect the logs of all tests that follow.
        environ.setattr(logs, "configure", lambda *_: None)

    def __call__(self, *arguments: str, service: str = "users", **variables: str) -> Ended:
        """Run a service's command, with these variables as well."""
        with self._environ.context() as changed:
            changed.setattr(sys, "argv", [service, *arguments])
            for name, value in variables.items():
                changed.setenv(name, value)
            with pytest.raises(SystemExit) as ended, _signals_kept():
                runpy.run_module(f"services.{service}", run_name="__main__")
        assert isinstance(ended.value.code, int)
        stdout, stderr = self._captured.readouterr()
        # gRPC says in lines of its own what it could not bind.
        told = [line for line in stderr.splitlines(keepends=True) if not _OF_GRPC.match(line)]
        return Ended(ended.value.code, stdout, "".join(told))


@pytest.fixture
def run(environ: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Here:
    """Lend what runs a service's commands."""
    return Here(environ, capfd)


_CAN_NOT_BE_READ = "can't be read: No such file or directory"


@pytest.mark.parametrize("service", SERVICES)
def test_a_bad_limit_is_one_line_with_its_name_and_status_2(run: Here, service: str) -> None:
    ended = run("serve", service=service, CHATKIT_LIMIT_ROOM_MEMBERS="many")
    assert ended.stderr == f"{service}: CHATKIT_LIMIT_ROOM_MEMBERS must be a positive whole number, not 'many'\n"
    assert (ended.status, ended.stdout) == (2, "")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("CHATKIT_LOG_FORMAT", "xml", "CHATKIT_LOG_FORMAT"),
        ("CHATKIT_DATABASE_URL", "database:hush", "a database's URL"),
        ("CHATKIT_NATS_URL", "http://hush@nowhere", "CHATKIT_NATS_URL must be like"),
        ("CHATKIT_KEYS_FILE", "/nowhere/keys.json", f"CHATKIT_KEYS_FILE: /nowhere/keys.json {_CAN_NOT_BE_READ}"),
        ("CHATKIT_KEYS_FILE", "/", "CHATKIT_KEYS_FILE: / can't be read: Is a directory"),
        ("CHATKIT_SERVICE_KEYS_FILE", "no.json", f"CHATKIT_SERVICE_KEYS_FILE: no.json {_CAN_NOT_BE_READ}"),
        ("CHATKIT_LISTEN", "127.0.0.1:port", "127.0.0.1:port can't be listened on"),
        ("CHATKIT_JWKS_FILE", "/nowhere/jwks.json", f"CHATKIT_JWKS_FILE: /nowhere/jwks.json {_CAN_NOT_BE_READ}"),
        ("CHATKIT_TLS_CA_FILE", "/nowhere/ca.pem", "CHATKIT_TLS_CERTIFICATE_FILE, CHATKIT_TLS_KEY_FILE is missing"),
    ],
)
def test_a_setting_with_which_no_service_can_run_is_one_line_and_status_2(
    run: Here, name: str, value: str, told: str
) -> None:
    ended = run("serve", **{name: value})
    (line,) = ended.stderr.splitlines()
    assert line.startswith("users: ")
    assert told in line
    assert "hush" not in line
    assert ended.status == 2


@pytest.mark.parametrize("command", ["serve", "verify"])
def test_a_file_that_is_not_there_is_told_with_the_setting_that_names_it(
    run: Here, command: str, environ: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environ.setenv("CHATKIT_NATS_URL", "tls://users:x@127.0.0.1:1")
    ended = run("serve", CHATKIT_NATS_CA_FILE="/nowhere/ca.pem")
    assert ended.stderr == f"users: CHATKIT_NATS_CA_FILE: /nowhere/ca.pem {_CAN_NOT_BE_READ}\n"
    tls = {f"CHATKIT_TLS_{part}_FILE": str(tmp_path / part) for part in ("CERTIFICATE", "KEY", "CA")}
    ended = run(command, **tls)
    assert ended.stderr.startswith(f"users: CHATKIT_TLS_CERTIFICATE_FILE: {tmp_path}/CERTIFICATE {_CAN_NOT_BE_READ}")
    # Also what holds where nobody has named a file.
    environ.delenv("CHATKIT_KEYS_FILE")
    environ.chdir(tmp_path)
    (tmp_path / "keys.json").unlink()
    ended = run(command)
    assert (ended.status, ended.stderr) == (2, f"users: CHATKIT_KEYS_FILE: keys.json {_CAN_NOT_BE_READ}\n")


def test_sample_secrets_are_refused_in_one_line_that_does_not_show_them(run: Here, tmp_path: Path) -> None:
    sample = tmp_path / "sample.json"
    tokens.write(sample, ApiKey("example", "sample-hush, which everybody can read in an example"))
    for name, value, command in (
        ("CHATKIT_KEYS_FILE", str(sample), "serve"),
        ("CHATKIT_SERVICE_KEYS_FILE", str(sample), "serve"),
        ("CHATKIT_DATABASE_URL", "postgresql://users:sample-hush@nowhere/chatkit", "serve"),
        ("CHATKIT_MIGRATE_DATABASE_URL", "postgresql://users:sample-hush@nowhere/chatkit", "migrate"),
        ("CHATKIT_NATS_URL", "nats://sample-hush@nowhere", "serve"),
    ):
        ended = run(command, **{name: value})
        (line,) = ended.stderr.splitlines()
        assert line.startswith("users: ")
        assert "is a sample secret" in line
        assert "CHATKIT_ALLOW_SAMPLE_SECRETS=true" in line
        assert "hush" not in line
        assert ended.status == 2
    # Allowed, the next thing that is wrong is told.
    told = {"CHATKIT_KEYS_FILE": str(sample), "CHATKIT_ALLOW_SAMPLE_SECRETS": "true", "CHATKIT_LISTEN": "127.0.0.1:x"}
    assert "can't be listened on" in run("serve", **told).stderr


_NOWHERE = "postgresql://users:hush@127.0.0.1:1/chatkit"


@pytest.mark.parametrize(
    ("service", "command"),
    [*((service, "migrate") for service in SERVICES), *((service, "rotate-epoch") for service in EPOCHS)],
)
def test_a_database_that_is_away_is_one_sentence_without_its_password(run: Here, service: str, command: str) -> None:
    ended = run(command, service=service, CHATKIT_DATABASE_URL=_NOWHERE, CHATKIT_MIGRATE_DATABASE_URL=_NOWHERE)
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"{service}: the database can't be reached: ")
    assert "hush" not in line
    assert (ended.status, ended.stdout) == (2, "")


def test_a_password_that_the_database_refuses_is_told_as_that_and_not_shown(run: Here, database: TestDatabase) -> None:
    given = conninfo_to_dict(database.migrate_dsn("users"))
    url = f"postgresql://{given['user']}:hush@/{given['dbname']}?host={given['host']}"
    ended = run("migrate", CHATKIT_MIGRATE_DATABASE_URL=url)
    refusal = 'password authentication failed for user "chatkit_users_migrate"'
    assert (ended.status, ended.stderr) == (2, f"users: the database refuses the connection: {refusal}\n")
    ended = run("migrate", CHATKIT_MIGRATE_DATABASE_URL=url.replace(":hush@", "@"))
    assert ended.stderr == "users: the database refuses the connection: no password supplied\n"


def test_migrate_says_what_it_did(run: Here, database: TestDatabase) -> None:
    ended = run("migrate", CHATKIT_MIGRATE_DATABASE_URL=database.migrate_dsn("users"))
    assert re.fullmatch(r"users: nothing to do, the schema is at [0-9]{4}\n", ended.stdout)
    assert (ended.status, ended.stderr) == (0, "")


def test_migrate_must_be_told_where(run: Here) -> None:
    assert run("migrate").stderr == "users: CHATKIT_MIGRATE_DATABASE_URL is not set\n"


@pytest.mark.parametrize("service", SERVICES)
def test_every_command_is_there(service: str) -> None:
    for command in runpy.run_module(f"services.{service}.__main__")["COMMANDS"].values():
        assert callable(resolve_name(command.run))


def test_the_command_must_be_named(run: Here) -> None:
    for arguments in ((), ("restart",)):
        ended = run(*arguments)
        assert ended.status == 2
        assert "usage: services.users" in ended.stderr


@pytest.mark.usefixtures("environ")
def test_a_process_that_can_not_serve_ends_with_its_line_and_its_status() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "services.users", "serve"],
        cwd=ROOT,
        env={**os.environ, "CHATKIT_LOG_FORMAT": "xml"},
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=False,
    )
    (line,) = ended.stderr.splitlines()
    assert line.startswith("users: CHATKIT_LOG_FORMAT: ")
    assert (ended.returncode, ended.stdout) == (2, "")


def _served(drain_seconds: float) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "services.users", "serve"],
        cwd=ROOT,
        env={**os.environ, "CHATKIT_DRAIN_SECONDS": f"{drain_seconds}"},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.usefixtures("environ")
def test_logs_are_one_json_object_a_line() -> None:
    with _served(drain_seconds=0.1) as process:
        assert process.stderr is not None
        first = json.loads(process.stderr.readline())
        process.terminate()
        rest = [json.loads(line) for line in process.stderr]
    assert (first["event"], first["service"], first["level"]) == ("listening", "users", "info")
    assert first["timestamp"].endswith("Z")
    # What it has to say of a database that is away may come at any time.
    told = [line["event"] for line in rest]
    assert [event for event in told if event in {"draining", "stopping"}] == ["draining", "stopping"]
    assert process.returncode == 0


@pytest.mark.usefixtures("environ")
def test_a_process_that_drains_is_stopped_at_once_by_the_other_signal() -> None:
    with _served(drain_seconds=3600) as process:
        assert process.stderr is not None
        assert json.loads(process.stderr.readline())["event"] == "listening"
        process.send_signal(signal.SIGTERM)
        events = iter(json.loads(line)["event"] for line in process.stderr)
        assert "draining" in events
        process.send_signal(signal.SIGINT)
        # What it has to say of a database that is away may come after that.
        assert "stopping" in list(events)
    assert process.returncode == 0


async def test_what_stays_is_left_out_when_garbage_is_collected(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(gc, "freeze", lambda: done.append("frozen"))

    @asynccontextmanager
    async def build(_settings: Settings, _clock: Clock) -> AsyncIterator[Any]:
        done.append("built")
        failed = asyncio.Event()
        failed.set()
        yield SimpleNamespace(lifetime=SimpleNamespace(failed=failed))

    assert await main._serve(build, Settings()) == 1
    assert done == ["built", "frozen"]
