"""What the generator is told: a job per process."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and with which request."""

    token: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Room:
    """A room and its members' tokens."""

    id: str
    tokens: list[str]


@dataclass(frozen=True, slots=True)
class CallsJob:
    """Unary calls in a closed loop."""

    address: str
    path: str
    callers: list[Caller]
    groups: dict[str, int]
    seconds: float
    warm_up_seconds: float
    # What stands in the bodies where each call has a number of its own.
    placeholder: bytes = b""
    # Makes the numbers differ from those of other jobs.
    namespace: int = 0


@dataclass(frozen=True, slots=True)
class RoomJob:
    """Sends into rooms of which every member subscribes."""

    address: str
    rooms: list[Room]
    groups: dict[str, int]
    seconds: float
    warm_up_seconds: float
    namespace: int
    # Senders in each room with one send in flight each; or sends in a second over all rooms.
    senders: int = 1
    per_second: float = 0.0
    text_bytes: int = 64
    # The process that is told to end while subscribers follow; its supervisor starts it again.
    restarted: int = 0
    # Whether the first subscriber of the first room stops reading.
    has_hanging: bool = False


@dataclass(frozen=True, slots=True)
class IdleJob:
    """Subscribers who wait."""

    address: str
    rooms: list[Room]
    groups: dict[str, int]
    seconds: float
    streams_per_connection: int = 1


@dataclass(frozen=True, slots=True)
class OpeningsJob:
    """Subscriptions to one room that are opened and given up, one after the other."""

    address: str
    room: Room
    last: int
    groups: dict[str, int]
    seconds: float
    warm_up_seconds: float


@dataclass(frozen=True, slots=True)
class FollowedJob:
    """More and more rooms that are followed: the streams that come each time, by token and rooms, and a sender."""

    address: str
    streams: list[list[tuple[str, list[str]]]]
    room: Room
    groups: dict[str, int]
    seconds: float
    per_second: float
    namespace: int
