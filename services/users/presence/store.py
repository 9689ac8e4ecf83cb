"""Who is there, in PostgreSQL and by its clock alone: leases of replicas, their sessions, and what is told of users.

Locks are taken in one order: the lease, then rows of `presences` by user, then the counter of the changes. Whoever
makes or removes a session of a user holds the user's row of `presences`. The README says what follows from it.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.contract.errors import Aborted
from services.runtime.data.database import Database
from services.runtime.data.query import Query
from services.runtime.ids import UserUid
from services.users import recorded_changes
from services.users.model import Change, ChangeKind, Presence, Presences, PresenceState

# Users of one transaction: more would keep others waiting for their rows.
MOST_AT_ONCE = 500

# One moment for all of it. A lease that has lapsed, or was held since a time that is still to come, begins anew.
_RENEW = text("""
    INSERT INTO users.presence_leases AS lease (replica_id, held_since, expire_time)
    SELECT :replica_id, moment.now, moment.now + :lease FROM (SELECT clock_timestamp() AS now) AS moment
    ON CONFLICT (replica_id) DO UPDATE SET
        held_since = CASE
            WHEN lease.expire_time > excluded.held_since AND lease.held_since <= excluded.held_since
            THEN lease.held_since ELSE excluded.held_since
        END,
        expire_time = excluded.expire_time
    RETURNING lease.held_since
""")
_LOCK_LEASE = text("SELECT 1 FROM users.presence_leases WHERE replica_id = :replica_id FOR KEY SHARE")
_MAKE_PRESENCES = text("""
    INSERT INTO users.presences (user_uid, user_id, state)
    SELECT uid, id, 2 FROM users.users WHERE uid = ANY(:user_uids) ORDER BY uid
    ON CONFLICT (user_uid) DO NOTHING
""")
_LOCK_PRESENCES = text("""
    SELECT user_uid, state FROM users.presences WHERE user_uid = ANY(:user_uids)
    ORDER BY user_uid FOR NO KEY UPDATE
""")
_MAKE_SESSIONS = text("""
    INSERT INTO users.presence_sessions (user_uid, replica_id) SELECT unnest(CAST(:user_uids AS uuid[])), :replica_id
    ON CONFLICT DO NOTHING
""")
_REMOVE_SESSIONS = text("""
    DELETE FROM users.presence_sessions WHERE replica_id = :replica_id AND user_uid = ANY(:user_uids)
""")
_COME = text("""
    UPDATE users.presences SET
        state = 1, leave_time = NULL, change_time = greatest(change_time + interval '1 microsecond', clock_timestamp())
    WHERE user_uid = ANY(:user_uids) AND state <> 1
    RETURNING user_uid, user_id, change_time
""")
# Also of users who have other sessions: their row is looked at in vain then, when the time has come.
_LEAVE_AFTER_GRACE = text("""
    UPDATE users.presences SET leave_time = greatest(leave_time, clock_timestamp() + :grace)
    WHERE user_uid = ANY(:user_uids) AND state = 1
""")
_LEAVE_AT = text("""
    UPDATE users.presences SET leave_time = greatest(leave_time, least(:expire_time, clock_timestamp()) + :grace)
    WHERE user_uid = ANY(:user_uids) AND state = 1
""")

# A database that was away lets all leases lapse at once. Whoever has held theirs for a whole period since then knows
# that the others have had the time to renew theirs, and the clients that to come back.
_LOCK_LAPSED = text("""
    SELECT replica_id, expire_time FROM users.presence_leases
    WHERE (expire_time < clock_timestamp() OR expire_time > clock_timestamp() + :lease)
    AND replica_id <> :replica_id AND EXISTS (
        SELECT FROM users.presence_leases AS own WHERE own.replica_id = :replica_id
        AND own.expire_time > clock_timestamp() AND own.held_since <= clock_timestamp() - :lease
    )
    ORDER BY expire_time LIMIT 1 FOR UPDATE SKIP LOCKED
""")
# The time is a query of its own, because an index is not searched for what may be another value for every row. What is
# to come later than it can was written while the clock was ahead.
_LOCK_DUE = text("""
    SELECT user_uid FROM users.presences
    WHERE (leave_time <= (SELECT clock_timestamp()) OR leave_time > (SELECT clock_timestamp() + :grace)) AND EXISTS (
        SELECT FROM users.presence_leases AS own WHERE own.replica_id = :replica_id
        AND own.expire_time > clock_timestamp() AND own.held_since <= clock_timestamp() - :lease
    )
    ORDER BY leave_time LIMIT :most FOR NO KEY UPDATE SKIP LOCKED
""")
_LOCK_LEFT_BEHIND = text("""
    SELECT presence.user_uid FROM users.presence_sessions AS session
    JOIN users.presences AS presence ON presence.user_uid = session.user_uid
    WHERE session.replica_id = :replica_id
    ORDER BY session.user_uid LIMIT :most FOR NO KEY UPDATE OF presence SKIP LOCKED
""")
_REMOVE_LEASE = text("""
    DELETE FROM users.presence_leases AS lease WHERE replica_id = :replica_id
    AND NOT EXISTS (SELECT FROM users.presence_sessions AS session WHERE session.replica_id = lease.replica_id)
""")
_LEAVE = text("""
    UPDATE users.presences AS presence SET
        state = 2, leave_time = NULL, change_time = greatest(change_time + interval '1 microsecond', clock_timestamp())
    WHERE user_uid = ANY(:user_uids) AND state = 1
    AND NOT EXISTS (SELECT FROM users.presence_sessions AS session WHERE session.user_uid = presence.user_uid)
    RETURNING user_uid, user_id, change_time
""")
_STAY = text("""
    UPDATE users.presences SET leave_time = NULL WHERE user_uid = ANY(:user_uids) AND leave_time IS NOT NULL
""")
# One statement and so one snapshot: the state is exactly that of the version.
_READ = Query("""
    SELECT counter.version, NOT EXISTS (SELECT FROM users.unordered_changes) AS is_settled,
        presence.user_uid, presence.state, presence.change_time
    FROM users.change_counter AS counter
    LEFT JOIN users.presences AS presence ON presence.user_uid = ANY(:user_uids)
""")
_RESOLVE = Query("SELECT id, uid FROM users.users WHERE id = ANY(:user_ids)")


class LeaseLostError(Exception):
    """Another replica has taken this one's lease away, and the sessions under it."""


class PresenceStore:
    """The leases, the sessions and the presences, as one replica sees them."""

    def __init__(self, database: Database, replica_id: UUID, *, lease: timedelta, grace: timedelta) -> None:
        self._database = database
        self._own = {"replica_id": replica_id}
        self._lease = {"lease": lease}
        self._grace = grace

    async def renew(self) -> datetime:
        """Renew this replica's lease and return since when it is held; another time than before means a lapse."""
        async with self._database.transaction() as connection:
            held_since: datetime = (await connection.execute(_RENEW, self._own | self._lease)).scalar_one()
        return held_since

    async def apply(self, entered: Sequence[UserUid], left: Sequence[UserUid]) -> tuple[set[UserUid], bool]:
        """Begin and end this replica's sessions of users; it may be repeated.

        Return those who entered and exist, and whether a change was recorded. Raises LeaseLostError.
        """
        try:
            async with self._database.transaction() as connection:
                return await self._apply(connection, entered, left)
        except IntegrityError as error:
            # A user was deleted between two statements.
            raise Aborted("CONTENTION", "the call lost a race: try again") from error

    async def _apply(
        self, connection: AsyncConnection, entered: Sequence[UserUid], left: Sequence[UserUid]
    ) -> tuple[set[UserUid], bool]:
        if (await connection.execute(_LOCK_LEASE, self._own)).first() is None:
            raise LeaseLostError
        if entered:
            await connection.execute(_MAKE_PRESENCES, {"user_uids": list(entered)})
        locked = await connection.execute(_LOCK_PRESENCES, {"user_uids": [*entered, *left]})
        states = {row.user_uid: row.state for row in locked}
        present = states.keys() & set(entered)
        if present:
            await connection.execute(_MAKE_SESSIONS, {"user_uids": list(present), **self._own})
        if left:
            await connection.execute(_REMOVE_SESSIONS, {"user_uids": list(left), **self._own})
            await connection.execute(_LEAVE_AFTER_GRACE, {"user_uids": list(left), "grace": self._grace})
        absent = [uid for uid in present if states[uid] != PresenceState.ONLINE]
        if absent:
            came = await connection.execute(_COME, {"user_uids": absent})
            await _record(connection, ChangeKind.USER_ONLINE, came)
        return present, bool(absent)

    async def release(self) -> None:
        """Give this replica's lease up, unless it has sessions still."""
        async with self._database.transaction() as connection:
            await connection.execute(_REMOVE_LEASE, self._own)

    async def reap_leases(self) -> int:
        """Take sessions away from a replica whose lease has lapsed, and the lease with the last of them.

        Return how many rows went; 0 when there is nothing to do, or this replica may not reap.
        """
        async with self._database.transaction() as connection:
            lapsed = (await connection.execute(_LOCK_LAPSED, self._own | self._lease)).first()
            if lapsed is None:
                return 0
            other = {"replica_id": lapsed.replica_id}
            found = await connection.execute(_LOCK_LEFT_BEHIND, {**other, "most": MOST_AT_ONCE})
            user_uids = list(found.scalars())
            if not user_uids:
                return (await connection.execute(_REMOVE_LEASE, other)).rowcount
            times = {"expire_time": lapsed.expire_time, "grace": self._grace}
            await connection.execute(_LEAVE_AT, {"user_uids": user_uids, **times})
            await connection.execute(_REMOVE_SESSIONS, {"user_uids": user_uids, **other})
            return len(user_uids)

    async def reap_leavers(self) -> tuple[int, int]:
        """Make users offline whose time has come and who have no session.

        Return how many were looked at and how many of them went; nobody is when this replica may not reap.
        """
        async with self._database.transaction() as connection:
            due = await connection.execute(
                _LOCK_DUE, {**self._own, **self._lease, "grace": self._grace, "most": MOST_AT_ONCE}
            )
            user_uids = list(due.scalars())
            if not user_uids:
                return 0, 0
            # A statement of its own, whose snapshot is younger than the locks.
            gone = (await connection.execute(_LEAVE, {"user_uids": user_uids})).all()
            if len(gone) < len(user_uids):
                await connection.execute(_STAY, {"user_uids": user_uids})
            await _record(connection, ChangeKind.USER_OFFLINE, gone)
            return len(user_uids), len(gone)

    async def read(self, user_uids: Collection[UserUid]) -> Presences:
        """Return how it stands with users, and the version of the changes that this is as of."""
        rows = await recorded_changes.change_log.settled(self._database, _READ, {"user_uids": list(user_uids)})
        found = {
            row.user_uid: Presence(PresenceState(row.state), row.change_time)
            for row in rows
            if row.user_uid is not None
        }
        return Presences(rows[0].version, found)

    async def resolve(self, user_ids: Collection[str]) -> dict[str, UserUid]:
        """Return the uids of users by their ids, those that exist."""
        return {row.id: row.uid for row in await self._database.rows(_RESOLVE, {"user_ids": list(user_ids)})}


async def _record(connection: AsyncConnection, kind: ChangeKind, rows: Any) -> None:
    made = [
        Change(version=0, kind=kind, user_uid=row.user_uid, user_id=row.user_id, time=row.change_time) for row in rows
    ]
    await recorded_changes.record(connection, made)
