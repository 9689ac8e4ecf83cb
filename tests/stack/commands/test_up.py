"""`up` and its commands, as somebody at a terminal meets them."""

import asyncio
import json
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from chatkit.messages.v1 import messages_service_pb2 as pb2
from chatkit.messages.v1 import part_pb2

from clients.python import connect
from services.runtime.release import Release
from services.stack.commit import commit
from services.stack.machine.recorded import environment
from services.stack.sign_in import token
from tests.support.eventually import HANG_SECONDS, eventually
from tests.support.stack import RunningStack, running_stack

_ROOT = Path(__file__).parents[3]
_EXPORT = _ROOT / "tests" / "data" / "one-room"


@pytest.fixture
async def stack() -> AsyncIterator[RunningStack]:
    """Run the whole suite."""
    async with running_stack() as started:
        yield started


async def _chatkit(stack: RunningStack, *arguments: str) -> tuple[int, str, str]:
    """Run a command against a stack: return its status and what it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.stack", *arguments, "--home", str(stack.home.folder)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(HANG_SECONDS):
        out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


def _line(stack: RunningStack, what: str) -> str:
    """Return one of the lines that `up` printed to be copied."""
    lines = stack.output.splitlines()
    return lines[lines.index(f"  {what}:") + 1].strip()


async def _shell(line: str) -> str:
    process = await asyncio.create_subprocess_shell(line, stdout=asyncio.subprocess.PIPE, cwd=_ROOT)
    async with asyncio.timeout(HANG_SECONDS):
        out, _ = await process.communicate()
    return out.decode()


async def test_the_printed_lines_work_as_printed(stack: RunningStack) -> None:
    assert "ready after" in stack.output
    assert f"http://{stack.address}" in stack.output
    watching = await asyncio.create_subprocess_shell(
        f"exec {_line(stack, 'watch as bob')}",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=_ROOT,
    )
    assert watching.stdout is not None
    await _shell(_line(stack, "send as alice"))
    async with asyncio.timeout(HANG_SECONDS):
        while b"Hello, Bob" not in await watching.stdout.readline():
            pass
    watching.terminate()
    await watching.wait()
    await _shell(_line(stack, "send as alice"))
    assert (await _shell(_line(stack, "list"))).count("Hello, Bob") == 2


async def test_a_conversation_without_curl(stack: RunningStack) -> None:
    status, sent, _ = await _chatkit(stack, "send", "hello \x1b[31m there", "--request-id", "once")
    assert (status, sent.strip().rpartition(": ")[2]) == (0, "hello  [31m there")
    await _chatkit(stack, "send", "hello \x1b[31m there", "--request-id", "once")
    _, listed, _ = await _chatkit(stack, "list", "--as", "bob", "--json")
    assert [json.loads(line)["senderId"] for line in listed.splitlines()] == ["alice"]
    status, _, refused = await _chatkit(stack, "send", "hello", "--as", "carol")
    assert status == 1
    assert refused.startswith("chatkit: ROOM_ACCESS_DENIED: ")
    # More than fit on a page.
    async with connect(stack.address, token(stack.home, "alice", su=True)) as client:
        parts = [part_pb2.Part(content_type="text/plain", content="x")]
        sends = [pb2.SendMessageRequest(room_id="lobby", parts=parts, request_id=f"{n}") for n in range(100)]
        await client.call(client.messages.BatchSendMessages, pb2.BatchSendMessagesRequest(requests=sends))
    _, listed, _ = await _chatkit(stack, "list", "--last", "200")
    assert (len(listed.splitlines()), listed.count("hello")) == (101, 1)
    _, listed, _ = await _chatkit(stack, "list", "--last", "100")
    assert (len(listed.splitlines()), listed.count("hello")) == (100, 0)


async def test_what_runs_can_be_seen_and_a_second_up_says_where(stack: RunningStack) -> None:
    status, shown, _ = await _chatkit(stack, "services", "--json")
    rows = {row["name"]: row for row in json.loads(shown)}
    assert (status, list(rows)) == (0, ["postgres", "nats", "edge", "users", "rooms", "messages", "files"])
    assert all(row["healthy"] for row in rows.values())
    assert rows["edge"]["address"] == stack.address
    ours = {row["version"] for name, row in rows.items() if name not in {"postgres", "nats"}}
    assert ours == {Release(commit()).label}
    status, again, _ = await _chatkit(stack, "up", "--port", "0")
    assert (status, again.strip()) == (1, f"it runs already, at http://{stack.address}")
    _, limits, _ = await _chatkit(stack, "limits", "--json")
    assert json.loads(limits)[0]["name"] == "ROOM_MEMBERS"


async def test_the_edges_configuration_and_figures_can_be_seen(stack: RunningStack) -> None:
    status, shown, _ = await _chatkit(stack, "edge", "--print")
    assert status == 0
    assert f"port_value: {stack.address.rpartition(':')[2]}" in shown
    assert json.loads(stack.home.keys_file.read_text())["keys"][0]["secret"] not in shown
    assert await _chatkit(stack, "edge", "--check") == (0, "Envoy takes this configuration.\n", "")
    _, services, _ = await _chatkit(stack, "services")
    url = services.split()[-1]
    async with httpx.AsyncClient(trust_env=False) as http:
        assert "envoy_cluster_upstream_rq_total" in (await http.get(url)).text


async def test_the_state_survives_and_is_seeded_once(stack: RunningStack) -> None:
    await _chatkit(stack, "send", "before")
    assert await stack.stop() == 0
    assert stack.home.state().processes == []
    await stack.start()
    _, listed, _ = await _chatkit(stack, "list")
    assert "alice: before" in listed
    for path in (stack.home.folder, stack.home.folder / "secrets"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


async def test_the_epoch_is_rotated_while_the_suite_runs_and_while_it_does_not(stack: RunningStack) -> None:
    await _chatkit(stack, "send", "before")
    status, running, _ = await _chatkit(stack, "rotate-epoch")
    assert (status, running.startswith("the epoch is ")) == (0, True)
    assert await stack.stop() == 0
    status, at_rest, _ = await _chatkit(stack, "rotate-epoch")
    assert (status, at_rest.startswith("the epoch is ")) == (0, True)
    assert at_rest != running
    await stack.start()
    assert "alice: before" in (await _chatkit(stack, "list"))[1]


async def test_verify_says_that_all_fits_and_then_what_does_not_in_a_table_and_in_lines(stack: RunningStack) -> None:
    assert await _chatkit(stack, "verify") == (0, "Everything fits.\n", "")
    owner = environment(stack.home, "users")["CHATKIT_MIGRATE_DATABASE_URL"]
    with psycopg.connect(owner) as connection:
        connection.execute("DELETE FROM users.users WHERE id = 'bob'")
    status, said, _ = await _chatkit(stack, "verify")
    table = said.splitlines()
    assert (status, table[0].split()) == (1, ["service", "what", "which", "detail"])
    assert [line.split()[:2] for line in table[1:-1]] == [["rooms", "MEMBER_UNKNOWN"]]
    assert table[-1] == "Something does not fit: docs/backup.md says what to do."
    status, lines, _ = await _chatkit(stack, "verify", "--json")
    assert (status, [json.loads(line)["kind"] for line in lines.splitlines()]) == (1, ["MEMBER_UNKNOWN"])
    # A service that can't be asked is no finding of the others.
    with psycopg.connect(owner) as connection:
        connection.execute("REVOKE ALL ON users.users FROM chatkit_users")
    status, said, why = await _chatkit(stack, "verify")
    assert (status, said.splitlines()[-1]) == (2, "Not all could be said.")
    assert len(why.splitlines()) == 1


async def test_a_crashed_child_is_reported_and_started_again(stack: RunningStack) -> None:
    before = stack.pid("users")
    stack.signal("users", signal.SIGKILL)
    await eventually(lambda: "users ended (signal 9) and is started again" in stack.output)
    await eventually(lambda: before not in {running.pid for running in stack.home.state().processes})
    await eventually(lambda: "users" in {running.name for running in stack.home.state().processes})
    async with asyncio.timeout(HANG_SECONDS):
        while (await _chatkit(stack, "services"))[0] != 0:
            pass


async def test_what_a_killed_up_left_behind_is_ended_and_other_processes_are_not(stack: RunningStack) -> None:
    left = {running.name: running.pid for running in stack.home.state().processes}
    await stack.kill()
    assert (await _chatkit(stack, "services"))[0] == 1
    await stack.start()
    now = {running.name: running.pid for running in stack.home.state().processes}
    assert not set(left.values()) & set(now.values())
    for pid in left.values():
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


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
    status, shown, _ = await _chatkit(stack, "replay", "--json")
    first = json.loads(shown)
    assert (status, first["sent"], first["delivered"]) == (0, 273, 273)
    status, shown, _ = await _chatkit(stack, "replay", str(_EXPORT), "--json")
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
    status, shown, told = await _chatkit(stack, "replay", str(_odd_export(tmp_path)), "--json")
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
