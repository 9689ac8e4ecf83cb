"""What pairs of measurements say: the same work in two ways, by turns, so that both meet the same machine.

Each pair has a ratio of its own, which a machine that is slower for a while leaves alone. Nothing is supposed of how
ratios are distributed: with n pairs, the median of all there could be lies between the lowest and the highest ratio
with a certainty of 1 - 2^(1-n).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from benchmarks.figures import GENERATOR, Figure

# What it is to be told from noise, and with half of which spread it can be.
SHARE = 0.02
RATIOS = "to_nothing"
RATE, CPU, P50, P99 = "rate", "cpu_us", "p50_ms", "p99_ms"
_SUMS = ("count", "seconds", "stored", "expected", "delivered", "lost", "doubled", "refused")
_UNITS = {RATE: "{}s/s", CPU: "CPU us of a {}", P50: "p50, ms", P99: "p99, ms"}
_NOTES = """\
Medians of all rounds, and the median of what each round's pair had for a ratio, with the lowest and the highest. Where
1 lies between those two, the difference can't be told from noise; `2 %` says whether one of 2 % could have been.
CPU is that of services, database, edge and NATS together, for one unit."""


def figure_of(case: str, rounds: Sequence[Figure]) -> Figure:
    """Return the medians of what was measured in several rounds, with each round."""
    figure = medians(rounds)
    return replace(figure, case=case, details={**figure.details, "rounds": [_values(one) for one in rounds]})


def medians(rounds: Sequence[Figure]) -> Figure:
    """Return the medians of what was measured in several rounds, with the sums of what was counted."""
    first = rounds[0]
    parts = {part: median(one.cpu_us.get(part, 0.0) for one in rounds) for part in first.cpu_us}
    sums = {name: sum(one.details[name] for one in rounds) for name in _SUMS if name in first.details}
    return replace(
        first,
        per_second=median(one.per_second for one in rounds),
        p50_ms=median(one.p50_ms for one in rounds),
        p99_ms=median(one.p99_ms for one in rounds),
        cpu_us=parts,
        details=sums,
    )


def compared(before: Figure, after: Figure) -> Figure:
    """Return the second one with its ratios to the first one; both are of as many rounds, one after the other."""
    pairs = list(zip(before.details["rounds"], after.details["rounds"], strict=True))
    ratios = {name: spread([one[name] / other[name] for other, one in pairs if other[name]]) for name in _UNITS}
    return replace(after, details={**after.details, RATIOS: ratios})


def is_of(figure: Figure) -> bool:
    """Tell whether a figure is shown here."""
    return "rounds" in figure.details


def tables(figures: Iterable[Figure]) -> list[Any]:
    """Return the table of what was measured in pairs, or nothing."""
    own = [figure for figure in figures if is_of(figure)]
    if not own:
        return []
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("case", "figure"):
        table.add_column(name, no_wrap=True)
    for name in ("nothing", "observed", "ratio", "lowest", "highest", "told from noise", "2 %"):
        table.add_column(name, justify="right")
    for before, after in zip(own[::2], own[1::2], strict=True):
        for name, ratio in after.details[RATIOS].items():
            table.add_row(*_row(before, after, name, ratio))
    count = len(own[0].details["rounds"])
    return [table, Text(f"{_NOTES}\n{count} rounds: the certainty is {1 - 2.0 ** (1 - count):.1%}.")]


def _row(before: Figure, after: Figure, name: str, ratio: Mapping[str, float]) -> tuple[str, ...]:
    lowest, highest = ratio["lowest"], ratio["highest"]
    told = "" if lowest <= 1 <= highest else "more" if lowest > 1 else "less"
    return (
        after.case.partition(",")[0] if name == RATE else "",
        _UNITS[name].format(after.unit).replace("deliverys", "deliveries"),
        *(f"{median(one[name] for one in figure.details['rounds']):,.1f}" for figure in (before, after)),
        *(f"{value:.3f}" for value in (ratio["median"], lowest, highest)),
        told or "no",
        "yes" if highest - lowest <= 2 * SHARE else "no",
    )


def _values(figure: Figure) -> dict[str, float]:
    cpu = sum(us for part, us in figure.cpu_us.items() if part != GENERATOR)
    return {RATE: figure.per_second, CPU: cpu, P50: figure.p50_ms, P99: figure.p99_ms}


def spread(ratios: Sequence[float]) -> dict[str, float]:
    """Return the median, the lowest and the highest."""
    # Nothing was done in a window so short; there is nothing to compare.
    ratios = ratios or [0.0]
    return {"median": median(ratios), "lowest": min(ratios), "highest": max(ratios)}
