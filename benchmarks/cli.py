"""`./chatkit bench`: starts a suite of its own, runs workloads, and says what they found.

Progress goes to stderr and the result alone to stdout. No timing decides anything: the exit status is 1 when something
was lost, doubled or refused, or the run failed, and never because something was slow.
"""

import argparse
import asyncio
import json
import resource
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from benchmarks import bars, crowding, machine
from benchmarks.figures import Figure, Options
from benchmarks.growth import run as growth
from benchmarks.load.process import LoadFailed
from benchmarks.peers import bars as beside_peer
from benchmarks.peers import run as peers
from benchmarks.peers.installed import find
from benchmarks.report import Report
from benchmarks.suite import Say, Suite, running
from benchmarks.workloads import (
    batches,
    durable_sends,
    erasing,
    followed,
    history,
    idle_clients,
    imports,
    joins,
    last_messages,
    neighbours,
    observing,
    one_room,
    pages,
    reconnect,
    slow_reader,
    starts,
    streamed_sends,
)
from services.stack.trouble import Trouble

_MODULES = (
    durable_sends,
    streamed_sends,
    batches,
    one_room,
    idle_clients,
    last_messages,
    history,
    starts,
    slow_reader,
    reconnect,
    followed,
    imports,
    joins,
    erasing,
    # The last one of those that share a suite, because it leaves much behind.
    pages,
    neighbours,
)
WORKLOADS: dict[str, Callable[[Suite, Options], Awaitable[list[Figure]]]] = {
    module.NAME: module.run for module in _MODULES
}
# Those that run suites of their own, as they need them.
ALONE: dict[str, Callable[[Say, Options], Awaitable[list[Figure]]]] = {
    observing.NAME: observing.run,
    growth.NAME: growth.run,
}
NAMES = (*WORKLOADS, *ALONE)
# Those that run only when they are named.
_NAMED_ONLY = {growth.NAME}
# What limits of rate are part of runs in a suite of its own, which has them.
_WITH_RATES = {neighbours.NAME}
_SECONDS, _QUICK_SECONDS = 4.0, 0.6
_INTERRUPTED = 130
_MOST_ROOMS, _MOST_ROUNDS = 1_000_000, 100
_STARTED = time.monotonic()
# Details of figures that must be nothing, in a suite that keeps its promise.
FAULTS = ("lost", "doubled", "hanging_lost", "refused", "failed", "too_small")


def main(arguments: list[str]) -> int:
    """Run the command and return its exit status; trouble is one sentence on stderr and status 1."""
    parsed = _parser().parse_args(arguments)
    seconds = parsed.seconds or (_QUICK_SECONDS if parsed.quick else _SECONDS)
    rooms, attacks = tuple(parsed.rooms or ()), tuple(parsed.attack or ())
    options = Options(seconds, parsed.quick, rooms, attacks, parsed.at_once, parsed.rounds, parsed.peers)
    try:
        work = _run_beside_peer if options.peers else _run
        names = chosen(parsed.workloads, peers.NAMES if options.peers else NAMES)
        report = asyncio.run(_until_interrupted(partial(work, names, options)))
    except (Trouble, LoadFailed) as trouble:
        sys.stderr.write(f"chatkit: {trouble}\n")
        return 1
    if report is None:
        return _INTERRUPTED
    print(json.dumps(report.as_json(), indent=2) if parsed.json else report.as_text())
    return 1 if faults(report.figures) else 0


def faults(figures: Sequence[Figure]) -> list[str]:
    """List what was lost, doubled, refused or failed, and what was not put on the suite as it should be."""
    return [
        f"{figure.workload}, {figure.case}, {figure.via}: {figure.details[name]} {name}"
        for figure in figures
        for name in FAULTS
        if figure.details.get(name)
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="chatkit bench",
        description="Measure the suite: start one in a temporary folder, put load on it, and say what was found.",
        epilog="benchmarks/README.md says what each workload is and how to read the result.",
    )
    names = ", ".join(NAMES)
    parser.add_argument(
        "workloads", nargs="*", metavar="WORKLOAD", help=f"which to run: {names} (all but {growth.NAME})"
    )
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.add_argument(
        "--seconds", type=_positive, metavar="N", help=f"how long each case is measured ({_SECONDS:g}; longer is surer)"
    )
    parser.add_argument("--quick", action="store_true", help="everything smaller and shorter, to see that it works")
    parser.add_argument(
        "--rooms",
        type=partial(_count, most=_MOST_ROOMS, of="rooms"),
        action="append",
        metavar="N",
        help="how many rooms `followed` follows; may be repeated",
    )
    parser.add_argument(
        "--attack",
        choices=neighbours.ATTACKS,
        action="append",
        metavar="NAME",
        help=f"what the users of `neighbours` meet; may be repeated: {', '.join(neighbours.ATTACKS)} (all)",
    )
    parser.add_argument(
        "--at-once", action="store_true", help="the attacks on `neighbours` all at once only, not one after the other"
    )
    parser.add_argument(
        "--rounds",
        type=partial(_count, most=_MOST_ROUNDS, of="rounds"),
        default=0,
        metavar="N",
        help="how often `observing` measures each case in both ways (6), and --peers each in all (3); more are surer",
    )
    parser.add_argument(
        "--peers",
        action="store_true",
        help=f"measure ejabberd, where it is installed, and the suite by turns: {', '.join(peers.NAMES)}",
    )
    return parser


def _count(text: str, most: int, of: str) -> int:
    if text.isascii() and text.isdigit() and 1 <= int(text) <= most:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no number of {of}: from 1 to {most:,}")


def _positive(text: str) -> float:
    with suppress(ValueError):
        if 0 < float(text) <= 600:  # noqa: PLR2004 - ten minutes
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds: more than 0, at most 600")


def chosen(told: Sequence[str], there_are: Sequence[str]) -> list[str]:
    """Return the names that were told, or all that run without being named; raises Trouble for unknown ones."""
    known = {name.lower(): name for name in there_are}
    unknown = [name for name in told if name.lower() not in known]
    if unknown:
        what = "workload" if there_are is NAMES else "workload beside peers"
        raise Trouble(f"there is no {what} {', '.join(unknown)}: {', '.join(there_are)}")
    wanted = {known[name.lower()] for name in told} or set(there_are) - _NAMED_ONLY
    return [name for name in there_are if name in wanted]


async def _until_interrupted(work: Callable[[], Coroutine[Any, Any, Report]]) -> Report | None:
    """Run, and clean up when interrupted; None then."""
    # The edge and the services have a file for each of thousands of connections.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    run = asyncio.ensure_future(work())
    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, run.cancel)
    try:
        return await run
    except asyncio.CancelledError:
        _say("stopped")
        return None


async def _run(names: Sequence[str], options: Options) -> Report:
    report = Report(machine.describe(), options)
    began, cpu_before = time.monotonic(), machine.CpuTimes.now()
    for has_rates in (False, True):
        shared = [name for name in names if name in WORKLOADS and (name in _WITH_RATES) is has_rates]
        if not shared:
            continue
        async with running(_say, options.size(10_000, 100), has_rates=has_rates) as suite:
            for name in shared:
                report.figures += await WORKLOADS[name](suite, options)
            _say("stopping")
    for name in names:
        report.figures += await ALONE[name](_say, options) if name in ALONE else []
    for module in (batches, history):
        report.left_out += module.left_out() if module.NAME in names else []
    report.standings = [*bars.standings(report.figures), *crowding.standings(report.figures)]
    return _ended(report, began, cpu_before)


async def _run_beside_peer(names: Sequence[str], options: Options) -> Report:
    installed = find()
    report = Report(machine.describe(), options, reference=f"ejabberd {installed.version}, in the same run")
    began, cpu_before = time.monotonic(), machine.CpuTimes.now()
    report.figures = await peers.run(_say, installed, names, options)
    report.standings = beside_peer.standings(report.figures)
    return _ended(report, began, cpu_before)


def _ended(report: Report, began: float, cpu_before: machine.CpuTimes) -> Report:
    """Say how the run has gone, and add what else the machine had to do."""
    cpu_after = machine.CpuTimes.now()
    report.stolen, report.others = cpu_after.stolen_since(cpu_before), cpu_after.others_since(cpu_before)
    for fault in faults(report.figures):
        _say(f"WRONG: {fault}")
    _say(f"done in {time.monotonic() - began:.0f} s")
    return report


def _say(text: str) -> None:
    sys.stderr.write(f"  {time.monotonic() - _STARTED:5.1f} s  {text}\n")
    sys.stderr.flush()
