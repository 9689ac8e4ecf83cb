"""Many subscribers of a room: all come back after a crash, and one who stops reading is nobody else's trouble.

The benchmark's generator plays them, because clients in Python would be slower than what they wait for; its figures are
counts here. `./chatkit bench reconnect slow` does the same with 2,000 subscribers and for longer.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.eventually import HANG_SECONDS


async def _run(workload: str, folder: Path) -> dict[str, dict[str, Any]]:
    """Run a workload in its smallest form, and return what it has counted in each of its cases."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks", workload, "--quick", "--json"),
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(HANG_SECONDS):
        out, progress = await process.communicate()
    assert process.returncode == 0, progress.decode()
    return {figure["case"]: figure["details"] for figure in json.loads(out)["figures"]}


@pytest.mark.slow
async def test_subscribers_who_resume_all_at_once_after_a_crash_have_everything_once(short_path: Path) -> None:
    (counted,) = (await _run("reconnect", short_path)).values()
    assert counted["subscribers"] == counted["resumed"] + counted["snapshots"] == 200
    assert counted["delivered"] == counted["expected"] == counted["acknowledged"] * 100
    assert counted["sends_meanwhile"] > 0
    assert (counted["lost"], counted["doubled"]) == (0, 0)


@pytest.mark.slow
async def test_one_who_stops_reading_is_cut_off_and_loses_nothing_and_neither_do_the_others(short_path: Path) -> None:
    counted = await _run("slow", short_path)
    hanging = counted["one who stops reading"]
    assert hanging["ending"] == "SLOW_CONSUMER"
    assert hanging["hanging_read"] + hanging["hanging_paged"] >= hanging["acknowledged"]
    assert hanging["hanging_lost"] == 0
    for others in counted.values():
        assert others["delivered"] == others["expected"] > 0
        assert (others["lost"], others["doubled"]) == (0, 0)
