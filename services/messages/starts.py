"""Where subscribers ask to start, from requests."""

from collections.abc import Sequence
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


class _Following(Protocol):
    """A request that says where those of its rooms start of which nothing else is said."""

    default_last: int

    def WhichOneof(self, oneof_group: str) -> str | None:
        """Return what it says."""


class _Room(Starting, Protocol):
    """A room that a request names, and where it starts."""

    room_id: str


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

    def default_of(self, request: _Following) -> Start:
        """Return where those rooms start of which a request says nothing else."""
        return Start(None, request.default_last) if request.WhichOneof("default_start") is not None else self.default

    def of_rooms(self, rooms: Sequence[_Room], default: Start) -> list[tuple[str, Start]]:
        """Return the rooms of a request, by ids, with where they start. Raises FIELD_INVALID."""
        refuse_twins(rooms, "rooms")
        return [(room.room_id, self.of(room, default, f"rooms[{index}].")) for index, room in enumerate(rooms)]


def refuse_twins(rooms: Sequence[_Room], field: str) -> None:
    """Raise FIELD_INVALID for a field that names a room twice."""
    if len({room.room_id for room in rooms}) < len(rooms):
        raise invalid_field("FIELD_INVALID", field, "must not name a room twice")
