"""The parts that run in the background: whatever kills one, and whatever else fails then, the process ends."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import structlog

from services.runtime.clock import SystemClock
from services.runtime.process.lifetime import Lifetime
from services.runtime.process.readiness import Readiness
from services.runtime.release import Release
from tests.support.eventually import HANG_SECONDS


@pytest.fixture
def readiness() -> Readiness:
    """Make the health of a process that does not listen."""
    return Readiness(SystemClock(), 0.1, Release())


@pytest.fixture
async def lifetime(readiness: Readiness) -> AsyncIterator[Lifetime]:
    """Make a lifetime that ends with the test."""
    made = Lifetime(readiness, SystemClock(), drain_seconds=0)
    yield made
    await made.stop()


async def _fails() -> None:
    raise OSError(28, "No space left on device")


async def _has_failed(lifetime: Lifetime) -> None:
    async with asyncio.timeout(HANG_SECONDS):
        await lifetime.failed.wait()


async def test_a_part_that_dies_ends_the_process(lifetime: Lifetime, readiness: Readiness) -> None:
    lifetime.run("part", _fails())
    await _has_failed(lifetime)
    assert readiness.is_ending


async def test_a_part_that_dies_ends_the_process_also_when_that_cannot_be_logged(
    lifetime: Lifetime, readiness: Readiness
) -> None:
    def full(*_: object) -> Any:
        raise OSError(28, "No space left on device")

    before = structlog.get_config()
    structlog.configure(processors=[full], cache_logger_on_first_use=False)
    try:
        lifetime.run("part", _fails())
        await _has_failed(lifetime)
    finally:
        structlog.configure(**before)
    assert readiness.is_ending


async def test_a_part_that_dies_ends_the_process_also_when_health_cannot_be_changed(
    lifetime: Lifetime, readiness: Readiness, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_reason: str) -> None:
        raise RuntimeError

    monkeypatch.setattr(readiness, "break_down", broken)
    lifetime.run("part", _fails())
    await _has_failed(lifetime)


async def test_a_part_that_was_cancelled_by_nobody_who_may_ends_the_process(lifetime: Lifetime) -> None:
    async def cancelled() -> None:
        raise asyncio.CancelledError

    lifetime.run("part", cancelled())
    await _has_failed(lifetime)


async def test_a_part_that_has_done_its_work_and_one_that_is_stopped_end_nothing(lifetime: Lifetime) -> None:
    async def for_ever() -> None:
        await asyncio.Event().wait()

    lifetime.run("short", asyncio.sleep(0))
    lifetime.run("long", for_ever())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await lifetime.stop()
    assert not lifetime.failed.is_set()


async def test_streams_end_before_open_calls_are_waited_for_and_parts_run_until_these_are_over(
    lifetime: Lifetime, readiness: Readiness
) -> None:
    order = []

    async def part() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            order.append("part")

    async def end_calls() -> None:
        await asyncio.sleep(0)
        order.append("calls")

    lifetime.run("part", part())
    lifetime.on_stop(end_calls)
    lifetime.on_drain(lambda: order.append(f"streams, and is ending: {readiness.is_ending}"))
    await asyncio.sleep(0)
    await lifetime.stop()
    assert order == ["streams, and is ending: True", "calls", "part"]
