"""W1: 50 senders in 50 rooms, each with one send in flight. An answer means that the message is on disk.

First nobody follows the rooms, which is what a bare echo is compared with; then each room has two who do.
"""

from dataclasses import replace

from benchmarks import echo
from benchmarks.figures import Figure, Options, of_calls
from benchmarks.load import calls
from benchmarks.load.jobs import Caller, CallsJob
from benchmarks.load.process import in_own_process
from benchmarks.load.room import SEND
from benchmarks.suite import Suite
from benchmarks.workloads import live_pairs
from benchmarks.workloads.sends import PLACEHOLDER, call_body

NAME = live_pairs.NAME
_SENDERS = 50
CASE = "50 senders in 50 rooms"


async def run(suite: Suite, options: Options) -> list[Figure]:
    """Send past the edge and through it, echo the same bytes at the bare server, and send to those who follow."""
    bare = await _bare(suite, options)
    measured = [await send(suite, options, via) for via in ("services", "edge")]
    shares = [replace(figure, of_bare=figure.per_second / bare.per_second) for figure in measured]
    return [*shares, bare, *await live_pairs.run(suite, options)]


async def send(suite: Suite, options: Options, via: str, prefix: str = "") -> Figure:
    """Send in one way; the prefix is for rooms of whoever measures it more than once."""
    suite.say(f"{NAME}: {CASE}, {via}")
    rooms = await suite.rooms(f"{prefix}w1-{via}", _SENDERS, 1)
    job = CallsJob(
        address=suite.edge if via == "edge" else suite.address("messages"),
        path=SEND,
        callers=[Caller(room.tokens[0], call_body(room.id)) for room in rooms],
        groups=suite.groups,
        seconds=options.seconds,
        warm_up_seconds=options.warm_up,
        placeholder=PLACEHOLDER,
        namespace=suite.namespace(),
    )
    figure = of_calls(NAME, CASE, via, "send", await in_own_process(calls.run, job))
    stored = sum([await suite.last_seq(room) for room in rooms])
    return replace(figure, details={**figure.details, "stored": stored})


async def _bare(suite: Suite, options: Options) -> Figure:
    suite.say(f"{NAME}: the same bytes, bare")
    job = CallsJob(
        address=suite.bare,
        path=echo.ECHO,
        callers=[Caller(suite.token("nobody"), call_body("w1-services-000000")) for _ in range(_SENDERS)],
        groups=suite.bare_groups,
        seconds=options.seconds,
        warm_up_seconds=options.warm_up,
        placeholder=PLACEHOLDER,
    )
    return of_calls(NAME, "50 callers of an echo", "bare", "call", await in_own_process(calls.run, job))
