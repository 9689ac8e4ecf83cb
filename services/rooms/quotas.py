"""How many rooms a user may create and be in. Counted in the transaction of the change, under a lock of each user.

What is counted are rows by an index, and never more of them than the limit: so it costs the same whatever the number of
rooms, and holds for what a release has written that knows nothing of it. A room or a membership that goes frees its
place. The locks are taken after the room's, in one order.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from chatkit.contract.v1 import limit_pb2
from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.contract.errors import ResourceExhausted, Violation
from services.runtime.contract.policies import Limits
from services.runtime.data.query import Query
from services.runtime.ids import UserId

_DAY = timedelta(days=1)
# One after the other, in the order given.
_LOCK = Query("SELECT pg_advisory_xact_lock(key) FROM unnest(CAST(:keys AS bigint[])) AS key")
_MADE = Query("""
    SELECT count(*) AS made,
        (SELECT create_time FROM rooms.rooms WHERE creator_id = :user_id
            ORDER BY create_time DESC OFFSET :most_in_day - 1 LIMIT 1) + :day - clock_timestamp() AS full_for
    FROM (SELECT 1 FROM rooms.rooms WHERE creator_id = :user_id LIMIT :most) AS rooms_of_user
""")
_PLACES = Query("""
    SELECT asked.user_id,
        (SELECT count(*) FROM (
            SELECT 1 FROM rooms.memberships AS m WHERE m.user_id = asked.user_id LIMIT :most) AS counted) AS places,
        (SELECT count(*) FROM (
            SELECT 1 FROM rooms.memberships AS m WHERE m.user_id = asked.user_id AND m.is_given LIMIT :most_given
        ) AS counted) AS given
    FROM unnest(CAST(:user_ids AS text[])) AS asked (user_id)
    ORDER BY asked.user_id
""")


@dataclass(frozen=True, slots=True)
class Actor:
    """Who makes a change: on whose behalf, if anybody's, and whether the limits of users are no matter of theirs."""

    user_id: UserId | None
    superuser: bool

    def gives_to(self, user_id: str) -> bool:
        """Tell whether a membership of that user is one that somebody else has given."""
        return not self.superuser and user_id != self.user_id


class Quotas:
    """The limits of users, as this process has them."""

    def __init__(self, limits: Limits) -> None:
        self._made = limits[limit_pb2.LIMIT_ROOMS_CREATED_PER_USER]
        self._made_in_day = limits[limit_pb2.LIMIT_ROOMS_CREATED_PER_USER_PER_DAY]
        self._places = limits[limit_pb2.LIMIT_ROOMS_PER_USER]
        self._given = limits[limit_pb2.LIMIT_ROOMS_GIVEN_PER_USER]

    async def lock(self, connection: AsyncConnection, user_ids: Sequence[str]) -> None:
        """Let no other change of these users' rooms be counted before this transaction ends."""
        await _LOCK.within(connection, {"keys": sorted(map(_key, user_ids))})

    async def check_creation(self, connection: AsyncConnection, user_id: UserId) -> None:
        """Raise QUOTA_EXCEEDED unless the user, who is locked, may create one more room; the new one may be there."""
        values = {"user_id": user_id, "most": self._made + 2, "most_in_day": self._made_in_day + 1, "day": _DAY}
        row = await _MADE.one_within(connection, values)
        if row.made > self._made:
            raise _exceeded("ROOMS_CREATED_PER_USER", self._made, row.made, user_id, "has created at most {} rooms")
        if row.full_for is not None and row.full_for > timedelta(0):
            raise _exceeded(
                "ROOMS_CREATED_PER_USER_PER_DAY",
                self._made_in_day,
                self._made_in_day + 1,
                user_id,
                "creates at most {} rooms within 24 hours",
                retry_after=row.full_for,
            )

    async def check_places(self, connection: AsyncConnection, given: Mapping[str, bool]) -> None:
        """Raise QUOTA_EXCEEDED unless each of the locked users may be in one more room, which is given or not."""
        values = {"user_ids": list(given), "most": self._places, "most_given": self._given}
        for row in await _PLACES.within(connection, values):
            if row.places >= self._places:
                raise _exceeded("ROOMS_PER_USER", self._places, row.places + 1, row.user_id, "is in at most {} rooms")
            if given[row.user_id] and row.given >= self._given:
                raise _exceeded(
                    "ROOMS_GIVEN_PER_USER",
                    self._given,
                    row.given + 1,
                    row.user_id,
                    "is in at most {} rooms to which others have added them",
                )


def _key(user_id: str) -> int:
    """Return the number of a user's lock; two users with one only wait for each other."""
    digest = hashlib.blake2b(user_id.encode(), digest_size=8, person=b"rooms of user").digest()
    return int.from_bytes(digest, signed=True)


def _exceeded(
    limit: str, most: int, actual: int, user_id: UserId, rule: str, retry_after: timedelta | None = None
) -> ResourceExhausted:
    description = f"a user {rule.format(most)}"
    return ResourceExhausted(
        "QUOTA_EXCEEDED",
        description,
        metadata={"limit": limit, "maximum": str(most), "actual": str(actual), "user_id": user_id},
        quota=[Violation(limit, description)],
        retry_after=retry_after,
    )
