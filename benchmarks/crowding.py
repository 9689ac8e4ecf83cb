"""What the neighbours noticed of each attack, as tables, and the bars that are held against it."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from benchmarks.bars import Standing
from benchmarks.figures import Figure
from benchmarks.usage import SOCKETS
from benchmarks.workloads import neighbours
from services.stack.roles import SERVICES

# Times the p99 that the same users had alone in the same run.
MOST_TO_QUIET = 3.0
# What a deployment must be able to rely on.
EDGE_MB, SERVICE_MB = 1_024.0, 512.0
# Of the whole machine, because the system charges no process with it, and all of them wait when it has no more.
SOCKETS_MB = 512.0
# How much more than at the start may be left when all attacks are over: what allocators keep, and use again. Of Envoy's
# it is 60 to 100 MB, which tcmalloc counts as free and does not give back.
MOST_LEFT = 2.0
_NOTES = """\
Calls of the honest users while an attack is at its full size: p50, p99 and the slowest in ms from when each was due,
and p99 as a multiple of theirs alone; `failed` and `lost` are over all of the attack, its beginning and end too.
`delivery` is the p99 until a message had come to the one who follows, `upload` the slowest of the small files.
`calls/edge` and `conns/edge` are what Envoy had open more than before, at the beginning and the end of the window.
A message that the stream passed over is `lost`; one that it had not come to some seconds after the end is `failed`.
All attacks at once are more than two cores can serve: what fails then is no fault; what is lost is, and memory."""


_MEMORY_NOTE = "MB resident: before, at most during, and after each; of sockets, what the system has for TCP in all"


def is_of(figure: Figure) -> bool:
    """Tell whether a figure is shown here."""
    return figure.workload == neighbours.NAME


def tables(figures: Sequence[Figure]) -> list[Any]:
    """Return the tables, or nothing when the neighbours were not measured."""
    own = [figure for figure in figures if is_of(figure)]
    if not own:
        return []
    reasons = [
        Text(f"{figure.case}: {count:,} failed: {reason}")
        for figure in own
        for reason, count in figure.details["failures"].items()
    ]
    return [
        _calls(own),
        Text(_NOTES),
        *reasons,
        *(Text(line) for figure in own for line in _reached(figure)),
        _memory(own),
    ]


def _calls(figures: Sequence[Figure]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("beside", no_wrap=True)
    for name in ("came", "calls/edge", "conns/edge", "calls", "failed", "lost", "p50", "p99", "to quiet", "slowest"):
        table.add_column(name, justify="right")
    for name in ("delivery", "upload"):
        table.add_column(name, justify="right")
    table.add_column("bars", no_wrap=True)
    for figure in figures:
        if figure.case != neighbours.AT_THE_END:
            table.add_row(figure.case, *_row(figure))
    return table


def _row(figure: Figure) -> tuple[str, ...]:
    details = figure.details
    begun, kept = details.get("edge_sees", {}), details.get("edge_keeps", {})
    came = details.get("reached", {}).get("came")
    return (
        f"{came:,}" if came is not None else "",
        *(_both(begun, kept, f"{what}_active") for what in ("calls", "connections")),
        f"{details['count']:,}",
        f"{details['failed']:,}",
        f"{details['lost']:,}",
        f"{figure.p50_ms:,.1f}",
        f"{figure.p99_ms:,.1f}",
        f"{details['p99_to_quiet']:,.2f}",
        f"{details['max_ms']:,.0f}",
        f"{details['delivery_p99_ms']:,.1f}",
        f"{details['upload_max_ms']:,.0f}",
        ", ".join(_broken(figure)) or "met",
    )


def _both(begun: Mapping[str, int], kept: Mapping[str, int], name: str) -> str:
    if not begun and not kept:
        return ""
    return f"{begun.get(name, 0):,} {kept.get(name, 0):,}"


def _broken(figure: Figure) -> list[str]:
    details = figure.details
    broken = [
        ("too small", details.get("too_small", 0) > 0),
        ("failed", details["failed"] > 0),
        ("lost", details["lost"] > 0),
        ("p99", figure.case != neighbours.AT_ONCE and details["p99_to_quiet"] > MOST_TO_QUIET),
        ("memory", any(size > _bound(name) for name, size in _most(figure).items())),
    ]
    return [name for name, is_broken in broken if is_broken]


def _most(figure: Figure) -> Mapping[str, float]:
    memory = figure.details.get("memory_mb", {})
    most: Mapping[str, float] = memory.get("most", {})
    return most


def _bound(name: str) -> float:
    return {"edge": EDGE_MB, SOCKETS: SOCKETS_MB}.get(name, SERVICE_MB)


def _reached(figure: Figure) -> list[str]:
    reached = figure.details.get("reached")
    if reached is None:
        return []
    told = [f"{name.replace('_', ' ')} {value:,.0f}" for name, value in reached.items()]
    edge = figure.details["edge_keeps"]
    told += [f"{edge[name]:,} {name.removesuffix('_total')} in all at the edge" for name in edge if "total" in name]
    if figure.details["recovery_seconds"]:
        told.append(f"calls failed until {figure.details['recovery_seconds']:.1f} s after it had gone")
    if figure.details["late"]:
        told.append(f"{figure.details['late']:,} messages were still to come to the follower")
    ended = [f"{name} ENDED and was started again" for name in figure.details["ended_processes"]]
    short = [f"TOO SMALL: {figure.details['wanted']:,.0f} wanted"] if figure.details["too_small"] else []
    return [f"{figure.case}: {', '.join([*told, *ended, *short])}"]


def _memory(figures: Sequence[Figure]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption=_MEMORY_NOTE)
    table.add_column("memory", no_wrap=True)
    names = ("edge", *SERVICES, SOCKETS)
    for name in names:
        table.add_column(name, justify="right")
    for figure in figures:
        memory = figure.details.get("memory_mb")
        if memory:
            kinds = [memory[kind] for kind in ("before", "most", "after") if kind in memory]
            table.add_row(figure.case, *(" ".join(f"{kind[name]:,.0f}" for kind in kinds) for name in names))
    return table


def standings(figures: Sequence[Figure]) -> list[Standing]:
    """Hold the bars against the worst of all attacks."""
    attacked = [figure for figure in figures if is_of(figure) and "reached" in figure.details]
    if not attacked:
        return []
    failed = sum(figure.details["failed"] + figure.details["lost"] for figure in attacked)
    found = [_at_most("calls that failed and messages that were lost", 0.0, failed)]
    single = [figure for figure in attacked if figure.case != neighbours.AT_ONCE]
    if single:
        slowest = max(single, key=lambda figure: float(figure.details["p99_to_quiet"]))
        ratio = slowest.details["p99_to_quiet"]
        found.insert(0, _at_most(f"p99 beside {slowest.case}, times quiet", MOST_TO_QUIET, ratio))
    for name in ("edge", *SERVICES, SOCKETS):
        most = max(_most(figure)[name] for figure in attacked)
        found.append(_at_most(f"{name}, MB at most", _bound(name), most))
    for figure in figures:
        if is_of(figure) and figure.case == neighbours.AT_THE_END:
            memory = figure.details["memory_mb"]
            found += [
                _at_most(f"{name}, MB at the end, times the start", MOST_LEFT, after / memory["before"][name])
                for name, after in memory["after"].items()
                if name != SOCKETS
            ]
    return found


def _at_most(name: str, wanted: float, measured: float) -> Standing:
    return Standing(f"{neighbours.NAME}, {name}", f"at most {wanted:,g}", measured, measured <= wanted)
