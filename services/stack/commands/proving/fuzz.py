"""`chatkit fuzz`: sends a suite of its own what nobody sends on purpose, and judges what comes back."""

import argparse
import asyncio
import json
import random
import signal
import sys

from services.stack.fuzz.report import shown, told
from services.stack.fuzz.session import Plan, fuzz
from services.stack.home import Home

_SEEDS = 10**9
_MINUTE = 60.0


def run(_home: Home, arguments: argparse.Namespace) -> int:
    """Fuzz, and print what was found; the status is 1 when it was something."""
    seed = arguments.seed if arguments.seed is not None else random.randrange(_SEEDS)
    # What a time limit sends ends its suite too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _say(f"seed {seed}")
    report = asyncio.run(fuzz(Plan(seed, arguments.minutes * _MINUTE, arguments.only), _say))
    print(json.dumps(told(report), indent=2) if arguments.json else shown(report))
    return 1 if report.findings else 0


def _say(text: str) -> None:
    sys.stderr.write(f"  {text}\n")
    sys.stderr.flush()
