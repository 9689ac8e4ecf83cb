"""What is sent, and what becomes of it."""

from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from chatkit_client.calling import new_id
from chatkit_client.errors import ChatkitError
from chatkit_client.proto.messages.v1 import message_pb2, part_pb2
from chatkit_client.proto.messages.v1 import messages_service_pb2 as pb2

# What a message says: a text, or its parts.
Says = str | Iterable[part_pb2.Part]


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one of many messages: it is there, or `error` says why it is not, or may not be."""

    request: pb2.SendMessageRequest
    message: message_pb2.Message | None = None
    error: ChatkitError | None = None


class Way(Protocol):
    """A way to send many messages."""

    def send(self, requests: Sequence[pb2.SendMessageRequest]) -> AsyncGenerator[Sent, None]:
        """Yield what became of each, those of one room in their order; what one ends with is no other's."""


def text(content: str) -> part_pb2.Part:
    """Return a part of a message that is plain text."""
    return part_pb2.Part(content_type="text/plain", content=content)


def request(
    room_id: str, says: Says, sender_id: str | None = None, request_id: str | None = None
) -> pb2.SendMessageRequest:
    """Return the request that sends a message; its id is new, unless it is given, and the same for all attempts."""
    parts = [text(says)] if isinstance(says, str) else says
    return pb2.SendMessageRequest(room_id=room_id, sender_id=sender_id, parts=parts, request_id=request_id or new_id())
