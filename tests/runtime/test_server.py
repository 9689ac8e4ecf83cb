"""The parts that run in the background: whatever kills one, and whatever else fails then, the process ends."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from services.runtime.clock import SystemClock
from services.runtime.server import Server, open_server
from tests.support.databases import TestDatabase
from tests.support.eventually import HANG_SECONDS
from tests.support.suite import settings


@pytest.fixture
async def server(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Server]:
    """Make a server that does not listen."""
    async with open_server("users", settings(database, tmp_path, "users"), SystemClock()) as made:
        yield made


async def _fails() -> None:
    raise OSError(28, "No space left on device")


async def _has_failed(server: Server) -> None:
    async with asyncio.timeout(HANG_SECONDS):
        await server.failed.wait()


async def test_a_part_that_dies_ends_the_process(server: Server) -> None:
    server.run("part", _fails())
    await _has_failed(server)
    assert server.readiness.is_ending


async def test_a_part_that_dies_ends_the_process_also_when_that_cannot_be_logged(server: Server) -> None:
    def full(*_: object) -> Any:
        raise OSError(28, "No space left on device")

    before = structlog.get_config()
    structlog.configure(processors=[full], cache_logger_on_first_use=False)
    try:
        server.run("part", _fails())
        await _has_failed(server)
    finally:
        structlog.configure(**before)
    assert server.readiness.is_ending


async def test_a_part_that_dies_ends_the_process_also_when_health_cannot_be_changed(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_reason: str) -> None:
        raise RuntimeError

    monkeypatch.setattr(server.readiness, "break_down", broken)
    server.run("part", _fails())
    await _has_failed(server)


async def test_a_part_that_was_cancelled_by_nobody_who_may_ends_the_process(server: Server) -> None:
    async def cancelled() -> None:
        raise asyncio.CancelledError

    server.run("part", cancelled())
    await _has_failed(server)


async def test_a_part_that_has_done_its_work_and_one_that_is_stopped_end_nothing(
    database: TestDatabase, tmp_path: Path
) -> None:
    async def for_ever() -> None:
        await asyncio.Event().wait()

    async with open_server("users", settings(database, tmp_path, "users"), SystemClock()) as server:
        server.run("short", asyncio.sleep(0))
        server.run("long", for_ever())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert not server.failed.is_set()
