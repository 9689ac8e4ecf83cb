"""Each kind does to a suite what it says, and the suite recovers: one suite takes all of them, one after the other."""

import asyncio
from dataclasses import replace

import psutil
import pytest

from services.stack.chaos.kinds import KINDS, split
from services.stack.chaos.probe import what_fails
from services.stack.chaos.processes import pid_of
from services.stack.chaos.steps import Losses
from services.stack.chaos.suite import Suite
from services.stack.trouble import Trouble
from tests.stack.chaos.chosen import chosen, step
from tests.support.eventually import eventually, until

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="package")]


@pytest.mark.parametrize("name", ["messages-1", "edge", "nats", "postgres"])
async def test_who_is_killed_is_another_process_then(suite: Suite, name: str) -> None:
    before = pid_of(suite, name)
    await step("kill", name).cause(suite)
    assert pid_of(suite, name) != before


async def test_backends_that_are_killed_end_the_server_which_is_started_again(suite: Suite) -> None:
    before = suite.stack.postgres.pid
    log = suite.home.logs / "postgres.log"
    await step("backends", "PostgreSQL's backends of messages").cause(suite)
    # By itself it would go on, and stand still for ever where the disk is full meanwhile.
    assert suite.stack.postgres.pid != before
    assert "terminated by signal 9" in log.read_text()


@pytest.mark.parametrize("name", ["rooms", "edge", "postgres"])
async def test_who_stands_still_is_stopped_and_goes_on(suite: Suite, name: str) -> None:
    pid = pid_of(suite, name)
    async with chosen("pause", name).happening(suite, Losses()):
        await eventually(lambda: _statuses(pid) == {str(psutil.STATUS_STOPPED)})
    await suite.until_healthy("it stood still")
    assert pid_of(suite, name) == pid
    await eventually(lambda: psutil.Process(pid).status() != psutil.STATUS_STOPPED)


def _statuses(pid: int) -> set[str]:
    """Return how a process is and what it has started; those that have ended wait for it."""
    tree = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return {str(process.status()) for process in tree} - {str(psutil.STATUS_ZOMBIE)}


async def test_a_disturbance_ends_when_its_step_is_cancelled(suite: Suite) -> None:
    process = psutil.Process(pid_of(suite, "rooms"))
    task = asyncio.create_task(step("pause", "rooms").cause(suite))
    await eventually(lambda: process.status() == psutil.STATUS_STOPPED)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    await eventually(lambda: process.status() != psutil.STATUS_STOPPED)
    await suite.until_healthy("it was cancelled")


async def _is_failing(suite: Suite, request: str) -> bool:
    return request in await what_fails(suite.home, suite.stack.address)


async def test_links_go_through_relays_and_one_that_is_refused_is_felt(suite: Suite) -> None:
    assert suite.relays is not None
    async with chosen("refuse", "edge → rooms").happening(suite, Losses()):
        await until(lambda: _is_failing(suite, "GetRoomRequest is UNAVAILABLE"))
    await suite.until_healthy("the edge could not reach rooms")
    # Those of databases and of the bus are always connected.
    for link in (("messages-2", "postgres"), ("rooms", "nats"), ("edge", "users")):
        assert await suite.relays.cut(link) > 0, link
    await suite.until_healthy("links were cut")


async def test_what_nats_brings_passes_through_the_relays_too(suite: Suite) -> None:
    for kind in ("drop", "double", "reorder"):
        async with chosen(kind).happening(suite, Losses()):
            assert await what_fails(suite.home, suite.stack.address) == ""


async def test_what_can_not_be_caused_says_why(suite: Suite) -> None:
    bare = replace(suite, relays=None, disks=None)
    able, why = split(list(KINDS.values()), bare)
    assert {"kill", "roll", "put-back", "content-away"} <= {kind.name for kind in able}
    assert {"cut", "drop", "full-logs", "slow-names"} <= set(why)
    for name in why.keys() - {"clock"}:
        with pytest.raises(Trouble, match=why[name][:20]):
            await step(name).cause(bare)
