"""Every process says which release it is of."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.runtime.clock import SystemClock
from services.runtime.process.readiness import Readiness
from services.runtime.release import Release, label
from services.runtime.settings import Settings
from services.stack.releases import service_release

_ROOT = Path(__file__).parents[2]
_COMMIT = "93ec10e5d2aa4d2b8c0e8f7b6a5d4c3b2a190807"


def test_the_version_is_that_of_the_project_and_has_a_section_in_the_changelog() -> None:
    declared = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert Release().version == declared
    assert f"\n## {declared}\n" in (_ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize(
    ("commit", "shown"),
    [("", "1.2.3"), (_COMMIT, "1.2.3+93ec10e5d2aa"), (f"{_COMMIT}-dirty", "1.2.3+93ec10e5d2aa.dirty")],
)
def test_a_label_has_the_commit_where_it_is_known(commit: str, shown: str) -> None:
    assert label("1.2.3", commit) == shown


@pytest.mark.parametrize("told", ["main", f"{_COMMIT}\n", "93EC10E5", "é" * 7, "abc"])
def test_what_is_no_commit_is_refused(told: str) -> None:
    with pytest.raises(ValueError, match="commit"):
        Settings(commit=told)


@pytest.mark.parametrize("commit", ["", _COMMIT])
async def test_health_says_it_as_metadata_of_each_answer(commit: str) -> None:
    release = Release(commit)
    readiness = Readiness(SystemClock(), 0.1, release)
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(readiness.servicer, server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        async with grpc.aio.insecure_channel(address) as channel:
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
            assert dict(release.metadata).items() <= dict(await watch.initial_metadata()).items()
            watch.cancel()
        assert await service_release(address) == release.label
    finally:
        await server.stop(None)
    assert await service_release(address) == ""


def test_every_line_of_a_log_says_it() -> None:
    code = (
        "import structlog; from services.runtime import logs; from services.runtime.release import Release\n"
        f"logs.configure('json', 'users', Release('{_COMMIT}')); structlog.get_logger().info('ready')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ})
    assert json.loads(done.stderr)["version"] == Release(_COMMIT).label
