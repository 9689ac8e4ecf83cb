"""Sends messages of one user, and chooses how."""

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing

from chatkit_client.calling import new_id
from chatkit_client.calls import Calls
from chatkit_client.proto.messages.v1 import message_pb2
from chatkit_client.proto.messages.v1 import messages_service_pb2 as pb2
from chatkit_client.sending.by_calls import ByCalls
from chatkit_client.sending.on_stream import OnStream
from chatkit_client.sending.outcomes import Sent, Way

# More than these are sent on a stream.
_A_FEW = 4
# What is larger is refused, and would end the stream of all others.
_MOST_BYTES = 32 * 1024


def way(calls: Calls, requests: Sequence[pb2.SendMessageRequest]) -> Way:
    """Choose how messages are sent."""
    fits = all(one.ByteSize() <= _MOST_BYTES for one in requests)
    return OnStream(calls) if fits and len(requests) > _A_FEW else ByCalls(calls)


class Sender:
    """Sends messages of one user."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def send(self, one: pb2.SendMessageRequest) -> message_pb2.Message:
        """Send a message, and return it as it is stored; raises ChatkitError."""
        answer: pb2.SendMessageResponse = await self._calls.call(one)
        return answer.message

    async def send_many(self, requests: Iterable[pb2.SendMessageRequest]) -> AsyncGenerator[Sent, None]:
        """Yield what became of each; one without a request id gets a new one."""
        wanted = [_with_id(one) for one in requests]
        async with aclosing(way(self._calls, wanted).send(wanted)) as outcomes:
            async for sent in outcomes:
                yield sent


def _with_id(one: pb2.SendMessageRequest) -> pb2.SendMessageRequest:
    if one.request_id:
        return one
    copy = pb2.SendMessageRequest(request_id=new_id())
    copy.MergeFrom(one)
    return copy
