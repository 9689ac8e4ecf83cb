"""`python -m benchmarks.plots growth.json`: pictures of what `./chatkit bench growth --json` has found."""

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure
from benchmarks.growth.slopes import NAME, Series, series
from benchmarks.plots.drawing import WIDTH, picture
from operations.grafana.picture.shooting import browser, shoot
from services.stack.trouble import Trouble

_TITLE = "How cost grows: CPU of services, database and NATS for one operation"


def main(arguments: Sequence[str]) -> int:
    """Draw the pictures; trouble is one sentence on stderr and status 1."""
    parsed = _parser().parse_args(arguments)
    try:
        for path in asyncio.run(_draw(parsed.report, parsed.folder)):
            print(path)
    except Trouble as trouble:
        sys.stderr.write(f"plots: {trouble}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.plots",
        description=f"Draw what `./chatkit bench {NAME} --json` has found, as {NAME}.svg and {NAME}.png.",
        epilog="For the PNG it needs chromium on the PATH, as Debian's package of this name brings it.",
    )
    parser.add_argument("report", type=Path, metavar="FILE", help="what the bench has printed")
    parser.add_argument(
        "--folder", type=Path, default=Path(__file__).parent, metavar="PATH", help="where pictures go (here)"
    )
    return parser


async def _draw(report: Path, folder: Path) -> list[Path]:
    """Draw both, and return where they are; the SVG is there also without Chromium."""
    told = await asyncio.to_thread(_read, report)
    found = _series(told, report)
    if not await asyncio.to_thread(folder.is_dir):
        raise Trouble(f"{folder} is no folder")
    drawn = picture(_TITLE, _remark(told["machine"]), found)
    svg, png = folder / f"{NAME}.svg", folder / f"{NAME}.png"
    await asyncio.to_thread(svg.write_text, drawn)
    await shoot(browser(), f'<!doctype html><body style="margin: 0">{drawn}</body>', png, WIDTH)
    return [svg, png]


def _read(report: Path) -> Any:
    try:
        return json.loads(report.read_text())
    except (OSError, ValueError) as error:
        raise Trouble(f"{report} can't be read: {error}") from None


def _series(told: Any, report: Path) -> list[Series]:
    figures = told.get("figures", ()) if isinstance(told, dict) else ()
    found = series(Figure(**one) for one in figures)
    if not found:
        raise Trouble(f"{report} has nothing of {NAME}: it is for what `./chatkit bench {NAME} --json` prints")
    return found


def _remark(machine: Mapping[str, Any]) -> str:
    return f"{machine['cpus']} cores of {machine['cpu']}, Python {machine['python']}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
