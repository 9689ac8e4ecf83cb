"""A service process as its supervisor sees it: one line and a status."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.stack.roles import SERVICES
from tests.support import tokens
from tests.support.databases import ROOT


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Return an environment with which a service would start."""
    keys, service_keys = tokens.write_keys(tmp_path)
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("CHATKIT_")},
        "CHATKIT_DATABASE_URL": "postgresql://nobody@/nothing",
        "CHATKIT_KEYS_FILE": str(keys),
        "CHATKIT_SERVICE_KEYS_FILE": str(service_keys),
        "CHATKIT_INSTANCE": tokens.INSTANCE,
    }


def _run(environ: dict[str, str], *arguments: str, service: str = "users") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"services.{service}", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("service", SERVICES)
def test_a_bad_limit_is_one_line_with_its_name_and_status_2(environ: dict[str, str], service: str) -> None:
    ended = _run({**environ, "CHATKIT_LIMIT_ROOM_MEMBERS": "many"}, "serve", service=service)
    assert ended.stderr == f"{service}: CHATKIT_LIMIT_ROOM_MEMBERS must be a positive whole number, not 'many'\n"
    assert (ended.returncode, ended.stdout) == (2, "")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("CHATKIT_LOG_FORMAT", "xml", "CHATKIT_LOG_FORMAT"),
        ("CHATKIT_DATABASE_URL", "database:hush", "a database's URL"),
        ("CHATKIT_KEYS_FILE", "/nowhere/keys.json", "/nowhere/keys.json"),
        ("CHATKIT_LISTEN", "127.0.0.1:port", "127.0.0.1:port can't be listened on"),
    ],
)
def test_a_setting_with_which_no_service_can_run_is_one_line_and_status_2(
    environ: dict[str, str], name: str, value: str, told: str
) -> None:
    # gRPC says in lines of its own what it could not bind.
    ended = _run({**environ, name: value, "GRPC_VERBOSITY": "NONE"}, "serve")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("users: ")
    assert told in line
    assert "hush" not in line
    assert ended.returncode == 2


def test_the_command_must_be_named(environ: dict[str, str]) -> None:
    for arguments in ((), ("restart",)):
        ended = _run(environ, *arguments)
        assert ended.returncode == 2
        assert "usage: services.users" in ended.stderr


def test_logs_are_one_json_object_a_line(environ: dict[str, str]) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "services.users", "serve"],
        cwd=ROOT,
        env=environ,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        first = json.loads(process.stderr.readline())
        process.terminate()
        rest = [json.loads(line) for line in process.stderr]
    assert (first["event"], first["service"], first["level"]) == ("listening", "users", "info")
    assert first["timestamp"].endswith("Z")
    assert rest[-1]["event"] == "stopping"
    assert process.returncode == 0
