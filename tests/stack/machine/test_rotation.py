"""The logs of the stack: bounded, whole lines, every line once also for an operator who follows them."""

import asyncio
import os
import stat
from pathlib import Path

from services.stack.machine import rotation
from services.stack.machine.rotation import RotatingLog
from tests.support.eventually import eventually

_FILE_BYTES = 10_000


def _lines(first: int, count: int) -> list[str]:
    return [f"line {number:08}" for number in range(first, first + count)]


def _written(path: Path) -> str:
    return path.read_text() if path.exists() else ""


async def test_files_are_bounded_in_size_and_number_and_hold_whole_lines(tmp_path: Path) -> None:
    log = RotatingLog(tmp_path / "child.log", file_bytes=_FILE_BYTES, kept_files=2)
    with log.taking() as descriptor:
        for line in _lines(0, 10_000):
            os.write(descriptor, f"{line}\n".encode())
    await eventually(lambda: log.last_lines(1) == "line 00009999")
    kept = [tmp_path / name for name in ("child.log", "child.log.1", "child.log.2")]
    assert {path.name for path in kept} == set(os.listdir(tmp_path))  # noqa: PTH208 - nothing waits here
    assert all(path.stat().st_size <= max(_FILE_BYTES, rotation._READ_BYTES) for path in kept)
    newest_last = "".join(path.read_text() for path in (kept[2], kept[1], kept[0])).splitlines()
    assert newest_last == _lines(10_000 - len(newest_last), len(newest_last))


async def test_an_operator_who_follows_a_log_sees_every_line_once_across_rotations(tmp_path: Path) -> None:
    path, shown = tmp_path / "child.log", tmp_path / "shown"
    path.touch()
    log = RotatingLog(path, file_bytes=_FILE_BYTES)
    with shown.open("wb") as output:
        tail = await asyncio.create_subprocess_exec(
            *("tail", "-n", "+1", "-F", path), stdout=output, stderr=asyncio.subprocess.DEVNULL
        )
    with log.taking() as descriptor:
        lines: list[str] = []
        for step in range(60):
            # Less than a file holds: whoever is a whole file behind can't follow by its name.
            more = _lines(step * 200, 200)
            lines += more
            os.write(descriptor, "".join(f"{line}\n" for line in more).encode())
            await eventually(lambda: len(shown.read_bytes()) >= len(lines) * len("line 00000000\n"))  # noqa: B023
    tail.terminate()
    await tail.wait()
    assert shown.read_text().splitlines() == lines
    assert (tmp_path / "child.log.4").exists()


async def test_a_log_goes_on_where_an_earlier_process_has_left_it(tmp_path: Path) -> None:
    path = tmp_path / "child.log"
    written = ""
    for _ in range(3):
        with RotatingLog(path, file_bytes=_FILE_BYTES).taking() as descriptor:
            os.write(descriptor, b"x" * 4_000 + b"\nits last words")
        # The third one makes it too large for one file.
        written = written if len(written) < 8_000 else ""
        written += "x" * 4_000 + "\nits last words\n"
        await eventually(lambda: _written(path) == written)  # noqa: B023
    assert (tmp_path / "child.log.1").stat().st_size == 2 * len(written)


async def test_a_disk_that_is_full_costs_lines_and_stops_nobody(tmp_path: Path) -> None:
    path = tmp_path / "child.log"
    path.symlink_to("/dev/full")
    log = RotatingLog(path)
    with log.taking() as descriptor:
        for _ in range(100):
            os.write(descriptor, b"lost" * 1_000 + b"\n")
        # The pipe has taken more than it holds, so that somebody has read it.
        path.unlink()
        await eventually(lambda: _said(descriptor, path))


def _said(descriptor: int, path: Path) -> bool:
    os.write(descriptor, b"there is room again\n")
    return _written(path).endswith("there is room again\n")


async def test_a_line_without_an_end_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "child.log"
    log = RotatingLog(path)
    with log.taking() as descriptor:
        for _ in range(10):
            os.write(descriptor, b"x" * rotation._READ_BYTES)
        await eventually(lambda: len(_written(path)) >= 9 * rotation._READ_BYTES)


def test_a_file_that_nobody_else_may_read_stays_so_when_it_is_full(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    file = rotation.RotatingFile(path, file_bytes=10, kept_files=1, mode=0o600)
    for line in _lines(0, 3):
        file.write(line.encode() + b"\n")
    file.close()
    older = tmp_path / "traces.jsonl.1"
    assert sorted(tmp_path.iterdir()) == [path, older]
    assert [stat.S_IMODE(one.stat().st_mode) for one in (path, older)] == [0o600, 0o600]
    assert [one.read_text() for one in (older, path)] == ["line 00000001\n", "line 00000002\n"]
