"""Reads that pile up are one statement, and each caller is answered for itself."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import pytest

from services.runtime.contract.errors import Unavailable
from services.runtime.data.coalesced_reads import CoalescedReads
from tests.support.eventually import HANG_SECONDS, eventually


class _Reader:
    """Answers every key with itself, when it may."""

    def __init__(self) -> None:
        self.asked: list[set[int]] = []
        self.may_answer = asyncio.Event()
        self.failure: Exception | None = None

    async def read(self, keys: Collection[int]) -> dict[int, int]:
        self.asked.append(set(keys))
        await self.may_answer.wait()
        if self.failure is not None:
            raise self.failure
        return {key: key for key in keys}


@asynccontextmanager
async def _running(reader: _Reader) -> AsyncIterator[CoalescedReads[int, dict[int, int]]]:
    reads = CoalescedReads(reader.read)
    task = asyncio.create_task(reads.run())
    try:
        async with asyncio.timeout(HANG_SECONDS):
            yield reads
    finally:
        task.cancel()
        reader.may_answer.set()
        await asyncio.gather(task, return_exceptions=True)


async def test_what_is_asked_while_a_read_is_under_way_is_one_more() -> None:
    reader = _Reader()
    async with _running(reader) as reads, asyncio.TaskGroup() as group:
        first = group.create_task(reads.ask([1]))
        await eventually(lambda: reader.asked)
        others = [group.create_task(reads.ask([number, 1])) for number in range(2, 100)]
        gone = group.create_task(reads.ask([1_000]))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        reader.may_answer.set()
        answers = [await one for one in (first, *others)]
    assert reader.asked == [{1}, set(range(1, 100))]
    assert all(answer[number] == number for number, answer in enumerate(answers, 1))


async def test_a_failure_is_told_to_those_who_asked_and_to_nobody_after_them() -> None:
    reader = _Reader()
    reader.may_answer.set()
    async with _running(reader) as reads:
        reader.failure = Unavailable("DATABASE_UNAVAILABLE", "away")
        with pytest.raises(Unavailable):
            await reads.ask([1])
        reader.failure = None
        assert await reads.ask([1]) == {1: 1}


async def test_a_statement_asks_for_so_many_keys_at_the_most() -> None:
    reader = _Reader()
    async with _running(reader) as reads, asyncio.TaskGroup() as group:
        group.create_task(reads.ask([0]))
        await eventually(lambda: reader.asked)
        for start in range(0, 30_000, 1_000):
            group.create_task(reads.ask(range(start, start + 1_000)))
        await asyncio.sleep(0)
        reader.may_answer.set()
    assert [len(keys) for keys in reader.asked] == [1, 10_000, 10_000, 10_000]
