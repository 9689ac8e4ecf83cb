"""`import` and `export` as they are typed, in a suite that `up` runs."""

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import psycopg

from services.stack.cli import SAMPLE
from services.stack.transfer.children import GO_ON
from tests.stack.transfer.moving import write
from tests.support.databases import ROOT
from tests.support.eventually import eventually
from tests.support.exported import a_message, a_room, a_user
from tests.support.stack import RunningStack, running_stack

# Two transactions of an import.
_MANY = 801


def _command(stack: RunningStack, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "services.stack", *arguments, "--home", str(stack.home.folder)]


async def _run(stack: RunningStack, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = _command(stack, *arguments)
    return await asyncio.to_thread(subprocess.run, command, cwd=ROOT, capture_output=True, text=True, check=False)


async def test_the_sample_is_moved_in_and_out(tmp_path: Path) -> None:
    async with running_stack() as stack:
        looked = await _run(stack, "import", str(SAMPLE), "--dry-run")
        assert (looked.returncode, looked.stderr) == (0, "")
        assert "taken" not in looked.stdout
        taken = await _run(stack, "import", str(SAMPLE), "--json")
        assert (taken.returncode, taken.stderr) == (0, "")
        (report,) = map(json.loads, taken.stdout.splitlines())
        assert [report[kind]["taken"] for kind in ("users", "rooms", "messages")] == [49, 1, 273]
        given = await _run(stack, "export", str(tmp_path / "out"))
        # With alice, bob and their room.
        assert given.stdout == "51 users, 2 rooms, 273 messages, 0 files, 0 missing files\n"
        (tmp_path / "out" / "users.ndjson").write_text('{"id": "a\\u001b", "name": "b"}\n')
        refused = await _run(stack, "import", str(tmp_path / "out"))
        assert refused.returncode == 1
        assert refused.stderr.startswith(f"{tmp_path}/out/users.ndjson, line 1: FIELD_INVALID: id: ")
        broken = await _run(stack, "import", str(tmp_path / "nowhere"))
        assert (broken.returncode, broken.stderr) == (1, f"chatkit: {tmp_path}/nowhere is not a folder\n")


async def test_ctrl_c_stops_an_import_and_the_next_one_goes_on(tmp_path: Path) -> None:
    begun, whole = write(tmp_path / "begun", _export(1)), write(tmp_path / "whole", _export(_MANY))
    async with running_stack() as stack:
        assert (await _run(stack, "import", str(begun))).returncode == 0
        async with await psycopg.AsyncConnection.connect(stack.dsn("messages")) as holder:
            # The log of the second room can't be written to: so the import is in the middle.
            await holder.execute("SET idle_in_transaction_session_timeout = 0")
            await holder.execute("SELECT * FROM messages.heads FOR UPDATE")
            process = await asyncio.create_subprocess_exec(
                *_command(stack, "import", str(whole)), cwd=ROOT, stderr=asyncio.subprocess.PIPE
            )
            await eventually(lambda: _count(stack) == _MANY)
            children = psutil.Process(process.pid).children(recursive=True)
            process.send_signal(signal.SIGINT)
            _, told = await process.communicate()
            assert (process.returncode, told.decode()) == (130, f"chatkit: stopped; {GO_ON}\n")
            assert not psutil.wait_procs(children)[1]
        went_on = await _run(stack, "import", str(whole), "--json")
        report = json.loads(went_on.stdout)
        assert (report["messages"]["already_there"], report["messages"]["taken"]) == (_MANY, 1)


def _export(count: int) -> dict[str, list[dict[str, Any]]]:
    """Return an export with one message in one room, and the others in a room that comes before it."""
    messages = [a_message(n, room_id="first" if n else "second", sender_id="carol") for n in range(count)]
    if count > 1:
        messages.append(a_message(count, room_id="second", sender_id="carol"))
    return {"users": [a_user("carol")], "rooms": [a_room("first"), a_room("second")], "messages": messages}


def _count(stack: RunningStack) -> int:
    with psycopg.connect(stack.dsn("messages")) as connection:
        found = connection.execute("SELECT count(*) FROM messages.messages").fetchone()
    return int(found[0]) if found is not None else 0
