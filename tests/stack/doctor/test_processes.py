"""What is wrong with processes is said in a sentence each."""

import asyncio
import json
from pathlib import Path

import pytest

from services.runtime.release import Release
from services.stack.doctor.findings import Finding, Level
from services.stack.doctor.lag import check_lag
from services.stack.doctor.processes import Process, answers_of, check_leftovers, check_processes, check_releases
from tests.support.databases import TestDatabase
from tests.support.eventually import until
from tests.support.nats import running as running_nats
from tests.support.serving import serving
from tests.support.suite import running

_AWAY = "127.0.0.1:1"
_OURS = "0.1.0+0123456789ab"


def _page(version: str, commit: str = "") -> dict[str, str]:
    """Return what an edge of a release answers."""
    return {"/": json.dumps({"version": version, "commit": commit})}


async def test_a_service_a_bus_and_an_edge_that_answer_are_well(database: TestDatabase, tmp_path: Path) -> None:
    with running_nats(tmp_path) as nats, serving(_page(Release().version)) as edge:
        address = nats.url("users").rpartition("@")[2]
        async with running(database, tmp_path, "users", "rooms", nats=nats, metrics_listen="127.0.0.1:0") as suite:
            processes = [
                Process("nats", address),
                Process("edge", edge),
                *(Process(name, server.address, server.metrics_address) for name, server in suite.servers.items()),
                # As it is before anybody knows where the figures are.
                Process("rooms-2", suite.address("rooms")),
            ]
            # They serve before they are connected to the bus, and on a busy machine one may not answer in time.
            await until(lambda: asyncio.to_thread(lambda: not _all(processes, Release().label)))


def _all(processes: list[Process], release: str) -> list[Finding]:
    metrics = {one.name: one.metrics for one in processes if one.metrics}
    return [
        *check_processes(processes, answers_of(processes)),
        *check_releases(processes, release),
        *check_lag(metrics),
    ]


@pytest.mark.parametrize(
    "process",
    [
        Process("users", _AWAY, _AWAY),
        Process("users", _AWAY),
        Process("nats", _AWAY),
        Process("edge", _AWAY, _AWAY),
        # It has ended, and only where it told its figures is still known.
        Process("messages-2", "", _AWAY),
        Process("edge", ""),
    ],
    ids=str,
)
def test_a_process_that_does_not_answer_is_named(process: Process) -> None:
    (finding,) = check_processes([process], answers_of([process]))
    assert (finding.level, finding.what) == (Level.BROKEN, f"{process.name} does not answer")
    assert finding.advice.endswith("look at its log")


def test_a_process_that_is_not_ready_is_named_with_its_log() -> None:
    with serving({}) as address:
        process = Process("users", _AWAY, address, "logs/users.log")
        (finding,) = check_processes([process], answers_of([process]))
    assert (finding.level, finding.what) == (Level.BROKEN, "users is not ready")
    assert finding.advice.endswith("its log is logs/users.log")


def test_what_runs_without_an_up_is_named() -> None:
    assert list(check_leftovers([])) == []
    assert [one.what for one in check_leftovers(["users"])] == [
        "users runs on without the ./chatkit up that began it",
    ]


def test_another_release_than_that_of_the_code_is_said() -> None:
    with serving(_page("0.1.0", "0123456789ab")) as edge:
        processes = [Process("edge", edge), Process("users", _AWAY), Process("rooms", "")]
        assert list(check_releases(processes, _OURS)) == []
        (finding,) = check_releases(processes, "0.2.0")
    assert (finding.level, finding.what) == (Level.ODD, f"what runs is {_OURS}, and the code here is 0.2.0")


async def test_processes_of_different_releases_are_named(database: TestDatabase, tmp_path: Path) -> None:
    async with running(database, tmp_path, "users", "rooms", commit="0123456789ab") as suite:
        with serving(_page("0.0.9")) as edge:
            processes = [Process("edge", edge), *(Process(name, suite.address(name)) for name in ("users", "rooms"))]
            (finding,) = await asyncio.to_thread(lambda: list(check_releases(processes, _OURS)))
    assert finding.what == f"processes are of different releases (edge 0.0.9; users, rooms {_OURS})"
