"""import: `./chatkit import` of generated exports, and whether memory grows with their messages.

The rate is of the whole command: it starts processes, looks at everything and writes it. So small exports are slower.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

from benchmarks.figures import Figure, Options, per_unit
from benchmarks.seeding import TEXT_BYTES
from benchmarks.suite import Suite
from benchmarks.usage import CpuMeter
from services.stack.trouble import Trouble

NAME = "import"
_ROOMS, _USERS = 100, 200
_LOOK_SECONDS = 0.1
_TIME = datetime(2019, 1, 1, tzinfo=UTC)
_MIB = 1024 * 1024


async def run(suite: Suite, options: Options) -> list[Figure]:
    """Import few messages and many."""
    few = await _import(suite, options.size(10_000, 200))
    many = await _import(suite, options.size(200_000, 2_000))
    growth = {
        name.replace("mb_", "many_to_few_"): size / few.details[name]
        for name, size in many.details.items()
        if name in few.details and name.startswith("mb_")
    }
    return [few, replace(many, details={**many.details, **growth})]


def _case(count: int) -> str:
    return f"{count:,} messages in {_ROOMS} rooms"


async def _import(suite: Suite, count: int) -> Figure:
    suite.say(f"{NAME}: {_case(count)}")
    with tempfile.TemporaryDirectory(prefix="chatkit-export-") as folder:
        await asyncio.to_thread(_generate, Path(folder), count)
        cpu = CpuMeter(suite.groups)
        cpu.begin()
        began = time.monotonic()
        # By which the command knows that the suite runs.
        with suite.home.lock():
            told, own_cpu, memory = await _run(suite, folder)
        seconds = time.monotonic() - began
        used = {**cpu.end(), "generator": own_cpu}
    counts = told["messages"]
    return Figure(
        NAME,
        _case(count),
        "services",
        "message",
        per_second=counts["taken"] / seconds,
        cpu_us=per_unit(used, count),
        details={
            "taken": counts["taken"],
            "refused": counts["refused"],
            "lost": count - counts["taken"] - counts["refused"],
            **{f"mb_{name}": size / _MIB for name, size in memory.items()},
        },
    )


async def _run(suite: Suite, folder: str) -> tuple[dict[str, Any], float, Counter[str]]:
    """Run the command; return its report, the CPU seconds and, by name, the most memory of its processes."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.stack", "import", folder, "--json", "--home", str(suite.home.folder)),
        stdout=asyncio.subprocess.PIPE,
    )
    watching = asyncio.create_task(_watch(process.pid))
    out, _ = await process.communicate()
    cpu, memory = await watching
    if process.returncode != 0:
        raise Trouble(f"the import ended with status {process.returncode}: {out.decode()[-500:]}")
    return json.loads(out.splitlines()[-1]), cpu, memory


async def _watch(pid: int) -> tuple[float, Counter[str]]:
    """Look at a process and its children until it ends: CPU seconds of all, and the most memory of each."""
    most: Counter[str] = Counter()
    cpu: dict[int, float] = {}
    try:
        process = psutil.Process(pid)
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            for one in (process, *process.children()):
                _look(one, pid, most, cpu)
            await asyncio.sleep(_LOOK_SECONDS)
    except psutil.NoSuchProcess:
        pass
    return sum(cpu.values()), most


def _look(process: psutil.Process, command: int, most: Counter[str], cpu: dict[int, float]) -> None:
    try:
        name = "import" if process.pid == command else process.cmdline()[2].rpartition(".")[2]
        most[name] = max(most[name], process.memory_info().rss)
        times = process.cpu_times()
        cpu[process.pid] = times.user + times.system
    except (psutil.NoSuchProcess, IndexError):
        # It has ended meanwhile, or has only begun.
        return


def _generate(folder: Path, count: int) -> None:
    """Write an export whose ids are of this size, with the rooms' messages mixed as in life."""
    records = {"users": _users(count), "rooms": _rooms(count), "messages": _messages(count)}
    for kind, told in records.items():
        with (folder / f"{kind}.ndjson").open("w") as file:
            file.writelines(json.dumps(record) + "\n" for record in told)


def _users(count: int) -> Iterator[dict[str, Any]]:
    for number in range(_USERS):
        yield {"id": _user(count, number), "name": f"User {number}", **_at(0)}


def _rooms(count: int) -> Iterator[dict[str, Any]]:
    for number in range(_ROOMS):
        members = [_user(count, number + step) for step in range(20)]
        yield {"id": f"import-{count}-{number}", "name": f"Room {number}", "member_ids": members, **_at(0)}


def _messages(count: int) -> Iterator[dict[str, Any]]:
    parts = [{"part_type": "inline", "payload": {"type": "text/plain", "content": "x" * TEXT_BYTES}}]
    for number in range(count):
        place = {"room_id": f"import-{count}-{number % _ROOMS}", "sender_id": _user(count, number % 17)}
        yield {"id": number, **place, "parts": parts, **_at(number)}


def _user(count: int, number: int) -> str:
    return f"import-{count}-user-{number % _USERS}"


def _at(seconds: int) -> dict[str, str]:
    time_of_it = (_TIME + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"created_at": time_of_it, "updated_at": time_of_it}
