"""A user's rooms in the order of what happens in them: the one with the latest event first."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from services.messages.log.store import LogStore
from services.messages.peers import RoomOfUser
from services.runtime.steps import slices

_TIMES_AT_ONCE = 500


_MICROSECOND = timedelta(microseconds=1)
_NEVER = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class LatestRoom:
    """A room of a user, and when something last happened in it; None when nothing has."""

    room: RoomOfUser
    last_time: datetime | None

    @property
    def key(self) -> tuple[int, str]:
        """The room's place: the latest is first, and of those that are equal whose id is."""
        return -(((self.last_time or _NEVER) - _NEVER) // _MICROSECOND), self.room.room_id


async def latest_first(
    log: LogStore,
    rooms: Sequence[RoomOfUser],
    turn: Callable[[], AbstractAsyncContextManager[object]] = nullcontext,
) -> list[LatestRoom]:
    """Return rooms, the latest to move first; those in which nothing has ever happened are last.

    Each look at the database has a turn of its own.
    """
    latest: list[LatestRoom] = []
    for some in slices(rooms, _TIMES_AT_ONCE):
        async with turn():
            times = await log.last_times([room.room_uid for room in some])
        latest += [LatestRoom(room, times.get(room.room_uid)) for room in some]
    return sorted(latest, key=lambda one: one.key)
