"""Where subscribers ask to start, from requests."""

from typing import Protocol

from chatkit.contract.v1 import limit_pb2
from chatkit.messages.v1.position_pb2 import Position as PositionProto

from services.messages.model import Position, Start
from services.runtime.contract.errors import invalid_field
from services.runtime.contract.policies import Limits


class Starting(Protocol):
    """A request that says where a room starts."""

    after: PositionProto
    last: int
    max_snapshot_messages: int

    def WhichOneof(self, oneof_group: str) -> str | None:
        """Return what it says."""

    def HasField(self, field_name: str) -> bool:
        """Tell whether it says so much."""


class Starts:
    """Reads where rooms start."""

    def __init__(self, limits: Limits) -> None:
        self._most = limits[limit_pb2.LIMIT_RESUME_MESSAGES]
        # Of a room of which nothing is said.
        self.default = Start(None, limits[limit_pb2.LIMIT_PAGE_SIZE_DEFAULT])

    def of(self, request: Starting, default: Start, path: str = "") -> Start:
        """Return where a room starts; `path` is where the request has it. Raises FIELD_INVALID."""
        has_most, start = request.HasField("max_snapshot_messages"), request.WhichOneof("start")
        if has_most and start != "after":
            raise invalid_field("FIELD_INVALID", f"{path}max_snapshot_messages", "may be set only with after")
        match start:
            case "after":
                most = request.max_snapshot_messages if has_most else self._most
                return Start(Position(request.after.epoch, request.after.seq), most)
            case "last":
                return Start(None, request.last)
            case _:
                return default
