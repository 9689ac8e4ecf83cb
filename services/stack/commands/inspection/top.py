"""`chatkit top`: what each method and each process does now, from what the processes tell Prometheus.

On a terminal it is drawn anew after each interval; elsewhere one table follows the other.
"""

import argparse
import json
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict

from rich.console import Console
from rich.live import Live
from rich.text import Text

from services.stack.home import Home
from services.stack.top.drawing import lines
from services.stack.top.interval import Interval, compare
from services.stack.top.samples import Sample, take

# As wide as anything is, where no terminal says how wide it is.
_WIDE = 10_000


def run(home: Home, arguments: argparse.Namespace) -> int:
    """Look until Ctrl-C, or once."""
    intervals = _intervals(home, arguments.every)
    if arguments.json:
        print(json.dumps(asdict(next(intervals)), indent=2))
    elif arguments.once:
        _print(next(intervals))
    elif sys.stdout.isatty():
        _show(intervals)
    else:
        for interval in intervals:
            _print(interval)
            print(flush=True)
    return 0


def _intervals(home: Home, seconds: float) -> Iterator[Interval]:
    """Yield what has happened in each interval; raises Trouble once nothing runs any more."""
    before = _sample(home)
    while True:
        time.sleep(seconds)
        after = _sample(home)
        yield compare(before, after)
        before = after


def _sample(home: Home) -> Sample:
    home.running_address()
    return take(home.state())


def _print(interval: Interval) -> None:
    width = shutil.get_terminal_size((_WIDE, 0)).columns
    print("\n".join(line.plain for line in lines(interval, width)))


def _show(intervals: Iterator[Interval]) -> None:
    console = Console(highlight=False)
    with Live(Text("looking …"), console=console, screen=True, auto_refresh=False) as live:
        for interval in intervals:
            shown = Text("\n").join(lines(interval, console.width, console.height))
            live.update(shown, refresh=True)
