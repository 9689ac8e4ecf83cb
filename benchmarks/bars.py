"""The bars of the suite's design that a run can hold against itself, and where it stands to them.

CPU and rates are multiples of a bare server's in the same run, so that they say as much on one machine as on another;
CPU is that of services and database together, the load generator's left out. Beside a peer there are other bars
(`peers/bars.py`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.figures import BARE, Figure
from benchmarks.workloads import batches, durable_sends, idle_clients, last_messages, one_room

REFERENCE = "the bare server, in the same run"


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: what is wanted of a figure past the edge, beside the bare server's."""

    name: str
    workload: str
    case: str
    wanted: float
    # True when more is better.
    at_least: bool
    measure: Callable[[Figure, Figure | None], float | None]


@dataclass(frozen=True, slots=True)
class Standing:
    """A bar and what the run found."""

    name: str
    wanted: str
    measured: float
    is_met: bool


def _times_bare(figure: Figure, bare: Figure | None) -> float | None:
    cpu_us = bare.cpu_us.get(BARE) if bare is not None else None
    return figure.server_us / cpu_us if cpu_us else None


BARS = (
    Bar(
        "W1, sends/s as a share of a bare echo's",
        durable_sends.NAME,
        durable_sends.CASE,
        0.6,
        at_least=True,
        measure=lambda figure, _: figure.of_bare,
    ),
    Bar(
        "BatchSendMessages, messages/s",
        batches.NAME,
        batches.CASE,
        10_000.0,
        at_least=True,
        measure=lambda figure, _: figure.per_second,
    ),
    Bar(
        "W2, 1 in flight, CPU of a delivery, times a bare fan-out's",
        one_room.NAME,
        one_room.ONE.name,
        1.25,
        at_least=False,
        measure=_times_bare,
    ),
    Bar(
        "W2, 16 in flight, CPU of a delivery, times a bare fan-out's",
        one_room.NAME,
        one_room.SIXTEEN.name,
        0.5,
        at_least=False,
        measure=_times_bare,
    ),
    Bar(
        "W3, KB of an idle stream at the service",
        idle_clients.NAME,
        idle_clients.SHARED.name,
        30.0,
        at_least=False,
        measure=lambda figure, _: figure.details["kb_service"],
    ),
    Bar(
        "W3, KB of an idle device at the services",
        idle_clients.NAME,
        idle_clients.DEVICES.name,
        45.0,
        at_least=False,
        measure=lambda figure, _: figure.details["kb_service"],
    ),
    Bar(
        "W4, CPU of a page, times a bare call's of as many bytes",
        last_messages.NAME,
        last_messages.CASE,
        2.5,
        at_least=False,
        measure=_times_bare,
    ),
)


def standings(figures: Sequence[Figure], bars: Sequence[Bar] = BARS) -> list[Standing]:
    """Hold the figures against bars; a bar whose workload did not run is left out."""
    found = []
    for bar in bars:
        for figure in figures:
            if (figure.workload, figure.case, figure.via) == (bar.workload, bar.case, "services"):
                measured = bar.measure(figure, _bare_beside(figure, figures))
                if measured is not None:
                    found.append(_standing(bar, measured))
    return found


def _standing(bar: Bar, measured: float) -> Standing:
    is_met = measured >= bar.wanted if bar.at_least else measured <= bar.wanted
    return Standing(bar.name, f"{'at least' if bar.at_least else 'at most'} {bar.wanted:,g}", measured, is_met)


def _bare_beside(figure: Figure, figures: Sequence[Figure]) -> Figure | None:
    """Return the bare server's figure in the same case, or the workload's only one, or None."""
    bare = [one for one in figures if (one.workload, one.via) == (figure.workload, "bare")]
    return next((one for one in bare if one.case == figure.case), bare[0] if bare else None)
