"""Where subscribers ask to start, from requests."""

from typing import Protocol

from chatkit.messages.v1.position_pb2 import Position as PositionProto

from services.messages.model import Position, Start


class Starting(Protocol):
    """A request that says where a room starts."""

    after: PositionProto
    last: int

    def WhichOneof(self, oneof_group: str) -> str | None:
        """Return what it says."""


def start_of(request: Starting, default: Start) -> Start:
    """Return where a room starts that a request names."""
    match request.WhichOneof("start"):
        case "after":
            return Start(Position(request.after.epoch, request.after.seq), default.last)
        case "last":
            return Start(None, request.last)
        case _:
            return default
