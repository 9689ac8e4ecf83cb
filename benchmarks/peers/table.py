"""The suite beside a peer, as a table: between which figures the rounds lie, and what the ratios are."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from benchmarks.figures import Figure
from benchmarks.peers.rounds import CPU, OF_PEER, P50, P99, RATE, ROUNDS, is_of, spread_of

_SPREADS = {RATE: "rate", P50: "p50, ms", P99: "p99, ms", CPU: "CPU, us"}
_RATIOS = {CPU: "CPU to the peer's", P99: "p99 to the peer's"}
_NOTES = """\
Above are the medians of all rounds, here the lowest and the highest. CPU is that of the server and its database for one
unit (`service` and `database` above): the edge and NATS stand in columns of their own and are not in it, and neither is
the generator. The ratios are the median, the lowest and the highest of all rounds; below 1, the suite needs less."""


def tables(figures: Iterable[Figure]) -> list[Any]:
    """Return the table of what was measured beside a peer, or nothing."""
    own = [figure for figure in figures if is_of(figure)]
    if not own:
        return []
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("workload", "case", "via"):
        table.add_column(name, no_wrap=True)
    for name in (*_SPREADS.values(), *_RATIOS.values()):
        table.add_column(name, justify="right", no_wrap=True)
    for figure in own:
        spreads = (_between(spread_of(figure, name)) for name in _SPREADS)
        ratios = figure.details.get(OF_PEER)
        shares = [_ratio(ratios[name]) for name in _RATIOS] if ratios else []
        table.add_row(figure.workload, figure.case, figure.via, *spreads, *shares)
    return [table, Text(f"{_NOTES}\nRounds: {len(own[0].details[ROUNDS])}.")]


def _between(spread: Mapping[str, float]) -> str:
    # Three digits say enough.
    digits = 0 if spread["lowest"] >= 100 else 1  # noqa: PLR2004
    return " to ".join(f"{spread[name]:,.{digits}f}" for name in ("lowest", "highest"))


def _ratio(spread: Mapping[str, float]) -> str:
    return f"{spread['median']:.2f} ({spread['lowest']:.2f} to {spread['highest']:.2f})"
