"""W1: 50 senders in 50 rooms, each with one send in flight. An answer means that the message is on disk."""

from dataclasses import replace

from chatkit.messages.v1 import messages_service_pb2, part_pb2

from benchmarks import echo
from benchmarks.figures import Figure, Options, of_calls
from benchmarks.load import calls
from benchmarks.load.jobs import Caller, CallsJob
from benchmarks.load.process import in_own_process
from benchmarks.load.room import SEND
from benchmarks.seeding import TEXT_BYTES
from benchmarks.suite import Suite

NAME = "W1"
_SENDERS = 50
CASE = "50 senders in 50 rooms"
PLACEHOLDER = b"NUMBER-OF-A-SEND"


async def run(suite: Suite, options: Options) -> list[Figure]:
    """Send past the edge and through it, and echo the same bytes at the bare server."""
    bare = await _bare(suite, options)
    measured = [await send(suite, options, via) for via in ("services", "edge")]
    return [replace(figure, of_bare=figure.per_second / bare.per_second) for figure in measured] + [bare]


async def send(suite: Suite, options: Options, via: str, prefix: str = "") -> Figure:
    """Send in one way; the prefix is for rooms of whoever measures it more than once."""
    suite.say(f"{NAME}: {CASE}, {via}")
    rooms = await suite.rooms(f"{prefix}w1-{via}", _SENDERS, 1)
    job = CallsJob(
        address=suite.edge if via == "edge" else suite.address("messages"),
        path=SEND,
        callers=[Caller(room.tokens[0], _body(room.id)) for room in rooms],
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
        callers=[Caller(suite.token("nobody"), _body("w1-services-000000")) for _ in range(_SENDERS)],
        groups=suite.bare_groups,
        seconds=options.seconds,
        warm_up_seconds=options.warm_up,
        placeholder=PLACEHOLDER,
    )
    return of_calls(NAME, "50 callers of an echo", "bare", "call", await in_own_process(calls.run, job))


def send_of(room_id: str) -> messages_service_pb2.SendMessageRequest:
    """Return the request of a send."""
    parts = [part_pb2.Part(content_type="text/plain", content="x" * TEXT_BYTES)]
    return messages_service_pb2.SendMessageRequest(room_id=room_id, request_id=PLACEHOLDER.decode(), parts=parts)


def _body(room_id: str) -> bytes:
    return send_of(room_id).SerializeToString()
