"""W2: one room of 100 who all subscribe, each on a connection of their own, and some of whom send.

A delivery is one message at one subscriber. The latency is that of the last of the 100, from when the send was due.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.figures import Figure, Options, per_unit
from benchmarks.load import fanout
from benchmarks.load.jobs import RoomJob
from benchmarks.load.process import in_own_process
from benchmarks.seeding import TEXT_BYTES
from benchmarks.suite import Suite

NAME = "W2"
MEMBERS = 100


@dataclass(frozen=True, slots=True)
class Case:
    """How W2 is done: so many senders with one send in flight each, or so many sends in a second."""

    name: str
    senders: int
    per_second: float = 0.0
    # Percentiles of few sends need longer.
    longer: int = 1


ONE = Case("1 send in flight", 1)
SIXTEEN = Case("16 sends in flight", 16)
PACED = Case("50 sends/s", 16, per_second=50.0, longer=2)


async def run(suite: Suite, options: Options) -> list[Figure]:
    """Run every case at the services, through the edge, and at a bare server that fans out."""
    figures = []
    for case in (ONE, SIXTEEN, PACED):
        bare = await measure(suite, options, case, "bare")
        for via in ("services", "edge"):
            figure = await measure(suite, options, case, via)
            # At a rate that is given, the share would say nothing.
            is_loop = not case.per_second
            figures.append(replace(figure, of_bare=figure.per_second / bare.per_second) if is_loop else figure)
        figures.append(bare)
    return figures


async def measure(
    suite: Suite, options: Options, case: Case, via: str, prefix: str = "", text_bytes: int = TEXT_BYTES
) -> Figure:
    """Measure a case in one way; the prefix is for the room of whoever measures it more than once."""
    suite.say(f"{NAME}: {case.name}, {via}")
    rooms = await suite.rooms(f"{prefix}w2-{via}-{case.senders}-{case.per_second:.0f}", 1, MEMBERS)
    addresses = {"services": suite.address("messages"), "edge": suite.edge, "bare": suite.bare}
    job = RoomJob(
        address=addresses[via],
        rooms=rooms,
        groups=suite.bare_groups if via == "bare" else suite.groups,
        seconds=options.seconds * case.longer,
        warm_up_seconds=options.warm_up,
        namespace=suite.namespace(),
        senders=case.senders,
        per_second=case.per_second,
        text_bytes=text_bytes,
    )
    return of_deliveries(NAME, case.name, via, await in_own_process(fanout.run, job))


def of_deliveries(workload: str, case: str, via: str, found: Mapping[str, Any]) -> Figure:
    """Make a figure of what the generator measured."""
    names = ("count", "seconds", "sends_per_second", "max_ms")
    counts = ("acknowledged", "expected", "delivered", "lost", "doubled")
    return Figure(
        workload,
        case,
        via,
        "delivery",
        per_second=found["per_second"],
        p50_ms=found["p50_ms"],
        p99_ms=found["p99_ms"],
        cpu_us=per_unit(found["cpu_seconds"], found["count"]),
        details={name: found[name] for name in (*names, *counts) if name in found},
    )
