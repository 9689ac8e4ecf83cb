"""batch: BatchSendMessages by 4 servers of a customer's, a call in flight each, 100 messages a call over 50 rooms."""

from dataclasses import replace

from chatkit.messages.v1 import messages_service_pb2, part_pb2

from benchmarks.contract import find_method
from benchmarks.figures import Figure, Options, of_calls
from benchmarks.load import calls
from benchmarks.load.jobs import Caller, CallsJob
from benchmarks.load.process import in_own_process
from benchmarks.seeding import TEXT_BYTES
from benchmarks.suite import Suite
from benchmarks.workloads.sends import PLACEHOLDER
from services.runtime.contract.policies import MethodContract

NAME = "batch"
CASE = "4 callers, 100 messages a call, 50 rooms"
_METHOD = ("MessagesService", "BatchSendMessages")
_CALLERS, _MESSAGES, _ROOMS = 4, 100, 50


def left_out() -> list[str]:
    """Say what the contract has no RPC for."""
    return [] if find_method(*_METHOD) else [f"{NAME}: the contract has no {_METHOD[1]}"]


async def run(suite: Suite, options: Options) -> list[Figure]:
    """Send batches past the edge and through it."""
    method = find_method(*_METHOD)
    return [await _send(suite, options, method, via) for via in ("services", "edge")] if method is not None else []


async def _send(suite: Suite, options: Options, method: MethodContract, via: str) -> Figure:
    suite.say(f"{NAME}: {CASE}, {via}")
    rooms = await suite.rooms(f"batch-{via}", _ROOMS, 1)
    sends = [
        _send_of(rooms[number % _ROOMS].id, f"batch-{via}-user-{number % _ROOMS:06d}") for number in range(_MESSAGES)
    ]
    job = CallsJob(
        address=suite.edge if via == "edge" else suite.address("messages"),
        path=method.path,
        callers=[Caller(suite.superuser_token, method.request_class(requests=sends).SerializeToString())] * _CALLERS,
        groups=suite.groups,
        seconds=options.seconds,
        warm_up_seconds=options.warm_up,
        placeholder=PLACEHOLDER,
        namespace=suite.namespace(),
    )
    figure = of_calls(NAME, CASE, via, "message", await in_own_process(calls.run, job), per_call=_MESSAGES)
    stored = sum([await suite.last_seq(room) for room in rooms])
    sent = figure.details["answered_in_all"] * _MESSAGES
    return replace(figure, details={**figure.details, "sent_in_all": sent, "stored": stored})


def _send_of(room_id: str, sender_id: str) -> messages_service_pb2.SendMessageRequest:
    parts = [part_pb2.Part(content_type="text/plain", content="x" * TEXT_BYTES)]
    return messages_service_pb2.SendMessageRequest(
        room_id=room_id, sender_id=sender_id, request_id=PLACEHOLDER.decode(), parts=parts
    )
