"""A service process as its supervisor sees it: one line and a status."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from services.runtime.keys import ApiKey
from services.stack.roles import SERVICES
from tests.support import tokens
from tests.support.databases import ROOT
from tests.support.eventually import HANG_SECONDS


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
    return subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=HANG_SECONDS, check=False
    )


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
        ("CHATKIT_NATS_URL", "http://hush@nowhere", "CHATKIT_NATS_URL must be like"),
        ("CHATKIT_KEYS_FILE", "/nowhere/keys.json", "/nowhere/keys.json"),
        ("CHATKIT_LISTEN", "127.0.0.1:port", "127.0.0.1:port can't be listened on"),
        ("CHATKIT_JWKS_FILE", "/nowhere/jwks.json", "/nowhere/jwks.json"),
        ("CHATKIT_TLS_CA_FILE", "/nowhere/ca.pem", "CHATKIT_TLS_CERTIFICATE_FILE, CHATKIT_TLS_KEY_FILE is missing"),
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


def test_sample_secrets_are_refused_in_one_line_that_does_not_show_them(
    environ: dict[str, str], tmp_path: Path
) -> None:
    sample = tmp_path / "sample.json"
    tokens.write(sample, ApiKey("example", "sample-hush, which everybody can read in an example"))
    for name, value, command in (
        ("CHATKIT_KEYS_FILE", str(sample), "serve"),
        ("CHATKIT_SERVICE_KEYS_FILE", str(sample), "serve"),
        ("CHATKIT_DATABASE_URL", "postgresql://users:sample-hush@nowhere/chatkit", "serve"),
        ("CHATKIT_MIGRATE_DATABASE_URL", "postgresql://users:sample-hush@nowhere/chatkit", "migrate"),
        ("CHATKIT_NATS_URL", "nats://sample-hush@nowhere", "serve"),
    ):
        ended = _run({**environ, name: value}, command)
        (line,) = ended.stderr.splitlines()
        assert line.startswith("users: ")
        assert "is a sample secret" in line
        assert "CHATKIT_ALLOW_SAMPLE_SECRETS=true" in line
        assert "hush" not in line
        assert ended.returncode == 2
    # Allowed, the next thing that is wrong is told.
    told = {"CHATKIT_KEYS_FILE": str(sample), "CHATKIT_ALLOW_SAMPLE_SECRETS": "true", "CHATKIT_LISTEN": "127.0.0.1:x"}
    assert "can't be listened on" in _run({**environ, **told, "GRPC_VERBOSITY": "NONE"}, "serve").stderr


def test_the_command_must_be_named(environ: dict[str, str]) -> None:
    for arguments in ((), ("restart",)):
        ended = _run(environ, *arguments)
        assert ended.returncode == 2
        assert "usage: services.users" in ended.stderr


def test_logs_are_one_json_object_a_line(environ: dict[str, str]) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "services.users", "serve"],
        cwd=ROOT,
        env={**environ, "CHATKIT_DRAIN_SECONDS": "0.1"},
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
    assert [line["event"] for line in rest[-2:]] == ["draining", "stopping"]
    assert process.returncode == 0


def test_a_process_that_drains_is_stopped_at_once_by_the_other_signal(environ: dict[str, str]) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "services.users", "serve"],
        cwd=ROOT,
        env={**environ, "CHATKIT_DRAIN_SECONDS": "3600"},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert json.loads(process.stderr.readline())["event"] == "listening"
        process.send_signal(signal.SIGTERM)
        events = iter(json.loads(line)["event"] for line in process.stderr)
        assert "draining" in events
        process.send_signal(signal.SIGINT)
        assert list(events)[-1] == "stopping"
    assert process.returncode == 0
