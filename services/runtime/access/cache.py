"""What rooms allowed, kept for as long as nothing can have changed it. Nothing here calls, waits or knows gRPC.

An answer is kept only if no change that it has not seen has arrived. It is used only while, at the moment of use, it is
young enough and all changes up to a moment ago are known to have arrived. Refusals are never kept.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from chatkit.contract.v1 import method_policy_pb2

from services.runtime.access.port import (
    AccessChange,
    AccessGrant,
    AccessQuery,
    MembershipChanged,
    RoleAssigned,
    RoleChanged,
    RoleKey,
    RoomDeleted,
    RoomUpdated,
)
from services.runtime.clock import Clock
from services.runtime.ids import RoomUid
from services.runtime.steps import emptied

MOST_ENTRIES = 100_000
MOST_CHANGES = 10_000


class Freshness:
    """How long ago it was certain that all changes of access had arrived."""

    def __init__(self, clock: Clock, patience: float) -> None:
        self.patience = patience
        # How many are still finding out whom a change that has arrived concerns.
        self._holds = 0
        # A moment by the monotonic clock; every change before it has arrived.
        self.proved_at = float("-inf")
        self._clock = clock

    @property
    def age(self) -> float:
        """How many seconds ago that was."""
        return self._clock.monotonic() - self.proved_at

    def is_fresh(self) -> bool:
        """Tell whether that was less than `patience` seconds ago."""
        return self.age < self.patience

    def prove(self, moment: float) -> None:
        """Take note that all changes up to a moment have arrived."""
        self.proved_at = max(self.proved_at, moment)

    def hold(self) -> None:
        """Let nothing be sent until `release`: a change has arrived, and whom it concerns is yet to be found out."""
        self._holds += 1

    def release(self) -> None:
        """Let things be sent again."""
        self._holds -= 1

    @property
    def is_held(self) -> bool:
        """Whether nothing may be sent for now."""
        return self._holds > 0


class PeerTime:
    """Turns what a peer dates in seconds since a stream was opened into moments of our own clock, never too late ones.

    The peer began to count after we asked for the stream. So what lay in a socket while this process was stopped is as
    old as it is. A peer whose clock runs faster than ours is followed downwards.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._origin = clock.monotonic()

    def moment(self, elapsed: float) -> float:
        """Return when it was, by our clock, that the peer's had run for that long."""
        self._origin = min(self._origin, self._clock.monotonic() - elapsed)
        return self._origin + elapsed


@dataclass(frozen=True, slots=True)
class Asked:
    """When a question was put, and how often everything had been dropped by then."""

    time: float
    generation: int


@dataclass(frozen=True, slots=True)
class _Entry:
    grant: AccessGrant
    asked_at: float


class AccessCache:
    """The answers, the version up to which the changes have arrived, and the rules of keeping and of use."""

    def __init__(
        self,
        clock: Clock,
        freshness: Freshness,
        *,
        lifetime: float,
        most_entries: int = MOST_ENTRIES,
        most_changes: int = MOST_CHANGES,
        let_go: Callable[[Iterator[int]], None] = lambda _: None,
    ) -> None:
        self.freshness = freshness
        # The version after the last event; None before the first one.
        self.version: int | None = None
        self._clock = clock
        self._lifetime = lifetime
        self._most_entries = most_entries
        self._most_changes = most_changes
        # Takes the chore of freeing what was dropped.
        self._let_go = let_go
        # The least recently used first.
        self._entries: OrderedDict[AccessQuery, _Entry] = OrderedDict()
        # The questions whose answers depend on a user or on a role.
        self._dependants: dict[str | RoleKey | None, set[AccessQuery]] = {}
        # The version of the last change of a user's access and of a role, oldest first; what was before `_floor` is
        # not known.
        self._last_changes: dict[str | RoleKey | None, int] = {}
        self._floor = 0
        self._generation = 0
        # Before which version all answers are void that depend on a user or on a role. They are not looked for, because
        # of a role there may be as many as there are answers; each is dropped when it is asked for.
        self._void_before: dict[str | RoleKey | None, int] = {}
        # The rooms that were deleted, of which no answer is true any more; their uids never come again.
        self._deleted: set[RoomUid] = set()

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, query: AccessQuery) -> AccessGrant | None:
        """Return the kept answer if it may be used now."""
        entry = self._entries.get(query)
        if entry is None:
            return None
        if (self._void_before or self._deleted) and self._is_void(query, entry.grant):
            self._remove(query)
            return None
        now = self._clock.monotonic()
        if now - self.freshness.proved_at >= self.freshness.patience or now - entry.asked_at >= self._lifetime:
            return None
        self._entries.move_to_end(query)
        return entry.grant

    def asking(self) -> Asked:
        """Take note that a question is being put; `keep` wants to know when that was."""
        return Asked(self._clock.monotonic(), self._generation)

    def keep(self, query: AccessQuery, grant: AccessGrant, asked: Asked) -> None:
        """Keep an answer, unless something that it may not have seen has arrived since."""
        if not self._may_keep(query, grant, asked):
            return
        self._remove(query)
        self._entries[query] = _Entry(grant, asked.time)
        for key in (query.user_id, *grant.roles):
            self._dependants.setdefault(key, set()).add(query)
        if len(self._entries) > self._most_entries:
            self._remove(next(iter(self._entries)))

    def _may_keep(self, query: AccessQuery, grant: AccessGrant, asked: Asked) -> bool:
        if self.version is None or asked.generation != self._generation or not self.freshness.is_fresh():
            return False
        if grant.room_uid in self._deleted:
            return False
        return (
            grant.version >= self._floor
            and all(grant.version >= self._last_changes.get(key, 0) for key in (query.user_id, *grant.roles))
            and not _depends_on_visibility(query, grant)
        )

    def hear(self, version: int, made_at: float) -> bool:
        """Take a heartbeat that was made at a moment; False when changes were missed before it."""
        is_complete = version == self.version
        if not is_complete:
            self.reset(version)
        self.freshness.prove(made_at)
        return is_complete

    def take(self, version: int, change: AccessChange | None) -> bool:
        """Take a change, None for one that is not understood; False when that or a gap before it hides others."""
        is_complete = self.version is not None and version == self.version + 1 and change is not None
        if not is_complete or (isinstance(change, MembershipChanged) and not change.user_id):
            self.reset(version)
            return is_complete
        self.version = version
        match change:
            case MembershipChanged() | RoleAssigned():
                self._invalidate(change.user_id, change.room_uid)
            case RoleChanged():
                self._invalidate(change.role, None)
            case RoomDeleted():
                self._forget_room(change.room_uid)
            case RoomUpdated():
                pass
        return True

    def reset(self, version: int) -> None:
        """Drop every answer, those that are under way too; from this version on all changes arrive."""
        self.version = self._floor = version
        self._generation += 1
        self._last_changes.clear()
        self._drop_all()

    def _drop_all(self) -> None:
        entries, dependants = self._entries, self._dependants
        self._entries, self._dependants = OrderedDict(), {}
        self._void_before.clear()
        self._let_go(_forgotten(entries, dependants))

    def _invalidate(self, key: str | RoleKey, room_uid: RoomUid | None) -> None:
        self._note(key)
        dependants = self._dependants.get(key)
        if not dependants or self.version is None:
            return
        if room_uid is None:
            self._void_before[key] = self.version
            if len(self._void_before) > self._most_changes:
                self._drop_all()
            return
        for query in list(dependants):
            if _concerns(query, self._entries[query].grant, room_uid):
                self._remove(query)

    def _forget_room(self, room_uid: RoomUid) -> None:
        if len(self._deleted) >= self._most_changes:
            # What is under way may be of one of them, too.
            self._generation += 1
            self._deleted.clear()
            self._drop_all()
        self._deleted.add(room_uid)

    def _is_void(self, query: AccessQuery, grant: AccessGrant) -> bool:
        return grant.room_uid in self._deleted or any(
            grant.version < self._void_before.get(key, 0) for key in (query.user_id, *grant.roles)
        )

    def _note(self, key: str | RoleKey) -> None:
        if self.version is None:
            return
        self._last_changes.pop(key, None)
        self._last_changes[key] = self.version
        if len(self._last_changes) > self._most_changes:
            oldest = next(iter(self._last_changes))
            self._floor = self._last_changes.pop(oldest)

    def _remove(self, query: AccessQuery) -> None:
        entry = self._entries.pop(query, None)
        if entry is None:
            return
        for key in (query.user_id, *entry.grant.roles):
            dependants = self._dependants[key]
            dependants.discard(query)
            if not dependants:
                del self._dependants[key]


def _forgotten(
    entries: OrderedDict[AccessQuery, _Entry], dependants: dict[str | RoleKey | None, set[AccessQuery]]
) -> Iterator[int]:
    """Return the chore of freeing what was kept."""
    yield from emptied(entries)
    while dependants:
        _, queries = dependants.popitem()
        # Of a role that most have there are as many as there are answers.
        while queries:
            queries.pop()
            yield 1
        yield 1


def _concerns(query: AccessQuery, grant: AccessGrant, room_uid: RoomUid) -> bool:
    """Tell whether what happened to a user in a room touches an answer about that user."""
    return bool(query.room_id) and grant.room_uid in {None, room_uid}


def _depends_on_visibility(query: AccessQuery, grant: AccessGrant) -> bool:
    # Nobody is told when a public room becomes private.
    return (
        query.membership == method_policy_pb2.MEMBERSHIP_REQUIRED_UNLESS_PUBLIC
        and not query.superuser
        and grant.user_uid is None
    )
