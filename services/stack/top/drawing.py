"""An interval as lines of a terminal, of which none is wider: columns that don't fit are left out, the last first."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rich.text import Text

from services.stack.terminal import size
from services.stack.top.interval import EdgeRow, Interval, MethodRow, ProcessRow

_GAP = "  "
_TEN, _MILLISECOND, _SECOND = 10.0, 1e-3, 1.0
_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True)
class _Column(Generic[_Row]):
    """A column of a table: its head, what it shows of a row, and on which side that stands."""

    head: str
    show: Callable[[_Row], str]
    side: str = ">"


def _rate(value: float | None) -> str:
    """Return how often in a second; a dash for never, so that the rest is seen."""
    if value is None:
        return ""
    if not value:
        return "-"
    return f"{value:,.1f}" if value < _TEN else f"{value:,.0f}"


def _count(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if value else "-"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < _MILLISECOND:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < _SECOND:
        milliseconds = seconds * 1e3
        return f"{milliseconds:.1f} ms" if milliseconds < _TEN else f"{milliseconds:.0f} ms"
    return f"{seconds:.1f} s"


_PROCESSES: Sequence[_Column[ProcessRow]] = (
    _Column("process", lambda row: row.name, "<"),
    _Column("state", lambda row: row.state, "<"),
    _Column("cpu", lambda row: "" if row.cpu_share is None else f"{row.cpu_share:.0%}"),
    _Column("memory", lambda row: "" if row.memory_bytes is None else size(row.memory_bytes)),
    _Column("lag p99", lambda row: _duration(row.loop_lag_p99_seconds)),
    _Column("open", lambda row: _count(row.open_streams)),
    _Column("db", lambda row: _count(row.database_connections)),
    _Column("waits/s", lambda row: _rate(row.database_waits)),
    _Column("bus", lambda row: _count(row.bus_waiting)),
    _Column("drops/s", lambda row: _rate(row.bus_drops)),
)
_FANOUT: Sequence[_Column[ProcessRow]] = (
    _Column("process", lambda row: row.name, "<"),
    _Column("deliveries/s", lambda row: _rate(row.deliveries)),
    _Column("rooms", lambda row: _count(row.rooms_followed)),
    _Column("writes waiting", lambda row: _count(row.committer_waiting)),
    _Column("stored p99", lambda row: _duration(row.committer_wait_p99_seconds)),
    _Column("access proof", lambda row: _duration(row.access_proof_age_seconds)),
)
_METHODS: Sequence[_Column[MethodRow]] = (
    _Column("method", lambda row: f"{row.service.rpartition('.')[2].removesuffix('Service')}/{row.method}", "<"),
    _Column("calls/s", lambda row: _rate(row.rate)),
    _Column("ours/s", lambda row: _rate(row.errors_ours)),
    _Column("theirs/s", lambda row: _rate(row.errors_theirs)),
    _Column("p50", lambda row: _duration(row.p50_seconds)),
    _Column("p99", lambda row: _duration(row.p99_seconds)),
    _Column("open", lambda row: _count(row.open_streams)),
    _Column("edge/s", lambda row: _rate(row.edge_rate)),
)


def lines(interval: Interval, width: int, height: int | None = None) -> list[Text]:
    """Draw it; where it has too many lines, the methods with the fewest calls are left out."""
    processes = interval.processes
    told = [row for row in processes if row.deliveries is not None or row.access_proof_age_seconds is not None]
    wrong = [row.state != "up" for row in processes]
    drawn = [Text(_heading(interval), style="bold"), Text(), *_table(_PROCESSES, processes, width, wrong), Text()]
    if told:
        drawn += [*_table(_FANOUT, told, width), Text()]
    methods = _table(_METHODS, interval.methods, width)
    if not interval.methods:
        methods = [Text("no method was called, and no stream is open")]
    drawn += methods
    if height is not None and len(drawn) > height:
        left_out = len(drawn) - height + 1
        drawn = [*drawn[: height - 1], Text(f"… and {left_out} more lines", style="dim")]
    for line in drawn:
        line.truncate(width)
    return drawn


def _heading(interval: Interval) -> str:
    return f"in {interval.seconds:.1f} s: {_edge(interval.edge)}"


def _edge(edge: EdgeRow | None) -> str:
    if edge is None:
        return "the edge has not told its figures twice"
    return (
        f"edge {_rate(edge.rate)} requests/s, {_rate(edge.answers_4xx)} 4xx, {_rate(edge.answers_5xx)} 5xx,"
        f" {_count(edge.open_requests)} open, {_count(edge.connections)} connections"
    )


def _table(
    table: Sequence[_Column[_Row]], rows: Sequence[_Row], width: int, wrong: Sequence[bool] | None = None
) -> list[Text]:
    """Return the head and a line for each row."""
    shown = [[column.head, *map(column.show, rows)] for column in table]
    widths = [max(map(len, cells)) for cells in shown]
    while len(widths) > 1 and sum(widths) + len(_GAP) * (len(widths) - 1) > width:
        widths.pop()
        shown.pop()
    sides = [column.side for column in table[: len(widths)]]
    padded = [
        [f"{cell:{side}{wide}}" for cell in cells] for cells, side, wide in zip(shown, sides, widths, strict=True)
    ]
    told = [_GAP.join(cells).rstrip() for cells in zip(*padded, strict=True)]
    styles = ["bold", *("red" if is_wrong else "" for is_wrong in wrong or [False] * len(rows))]
    return [Text(line, style=style) for line, style in zip(told, styles, strict=True)]
