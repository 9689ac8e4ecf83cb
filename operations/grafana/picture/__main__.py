"""`python -m operations.grafana.picture`: a picture of a dashboard, of a suite that is run for it under load."""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from benchmarks.load.process import LoadFailed
from benchmarks.suite import running
from operations.grafana.boards import BOARDS
from operations.grafana.picture.drawing import page
from operations.grafana.picture.load import put_on
from operations.grafana.picture.panels import STEP_SECONDS, seen
from operations.grafana.picture.scraping import program, scraping
from operations.grafana.picture.shooting import browser, shoot
from services.stack.trouble import Trouble

_FOLDER = Path(__file__).parents[1]
_MOST_MINUTES = 60


def main(arguments: Sequence[str]) -> int:
    """Take the pictures; trouble is one sentence on stderr and status 1."""
    parsed = _parser().parse_args(arguments)
    try:
        asyncio.run(_take(parsed.board or ["overview"], parsed.minutes * 60, parsed.folder))
    except (Trouble, LoadFailed) as trouble:
        sys.stderr.write(f"picture: {trouble}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    names = [board.name for board in BOARDS]
    parser = argparse.ArgumentParser(
        prog="python -m operations.grafana.picture",
        description="Run a suite under load, let Prometheus scrape it, and draw what a dashboard has to show of it, as"
        " <board>.png. It is drawn here: Grafana draws it otherwise.",
        epilog="It needs prometheus and chromium on the PATH, as Debian's packages of these names bring them.",
    )
    parser.add_argument(
        "--board",
        choices=names,
        action="append",
        metavar="NAME",
        help=f"which to draw; may be repeated: {', '.join(names)} (overview)",
    )
    parser.add_argument("--minutes", type=_minutes, default=5.0, metavar="N", help="for how long there is load (5)")
    parser.add_argument("--folder", type=Path, default=_FOLDER, metavar="PATH", help="where pictures go (here)")
    return parser


def _minutes(text: str) -> float:
    with suppress(ValueError):
        if 0 < float(text) <= _MOST_MINUTES:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no number of minutes: more than 0, at most {_MOST_MINUTES}")


async def _take(boards: Sequence[str], seconds: float, folder: Path) -> None:
    chromium = browser()
    program()
    if not await asyncio.to_thread(folder.is_dir):
        raise Trouble(f"{folder} is no folder")
    with tempfile.TemporaryDirectory(prefix="chatkit-picture-") as temporary:
        async with (
            running(_say) as suite,
            scraping(suite.home.state().metrics, Path(temporary)) as prometheus,
        ):
            begin = time.time()
            await put_on(suite, seconds)
            # What has happened last is scraped before it is asked for.
            await asyncio.sleep(STEP_SECONDS)
            end = time.time()
            for name in boards:
                board = _FOLDER / f"{name}.json"
                panels = await asyncio.to_thread(seen, board, prometheus, begin, end)
                for panel in panels:
                    if not panel.curves:
                        _say(f"{name}: there is no data for {panel.title}")
                title = next(one.title for one in BOARDS if one.name == name)
                remark = f"a suite on one machine under load, {time.strftime('%Y-%m-%d', time.gmtime(end))}, UTC"
                path = folder / f"{name}.png"
                await shoot(chromium, page(title, remark, panels, begin, end), path)
                _say(f"{path}")


def _say(text: str) -> None:
    sys.stderr.write(f"  {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
