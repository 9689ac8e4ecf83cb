"""streams: the sends of W1 on streams, a stream for each of the 50 senders, with 1 and with 16 in flight on each."""

from dataclasses import replace

from benchmarks import echo
from benchmarks.figures import Figure, Options, of_calls
from benchmarks.load import streamed
from benchmarks.load.jobs import Caller, StreamsJob
from benchmarks.load.process import in_own_process
from benchmarks.suite import Suite
from benchmarks.workloads.sends import PLACEHOLDER, stream_body

NAME = "streams"
_SENDERS = 50
_IN_FLIGHT = (1, 16)


async def run(suite: Suite, options: Options) -> list[Figure]:
    """Send past the edge and through it, and echo the same bytes on streams of the bare server."""
    return [figure for in_flight in _IN_FLIGHT for figure in await _measured(suite, options, in_flight)]


async def _measured(suite: Suite, options: Options, in_flight: int) -> list[Figure]:
    bare = await _bare(suite, options, in_flight)
    sent = [await _send(suite, options, in_flight, via) for via in ("services", "edge")]
    return [*(replace(figure, of_bare=figure.per_second / bare.per_second) for figure in sent), bare]


async def _send(suite: Suite, options: Options, in_flight: int, via: str) -> Figure:
    rooms = await suite.rooms(f"streams-{in_flight}-{via}", _SENDERS, 1)
    address = suite.edge if via == "edge" else suite.address("messages")
    callers = [Caller(room.tokens[0], stream_body(room.id)) for room in rooms]
    job = StreamsJob(
        address,
        streamed.PATH,
        callers,
        suite.groups,
        options.seconds,
        options.warm_up,
        PLACEHOLDER,
        suite.namespace(),
        in_flight,
    )
    figure = await _figure(suite, job, via, "send")
    stored = sum([await suite.last_seq(room) for room in rooms])
    return replace(figure, details={**figure.details, "stored": stored})


async def _bare(suite: Suite, options: Options, in_flight: int) -> Figure:
    body = stream_body(f"streams-{in_flight}-services-000000")
    callers = [Caller(suite.token("nobody"), body) for _ in range(_SENDERS)]
    job = StreamsJob(
        suite.bare,
        echo.ECHO_STREAM,
        callers,
        suite.bare_groups,
        options.seconds,
        options.warm_up,
        PLACEHOLDER,
        in_flight=in_flight,
    )
    return await _figure(suite, job, "bare", "message")


async def _figure(suite: Suite, job: StreamsJob, via: str, unit: str) -> Figure:
    case = f"{_SENDERS} streams, {job.in_flight} in flight"
    suite.say(f"{NAME}: {case}, {via}")
    return of_calls(NAME, case, via, unit, await in_own_process(streamed.run, job))
