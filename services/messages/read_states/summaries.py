"""The use case of listing a user's rooms as an application shows them: no gRPC, no SQL."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import structlog
from chatkit.messages.v1.room_summary_pb2 import RoomMember
from chatkit.rooms.v1.room_pb2 import Room

from services.messages.latest_rooms import LatestRoom, latest_first
from services.messages.log.store import LogStore
from services.messages.peers import RoomOfUser, RoomsClient, UsersClient
from services.messages.read_states.model import ReadState
from services.messages.read_states.service import READ_CURSORS, Reader, ReadStates
from services.runtime.contract.errors import DeadlineExceeded, Unavailable
from services.runtime.deadline import Deadline
from services.runtime.ids import RoomUid

_log = structlog.get_logger()
# Others are named where they are so few.
_MOST_OTHERS = 5
# How long users is waited for: names are shown as soon as it can be asked again.
_NAMES_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class RoomSummary:
    """A room as it is shown to a user; `state` is None where they may not read cursors."""

    latest: LatestRoom
    room: Room
    state: ReadState | None
    others: Sequence[RoomMember]


@dataclass(frozen=True, slots=True)
class SummaryPage:
    """Some rooms of a user, and the key after which the next page starts; None after the last."""

    summaries: Sequence[RoomSummary]
    next_key: tuple[int, str] | None


class RoomSummaries:
    """Lists a user's rooms by what happens in them."""

    def __init__(self, read_states: ReadStates, rooms: RoomsClient, users: UsersClient, log: LogStore) -> None:
        self._read_states = read_states
        self._rooms = rooms
        self._users = users
        self._log = log

    async def page(self, reader: Reader, after: tuple[int, str] | None, size: int, deadline: Deadline) -> SummaryPage:
        """Return so many of a user's rooms after a key, the latest to move first; those that are left meanwhile lack.

        All of the user's rooms are looked at, because every event may change their order.
        """
        rooms = [room async for some in self._rooms.all_of_user(reader.user_id, deadline) for room in some]
        rest = [one for one in await latest_first(self._log, rooms) if after is None or one.key > after]
        chosen = rest[:size]
        if not chosen:
            return SummaryPage((), None)
        states = await self._states(reader, [one.room for one in chosen], deadline)
        # After all else of the rooms, so that nothing is shown of one that the user has left meanwhile.
        described, count = await self._rooms.describe(
            reader.user_id, [one.room.room_uid for one in chosen], _MOST_OTHERS + 1, deadline
        )
        others = {uid: one.others(reader.user_id) for uid, one in described.items()}
        members = await self._members([user_id for of_room in others.values() for user_id in of_room], deadline)
        summaries = [
            RoomSummary(
                one,
                described[uid].room,
                states.get(uid),
                [members[user_id] for user_id in others[uid] if user_id in members],
            )
            for one in chosen[:count]
            if (uid := one.room.room_uid) in described
        ]
        return SummaryPage(summaries, chosen[:count][-1].key if count < len(rest) else None)

    async def _states(
        self, reader: Reader, rooms: Sequence[RoomOfUser], deadline: Deadline
    ) -> Mapping[RoomUid, ReadState]:
        permitted = await self._read_states.permitted(reader, rooms, READ_CURSORS, deadline)
        states = await self._read_states.states(reader, rooms, deadline)
        return {room.room_uid: state for room, state in zip(rooms, states, strict=True) if room.room_id in permitted}

    async def _members(self, user_ids: Iterable[str], deadline: Deadline) -> Mapping[str, RoomMember]:
        """Return those of some users who exist; without names while users can't be asked."""
        wanted = set(user_ids)
        try:
            return await self._users.members(wanted, min(deadline, Deadline.after(_NAMES_SECONDS)))
        except (Unavailable, DeadlineExceeded) as error:
            _log.warning("names_unknown", reason=error.reason)
            return {user_id: RoomMember(user_id=user_id) for user_id in wanted}
