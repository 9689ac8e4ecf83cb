"""The suite and a peer by turns: rounds of the same work, their medians, and what each round has for a ratio.

Both run all the time and one of them has load. A ratio is of figures of one round, so that a machine that is slower for
a while makes both slower.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from benchmarks.figures import Figure, Options
from benchmarks.pairs import medians, spread
from benchmarks.peers.cases import PEER, Case
from benchmarks.suite import Say

ROUNDS, OF_PEER = "by_round", "of_peer"
RATE, CPU, P50, P99 = "rate", "cpu_us", "p50_ms", "p99_ms"


async def by_turns(case: Case, options: Options, say: Say) -> list[Figure]:
    """Measure a case in each round in all ways, and compare the suite's with the peer's."""
    ways = {**case.ours, PEER: case.theirs}
    found: dict[str, list[Figure]] = {name: [] for name in ways}
    for number in range(options.rounds):
        say(f"{case.workload}: {case.name}, round {number + 1} of {options.rounds}")
        # Who was last is first in the next round, so that a machine that gets slower favours none.
        for name in ways if number % 2 == 0 else reversed(ways):
            found[name].append(await ways[name](options, f"peers-{number}-"))
    theirs = of_rounds(found.pop(PEER))
    return [*(compared(of_rounds(rounds), theirs) for rounds in found.values()), theirs]


def of_rounds(rounds: Sequence[Figure]) -> Figure:
    """Return the medians of what was measured in several rounds, with each round."""
    figure = medians(rounds)
    return replace(figure, details={**figure.details, ROUNDS: [_values(one) for one in rounds]})


def compared(ours: Figure, theirs: Figure) -> Figure:
    """Return the suite's figure with its ratios to the peer's; both are of as many rounds, one after the other."""
    pairs = list(zip(ours.details[ROUNDS], theirs.details[ROUNDS], strict=True))
    ratios = {name: spread([one[name] / other[name] for one, other in pairs if other[name]]) for name in pairs[0][0]}
    return replace(ours, details={**ours.details, OF_PEER: ratios})


def is_of(figure: Figure) -> bool:
    """Tell whether a figure is of rounds beside a peer."""
    return ROUNDS in figure.details


def spread_of(figure: Figure, name: str) -> Mapping[str, float]:
    """Return the median, the lowest and the highest of a figure's rounds."""
    return spread([one[name] for one in figure.details[ROUNDS]])


def _values(figure: Figure) -> dict[str, float]:
    """Return what is compared; CPU is that of the server and its database, and the edge and the bus stand beside it."""
    return {RATE: figure.per_second, CPU: figure.server_us, P50: figure.p50_ms, P99: figure.p99_ms}
