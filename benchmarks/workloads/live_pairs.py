"""W1 as people chat: 50 rooms of two, both of whom follow the room, and one sends; by calls and on streams.

The time is that until the answer, which means that the message is on disk; the generator reads what both are given.
"""

from dataclasses import dataclass, replace

from benchmarks.figures import Figure, Options, of_calls
from benchmarks.load import live, streamed
from benchmarks.load.jobs import LiveJob
from benchmarks.load.process import in_own_process
from benchmarks.load.room import SEND
from benchmarks.suite import Suite
from benchmarks.workloads.sends import PLACEHOLDER, call_body, stream_body

NAME = "W1"
PAIRS, MEMBERS = 50, 2
TEXT_BYTES = 200
_COUNTS = ("expected", "delivered", "lost", "doubled")


@dataclass(frozen=True, slots=True)
class Case:
    """One way to send."""

    name: str
    path: str


CALLS = Case("50 pairs, both live, by calls", SEND)
STREAMS = Case("50 pairs, both live, on streams", streamed.PATH)


async def run(suite: Suite, options: Options) -> list[Figure]:
    """Send past the edge and through it."""
    return [await measure(suite, options, case, via) for case in (CALLS, STREAMS) for via in ("services", "edge")]


async def measure(
    suite: Suite, options: Options, case: Case, via: str, prefix: str = "", *, warm_ups: int = 1
) -> Figure:
    """Measure a case in one way; the prefix is for the rooms of whoever measures it more than once.

    Where there are replicas, each has to be warmed up.
    """
    suite.say(f"{NAME}: {case.name}, {via}")
    on_streams = case is STREAMS
    rooms = await suite.rooms(f"{prefix}w1-{'streams' if on_streams else 'calls'}-{via}", PAIRS, MEMBERS)
    body = stream_body if on_streams else call_body
    job = LiveJob(
        address=suite.edge if via == "edge" else suite.address("messages"),
        path=case.path,
        rooms=rooms,
        bodies=[body(room.id, TEXT_BYTES) for room in rooms],
        groups=suite.groups,
        seconds=options.seconds,
        warm_up_seconds=options.warm_up * warm_ups,
        placeholder=PLACEHOLDER,
        namespace=suite.namespace(),
    )
    found = await in_own_process(live.run, job)
    figure = of_calls(NAME, case.name, via, "send", found)
    stored = sum([await suite.last_seq(room) for room in rooms])
    counts = {name: found[name] for name in _COUNTS}
    return replace(figure, details={**figure.details, **counts, "stored": stored})
