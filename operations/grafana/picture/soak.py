"""`python -m operations.grafana.picture.soak SAMPLES PNG`: draws what `./chatkit check --samples` has written."""

import argparse
import asyncio
import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from operations.grafana.picture.drawing import page
from operations.grafana.picture.panels import Curve, Place, Points, Seen
from operations.grafana.picture.shooting import browser, shoot
from services.stack.trouble import Trouble

_MEGABYTE = 1_000_000
_WIDTH, _HEIGHT, _IN_A_ROW = 8, 9, 3
# What is told of each process, and of the database, with the units of its panel.
_OF_PROCESSES = {
    "Memory": ("megabytes", "bytes", _MEGABYTE),
    "Open descriptors": ("descriptors", "short", 1),
    "Threads": ("threads", "short", 1),
}
_OF_DATABASE = {
    "Database, size": ("database_megabytes", "bytes", _MEGABYTE),
    "Database, dead rows": ("dead_rows", "short", 1),
    "Database, rows": ("live_rows", "short", 1),
}


def main(arguments: Sequence[str]) -> int:
    """Draw it; trouble is one sentence on stderr and status 1."""
    parser = argparse.ArgumentParser(
        prog="python -m operations.grafana.picture.soak",
        description="Draw what processes and the database held while a suite was checked.",
        epilog="It needs chromium on the PATH, as Debian's package of this name brings it.",
    )
    parser.add_argument("samples", type=Path, metavar="SAMPLES", help="what ./chatkit check --samples has written")
    parser.add_argument("picture", type=Path, metavar="PNG", help="where the picture goes")
    told = parser.parse_args(arguments)
    try:
        asyncio.run(shoot(browser(), _drawn(_read(told.samples)), told.picture))
    except (Trouble, OSError, ValueError) as trouble:
        sys.stderr.write(f"soak: {trouble}\n")
        return 1
    return 0


def _read(path: Path) -> list[dict[str, Any]]:
    samples = [json.loads(line) for line in path.read_text().splitlines()]
    if not samples:
        raise Trouble(f"{path} has no samples: it takes ten seconds until the first")
    return samples


def _drawn(samples: Sequence[dict[str, Any]]) -> str:
    minutes = samples[-1]["seconds"] / 60
    return page("A suite that is checked", f"{minutes:.0f} minutes", panels(samples), 0, samples[-1]["seconds"])


def panels(samples: Sequence[dict[str, Any]]) -> list[Seen]:
    """Return the panels of what was sampled."""
    told = [(title, unit, _of_processes(samples, key, size)) for title, (key, unit, size) in _OF_PROCESSES.items()]
    told += [(title, unit, _of_database(samples, key, size)) for title, (key, unit, size) in _OF_DATABASE.items()]
    return [Seen(title, "timeseries", unit, _place(place), curves) for place, (title, unit, curves) in enumerate(told)]


def _of_processes(samples: Iterable[dict[str, Any]], key: str, size: int) -> list[Curve]:
    points: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for sample in samples:
        for name, held in sample["processes"].items():
            points[name].append((sample["seconds"], held[key] * size))
    return [Curve(name, points[name]) for name in sorted(points)]


def _of_database(samples: Iterable[dict[str, Any]], key: str, size: int) -> list[Curve]:
    points: Points = [(one["seconds"], one[key] * size) for one in samples if one[key] is not None]
    return [Curve("chatkit", points)] if points else []


def _place(number: int) -> Place:
    row, column = divmod(number, _IN_A_ROW)
    return Place(column * _WIDTH, row * _HEIGHT, _WIDTH, _HEIGHT)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
