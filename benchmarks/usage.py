"""CPU seconds and memory of groups of processes, each with all its descendants, as the system counts them.

The figures come from /proc, which counts CPU in hundredths of a second; what a process's ended children used stays with
it.
"""

import resource
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import psutil

SOCKETS = "sockets"
_SOCKETS = Path("/proc/net/sockstat")


class CpuMeter:
    """The CPU that groups use from the first reading on; a group is named and given by its first process."""

    def __init__(self, groups: Mapping[str, int]) -> None:
        # Looked up beforehand, because it takes long enough to be seen in the figures.
        self._groups = groups
        self._trees = {name: list(_tree(pid)) for name, pid in groups.items()}
        self._before: dict[str, dict[int, float]] = {}

    def begin(self) -> None:
        """Take the first reading."""
        self._before = self._read()

    def end(self) -> dict[str, float]:
        """Return the seconds that each group has used since the first reading."""
        after = self._read()
        for name, pid in self._groups.items():
            # Processes that are new since then have used all of theirs since then.
            for process in _tree(pid):
                if process.pid not in after[name]:
                    after[name][process.pid] = _cpu(process)
        return {name: _growth(self._before[name], after[name]) for name in self._groups}

    def _read(self) -> dict[str, dict[int, float]]:
        return {name: {process.pid: _cpu(process) for process in tree} for name, tree in self._trees.items()}


class MemoryMeter:
    """The resident memory of groups, now and at most since the first look; processes that are new are not seen."""

    def __init__(self, groups: Mapping[str, int]) -> None:
        # Looked up beforehand: to find children, every process of the machine is looked at.
        self._trees = {name: list(_tree(pid)) for name, pid in groups.items()}
        self.most: dict[str, int] = {}

    def look(self) -> dict[str, int]:
        """Return the memory that is used now, with that of the machine's sockets, which no process is charged with."""
        now = {name: sum(_memory(process) for process in tree) for name, tree in self._trees.items()}
        now[SOCKETS] = _socket_bytes()
        self.most = {name: max(size, self.most.get(name, 0)) for name, size in now.items()}
        return now


def memory_bytes(groups: Mapping[str, int]) -> dict[str, int]:
    """Return the resident memory of each group."""
    return {name: sum(_memory(process) for process in _tree(pid)) for name, pid in groups.items()}


def _socket_bytes() -> int:
    """Return what the system holds for TCP on the whole machine; 0 where it does not tell."""
    with suppress(OSError, ValueError, IndexError):
        for line in _SOCKETS.read_text().splitlines():
            if line.startswith("TCP:"):
                return int(line.split()[-1]) * resource.getpagesize()
    return 0


def _growth(before: Mapping[int, float], after: Mapping[int, float]) -> float:
    # What a process used that has ended since is its parent's now.
    alive = {pid: seconds for pid, seconds in after.items() if seconds or pid not in before}
    ended = sum(seconds for pid, seconds in before.items() if pid not in alive)
    return sum(seconds - before.get(pid, 0.0) for pid, seconds in alive.items()) - ended


def _tree(pid: int) -> Iterator[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        yield process
        yield from process.children(recursive=True)


def _cpu(process: psutil.Process) -> float:
    with suppress(psutil.NoSuchProcess):
        times = process.cpu_times()
        # Ended children were counted by the one that waited for them; macOS does not say.
        ended = getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
        return float(times.user + times.system + ended)
    return 0.0


def _memory(process: psutil.Process) -> int:
    with suppress(psutil.NoSuchProcess):
        return int(process.memory_info().rss)
    return 0
