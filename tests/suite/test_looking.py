"""`./chatkit top` and `./chatkit doctor` against a suite of real processes, with replicas."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from services.stack.commands.connecting import connected
from tests.stack.commands.typed import run_chatkit, start_chatkit
from tests.support.eventually import until
from tests.support.stack import RunningStack, running_stack

_PROCESSES = ["postgres", "nats", "edge", "users", "rooms", "messages-1", "messages-2", "files"]
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack() -> AsyncIterator[RunningStack]:
    """Run the whole suite."""
    async with running_stack("--replicas", "messages=2") as started:
        yield started


async def _top_while_alice_sends(stack: RunningStack) -> dict[str, Any]:
    process = await start_chatkit(stack, "top", "--json")
    ended = asyncio.ensure_future(process.communicate())
    async with connected(stack.home, "alice") as client:
        # Some of them are within the interval, whenever that begins.
        while not ended.done():
            await client.send("lobby", "hello")
    told: dict[str, Any] = json.loads((await ended)[0])
    return told


async def test_top_shows_what_every_process_does_and_who_calls_what(stack: RunningStack) -> None:
    told: dict[str, Any] = {}

    async def all_are_up() -> bool:
        # On a machine that is busy with other things, one may not answer in time.
        told.update(await _top_while_alice_sends(stack))
        return all(row["state"] == "up" for row in told["processes"])

    await until(all_are_up)
    rows: dict[str, Any] = {row["name"]: row for row in told["processes"]}
    assert list(rows) == _PROCESSES
    assert all(row["memory_bytes"] > 0 for row in rows.values())
    assert sum(rows[name]["cpu_share"] for name in ("messages-1", "messages-2")) > 0
    assert all(rows[name]["committer_waiting"] is not None for name in ("messages-1", "messages-2"))
    sent = next(row for row in told["methods"] if row["method"] == "SendMessage")
    assert sent["service"] == "chatkit.messages.v1.MessagesService"
    assert sent["rate"] > 0
    assert sent["edge_rate"] > 0
    assert 0 < sent["p50_seconds"] <= sent["p99_seconds"]
    assert told["edge"]["rate"] > 0


async def test_senders_shows_who_sends_most_by_all_replicas(stack: RunningStack) -> None:
    async with connected(stack.home, "bob") as bob, connected(stack.home, "alice") as alice:
        for _ in range(3):
            await bob.send("lobby", "hello")
        await alice.send("lobby", "hello")
    _, told, said = await run_chatkit(stack, "senders", "--json")
    assert not said
    current: dict[str, Any] = json.loads(told)["current"]
    assert current["messages"]["bob"] == 3
    assert current["total"] == sum(current["messages"].values())
    status, shown, _ = await run_chatkit(stack, "senders")
    rows = [line.replace(",", "").split()[:2] for line in shown.splitlines()[1:]]
    heaviest = sorted(current["messages"].items(), key=lambda one: -one[1])
    assert status == 0
    assert rows == [[name, str(count)] for name, count in (*heaviest, ("all", current["total"]))]


async def test_nothing_is_wrong_with_a_healthy_suite(stack: RunningStack) -> None:
    async def is_well() -> bool:
        return await run_chatkit(stack, "doctor") == (0, "nothing is wrong\n", "")

    await until(is_well)


async def test_a_process_that_stands_still_is_seen_by_both(stack: RunningStack) -> None:
    stack.signal("messages-2", signal.SIGSTOP)
    try:
        status, shown, _ = await run_chatkit(stack, "top", "--once", "--every", "0.2")
        _, told, _ = await run_chatkit(stack, "doctor", "--json")
        refused, said, _ = await run_chatkit(stack, "doctor")
    finally:
        stack.signal("messages-2", signal.SIGCONT)
    assert status == 0
    assert ["messages-2", "silent"] in [line.split()[:2] for line in shown.splitlines()]
    found = [(finding["level"], finding["what"]) for finding in json.loads(told)["findings"]]
    assert ("broken", "messages-2 does not answer") in found
    assert refused == 1
    assert "broken  messages-2 does not answer: it has ended, starts, or stands still; its log is " in said
