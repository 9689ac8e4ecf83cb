"""Commands against a suite that runs, which they leave as it was for one another."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from services.runtime.release import Release
from services.stack.commit import commit
from tests.stack.commands.typed import run_chatkit
from tests.support.databases import ROOT
from tests.support.stack import RunningStack, running_stack

_EXPORT = ROOT / "tests" / "data" / "one-room"
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack() -> AsyncIterator[RunningStack]:
    """Run the whole suite."""
    async with running_stack() as started:
        yield started


async def test_what_runs_can_be_seen_and_a_second_up_says_where(stack: RunningStack) -> None:
    status, shown, _ = await run_chatkit(stack, "services", "--json")
    rows = {row["name"]: row for row in json.loads(shown)}
    assert (status, list(rows)) == (0, ["postgres", "nats", "edge", "users", "rooms", "messages", "files"])
    assert all(row["healthy"] for row in rows.values())
    assert rows["edge"]["address"] == stack.address
    ours = {row["version"] for name, row in rows.items() if name not in {"postgres", "nats"}}
    assert ours == {Release(commit()).label}
    status, again, _ = await run_chatkit(stack, "up", "--port", "0")
    assert (status, again.strip()) == (1, f"it runs already, at http://{stack.address}")
    _, limits, _ = await run_chatkit(stack, "limits", "--json")
    assert json.loads(limits)[0]["name"] == "ROOM_MEMBERS"


async def test_the_edges_configuration_and_figures_can_be_seen(stack: RunningStack) -> None:
    status, shown, _ = await run_chatkit(stack, "edge", "--print")
    assert status == 0
    assert f"port_value: {stack.address.rpartition(':')[2]}" in shown
    assert json.loads(stack.home.keys_file.read_text())["keys"][0]["secret"] not in shown
    assert await run_chatkit(stack, "edge", "--check") == (0, "Envoy takes this configuration.\n", "")
    _, services, _ = await run_chatkit(stack, "services")
    urls = dict[str, str](map(str.split, services.splitlines()[-5:]))
    async with httpx.AsyncClient(trust_env=False) as http:
        assert "envoy_cluster_upstream_rq_total" in (await http.get(urls.pop("edge"))).text
        for name, url in urls.items():
            assert "grpc_server_handled_total" in (await http.get(url)).text, name


async def test_a_taken_port_is_one_sentence(stack: RunningStack, tmp_path: Path) -> None:
    port = stack.address.rpartition(":")[2]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.stack", "up", "--home", str(tmp_path / "other"), "--port", port),
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await process.communicate()
    assert process.returncode == 1
    assert err.decode() == f"chatkit: port {port} is taken: choose another with --port, or any free one with 0\n"


async def test_a_replay_is_sound_and_adds_nothing_the_second_time(stack: RunningStack) -> None:
    status, shown, _ = await run_chatkit(stack, "replay", "--json")
    first = json.loads(shown)
    assert (status, first["sent"], first["delivered"]) == (0, 273, 273)
    status, shown, _ = await run_chatkit(stack, "replay", str(_EXPORT), "--json")
    again = json.loads(shown)
    assert (status, again["sent"], again["already_there"], again["lost"]) == (0, 0, 273, 0)


_ODD: dict[str, list[dict[str, Any]]] = {
    "users": [
        {"id": "odd-1", "name": "One"},
        {"id": "odd-2", "name": "n" * 161},
        {"id": "odd-3", "name": "Three", "custom_data": [1]},
    ],
    "rooms": [
        {"id": "odd", "name": 2020, "created_by_id": "odd-1", "member_ids": ["odd-2", "odd-4"]},
        {"id": "long", "name": "n" * 61, "created_by_id": "odd-1"},
        {"id": "lost", "created_by_id": "odd-3"},
    ],
    "messages": [
        {"id": 1, "sender_id": sender, "room_id": room, "parts": [{"part_type": "inline", "payload": payload}]}
        for sender, room, payload in (
            ("odd-1", "odd", {"type": "text/plain", "content": "one"}),
            ("odd-2", "odd", {"type": "text/plain", "content": "two"}),
            ("odd-1", "odd", {"type": "text/plain", "content": "\0"}),
            ("odd-1", "long", {"type": "text/plain", "content": "three"}),
        )
    ],
}


def _odd_export(folder: Path) -> Path:
    for name, records in _ODD.items():
        (folder / f"{name}.ndjson").write_text("\n".join(json.dumps(record) for record in records))
    return folder


async def test_a_replay_names_the_records_that_the_suite_refuses_and_plays_the_rest(
    stack: RunningStack, tmp_path: Path
) -> None:
    status, shown, told = await run_chatkit(stack, "replay", str(_odd_export(tmp_path)), "--json")
    result = json.loads(shown)
    assert (status, result["sent"], result["delivered"]) == (1, 1, 1)
    assert sorted(line.removeprefix(f"{tmp_path}/").partition(":")[0] for line in told.splitlines()) == [
        "messages.ndjson, line 2",
        "messages.ndjson, line 3",
        "messages.ndjson, line 4",
        "rooms.ndjson, line 1",
        "rooms.ndjson, line 2",
        "rooms.ndjson, line 3",
        "users.ndjson, line 2",
        "users.ndjson, line 3",
    ]
    assert len(result["refused"]) == 8
