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
class StreamsJob(CallsJob):
    """Messages on streams, one for each caller, in a closed loop; each caller has so many in flight."""

    in_flight: int = 1


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
class LiveJob:
    """Sends in a closed loop into rooms that every member follows: in each room the last member sends."""

    address: str
    # How it is sent: by calls of SendMessage, or on streams of SendMessages.
    path: str
    rooms: list[Room]
    # What is sent into each of the rooms.
    bodies: list[bytes]
    groups: dict[str, int]
    seconds: float
    warm_up_seconds: float
    placeholder: bytes
    namespace: int


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
class StartsJob:
    """Apps of one user that start one after the other, or come back after a cut."""

    address: str
    token: str
    # Of how many rooms the user is a member.
    rooms: int
    is_resumed: bool
    groups: dict[str, int]
    seconds: float
    warm_up_seconds: float


@dataclass(frozen=True, slots=True)
class BareStartsJob:
    """The same at a bare server: of how many bytes the request is, the messages on the stream, and each answer."""

    address: str
    request_bytes: int
    frames: list[int]
    answers: list[int]
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


@dataclass(frozen=True, slots=True)
class ErasingJob:
    """A user who is deleted while somebody else sends; `keeps_messages` is the other way of deleting."""

    messages_address: str
    users_address: str
    superuser_token: str
    user_id: str
    keeps_messages: bool
    room: Room
    groups: dict[str, int]
    seconds: float
    per_second: float
    namespace: int


@dataclass(frozen=True, slots=True)
class NeighboursJob:
    """Honest users in one room who send, read and upload at a steady rate, and one stream that follows the room."""

    address: str
    room_id: str
    # Ids and tokens.
    members: list[tuple[str, str]]
    sends_per_second: float
    # Of each of the methods that read.
    reads_per_second: float
    uploads_per_second: float
    namespace: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A call of an attack: the method's path, who calls, and the message; `is_whole` says whether the body ends."""

    path: str
    token: str
    body: bytes
    is_whole: bool = True


@dataclass(frozen=True, slots=True)
class HeldCallsJob:
    """Calls that stay open: a list for each connection, whose answers are read or not."""

    address: str
    connections: list[list[Asked]]
    is_read: bool


@dataclass(frozen=True, slots=True)
class SilentJob:
    """Connections that say something and then nothing, or a byte now and then; their answers are read or not."""

    address: str
    said: list[bytes]
    is_read: bool
    per_second: float
    # A byte comes each time so many seconds are over; never when it is 0.
    drip_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class RepeatedJob:
    """Calls at a rate, by turns, whatever they are answered."""

    address: str
    calls: list[Asked]
    per_second: float
    # What stands in the bodies where each call has a number of its own.
    placeholder: bytes
    namespace: int


@dataclass(frozen=True, slots=True)
class ReopenedJob:
    """Streams that are opened all at once, read until they are caught up, given up, and opened again."""

    address: str
    connections: list[list[Asked]]
    # Between two openings, for the limit of rate.
    least_seconds: float


@dataclass(frozen=True, slots=True)
class ResetsJob:
    """Calls that are taken back at once, as fast as it goes."""

    address: str
    asked: Asked
    connections: int


AttackJob = HeldCallsJob | SilentJob | RepeatedJob | ReopenedJob | ResetsJob
