"""The bars of the suite's design, and where a run stands to them.

Most are ratios to ejabberd 23.01 with its archive in PostgreSQL 15, measured elsewhere on such a machine (2 cores) and
not in this run: CPU of server and database for one unit, the load generator's left out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.figures import Figure
from benchmarks.workloads import batches, durable_sends, idle_clients, last_messages, one_room

MEASURED_ELSEWHERE = "ejabberd 23.01 with PostgreSQL 15, measured elsewhere on such a machine"
# Microseconds of CPU, server and database together.
_EJABBERD_SEND_US = 410.0 + 230.0
_EJABBERD_ONE_US, _EJABBERD_SIXTEEN_US = 51.0, 54.0
_EJABBERD_PAGE_US = 11_200.0
_EJABBERD_PACED_P99_MS = 14.5


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: what is wanted of a figure past the edge."""

    name: str
    workload: str
    case: str
    wanted: float
    # True when more is better.
    at_least: bool
    measure: Callable[[Figure], float | None]


@dataclass(frozen=True, slots=True)
class Standing:
    """A bar and what the run found."""

    name: str
    wanted: str
    measured: float
    is_met: bool


def _times(reference_us: float) -> Callable[[Figure], float | None]:
    return lambda figure: reference_us / figure.server_us if figure.server_us else None


BARS = (
    Bar(
        "W1, sends per CPU second, times ejabberd's",
        durable_sends.NAME,
        "50 senders in 50 rooms",
        1.5,
        at_least=True,
        measure=_times(_EJABBERD_SEND_US),
    ),
    Bar(
        "W1, sends/s as a share of a bare echo's",
        durable_sends.NAME,
        "50 senders in 50 rooms",
        0.6,
        at_least=True,
        measure=lambda figure: figure.of_bare,
    ),
    Bar(
        "BatchSendMessages, messages/s",
        batches.NAME,
        batches.CASE,
        10_000.0,
        at_least=True,
        measure=lambda figure: figure.per_second,
    ),
    Bar(
        "W2, 1 in flight, deliveries per CPU second, times ejabberd's",
        one_room.NAME,
        one_room.ONE.name,
        2.0,
        at_least=True,
        measure=_times(_EJABBERD_ONE_US),
    ),
    Bar(
        "W2, 16 in flight, deliveries per CPU second, times ejabberd's",
        one_room.NAME,
        one_room.SIXTEEN.name,
        8.0,
        at_least=True,
        measure=_times(_EJABBERD_SIXTEEN_US),
    ),
    Bar(
        "W2, 50 sends/s, p99 of the last delivery as a share of ejabberd's",
        one_room.NAME,
        one_room.PACED.name,
        0.5,
        at_least=False,
        measure=lambda figure: figure.p99_ms / _EJABBERD_PACED_P99_MS,
    ),
    Bar(
        "W3, KB of an idle stream at the service",
        idle_clients.NAME,
        idle_clients.SHARED.name,
        30.0,
        at_least=False,
        measure=lambda figure: figure.details["kb_service"],
    ),
    Bar(
        "W3, KB of an idle device at the services",
        idle_clients.NAME,
        idle_clients.DEVICES.name,
        45.0,
        at_least=False,
        measure=lambda figure: figure.details["kb_service"],
    ),
    Bar(
        "W4, pages per CPU second, times ejabberd's",
        last_messages.NAME,
        "8 clients, the last 100 messages",
        10.0,
        at_least=True,
        measure=_times(_EJABBERD_PAGE_US),
    ),
)


def standings(figures: Sequence[Figure]) -> list[Standing]:
    """Hold the figures against the bars; a bar whose workload did not run is left out."""
    found = []
    for bar in BARS:
        for figure in figures:
            if (figure.workload, figure.case, figure.via) == (bar.workload, bar.case, "services"):
                measured = bar.measure(figure)
                if measured is not None:
                    found.append(_standing(bar, measured))
    return found


def _standing(bar: Bar, measured: float) -> Standing:
    is_met = measured >= bar.wanted if bar.at_least else measured <= bar.wanted
    return Standing(bar.name, f"{'at least' if bar.at_least else 'at most'} {bar.wanted:,g}", measured, is_met)
