"""What the generator is told about a peer."""

from dataclasses import dataclass

# Every user of a peer has this one; it is reached on loopback alone and is gone after the run.
PASSWORD = "benchmark"  # noqa: S105 - protects nothing
DOMAIN = "localhost"


@dataclass(frozen=True, slots=True)
class Chat:
    """A room of several, by its address, and who is in it."""

    id: str
    users: list[str]


@dataclass(frozen=True, slots=True)
class ChatsJob:
    """Sends into rooms in which everybody is there and is given everything."""

    address: str
    rooms: list[Chat]
    groups: dict[str, int]
    seconds: float
    warm_up_seconds: float
    namespace: int
    text_bytes: int
    # Senders in each room with one send in flight each; or sends in a second over all rooms.
    senders: int = 1
    per_second: float = 0.0
    # Whether sends are counted and timed until they are acknowledged, or deliveries until the last one.
    counts_sends: bool = False


@dataclass(frozen=True, slots=True)
class HistoryJob:
    """Everybody in a room reads its last messages again and again."""

    address: str
    room: Chat
    page: int
    groups: dict[str, int]
    seconds: float
    warm_up_seconds: float
