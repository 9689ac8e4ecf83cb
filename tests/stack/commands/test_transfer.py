"""`import` and `export` as they are typed, in a suite that `up` runs."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from services.stack.cli import SAMPLE
from tests.support.databases import ROOT
from tests.support.stack import RunningStack, running_stack


async def _run(stack: RunningStack, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "services.stack", *arguments, "--home", str(stack.home.folder)]
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
