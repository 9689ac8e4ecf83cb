"""The bars of the suite's design that only a peer in the same run can show: medians of all rounds' ratios to it."""

from collections.abc import Sequence

from benchmarks import bars
from benchmarks.bars import Bar, Standing
from benchmarks.figures import Figure
from benchmarks.peers.rounds import CPU, OF_PEER, P99
from benchmarks.workloads import last_messages, live_pairs, one_room


def _cpu(figure: Figure, _bare: Figure | None) -> float:
    return float(figure.details[OF_PEER][CPU]["median"])


def _p99(figure: Figure, _bare: Figure | None) -> float:
    return float(figure.details[OF_PEER][P99]["median"])


def _times_theirs(figure: Figure, bare: Figure | None) -> float | None:
    share = _cpu(figure, bare)
    return 1 / share if share else None


BARS = (
    Bar(
        "W1, on streams, CPU of a send as a share of the peer's",
        live_pairs.NAME,
        live_pairs.STREAMS.name,
        0.67,
        at_least=False,
        measure=_cpu,
    ),
    Bar(
        "W1, by calls, CPU of a send as a share of the peer's",
        live_pairs.NAME,
        live_pairs.CALLS.name,
        1.0,
        at_least=False,
        measure=_cpu,
    ),
    Bar(
        "W2, 1 in flight, CPU of a delivery as a share of the peer's",
        one_room.NAME,
        one_room.ONE.name,
        1.0,
        at_least=False,
        measure=_cpu,
    ),
    Bar(
        "W2, 16 in flight, CPU of a delivery as a share of the peer's",
        one_room.NAME,
        one_room.SIXTEEN.name,
        0.25,
        at_least=False,
        measure=_cpu,
    ),
    Bar(
        "W2, 50 sends/s, p99 of the last delivery as a share of the peer's",
        one_room.NAME,
        one_room.PACED.name,
        1.0,
        at_least=False,
        measure=_p99,
    ),
    Bar(
        "W4, pages per CPU second, times the peer's",
        last_messages.NAME,
        last_messages.CASE,
        20.0,
        at_least=True,
        measure=_times_theirs,
    ),
)


def standings(figures: Sequence[Figure]) -> list[Standing]:
    """Hold the suite's figures against the bars; a bar whose workload did not run is left out."""
    return bars.standings(figures, BARS)
