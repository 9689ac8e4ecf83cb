"""Replicas of users on one database whose clock a test moves; no loop runs by itself."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg

from services.runtime.data.database import Database, create_engine
from services.runtime.ids import UserUid
from services.users.model import Change, ChangeKind, PresenceState
from services.users.presence.sessions import Sessions
from services.users.presence.store import PresenceStore
from services.users.recorded_changes import change_log
from tests.support.clock import ManualClock
from tests.support.database_clock import DatabaseClock
from tests.support.databases import TestDatabase

LEASE, GRACE = timedelta(seconds=5), timedelta(seconds=10)
ONLINE, OFFLINE = ChangeKind.USER_ONLINE, ChangeKind.USER_OFFLINE


def sessions_of(store: PresenceStore) -> Sessions:
    """Make the sessions of a replica that has this store."""
    return Sessions(
        store, ManualClock(), renewal_interval=1.0, reaping_interval=1.0, retry_interval=0.1, changed=lambda: None
    )


@dataclass
class Replica:
    """One replica, without loops: a test renews, writes and reaps for it."""

    store: PresenceStore
    sessions: Sessions


class World:
    """Replicas on one database, and its time."""

    def __init__(self, database: TestDatabase, connection: "psycopg.Connection[Any] | None" = None) -> None:
        self.time = DatabaseClock(database, "users", lent=connection)
        self.rows = database
        self.database = Database(create_engine(database.dsn("users")))
        self.uids: dict[str, UserUid] = {}

    def user(self, user_id: str) -> UserUid:
        """Create a user, or return their uid."""
        if user_id not in self.uids:
            self.uids[user_id] = UserUid(uuid4())
            with psycopg.connect(self.rows.superuser_dsn) as connection:
                statement = "INSERT INTO users.users (uid, id, name, avatar_url) VALUES (%s, %s, '', '')"
                connection.execute(statement, (self.uids[user_id], user_id))
        return self.uids[user_id]

    def replica(self) -> Replica:
        """Start a replica; it holds no lease yet."""
        store = PresenceStore(self.database, uuid4(), lease=LEASE, grace=GRACE)
        return Replica(store, sessions_of(store))

    async def enter(self, replica: Replica, *user_ids: str) -> None:
        """Begin a replica's sessions of users."""
        present, _ = await replica.store.apply([self.user(user_id) for user_id in user_ids], [])
        assert len(present) == len(user_ids)

    async def leave(self, replica: Replica, *user_ids: str) -> None:
        """End a replica's sessions of users."""
        await replica.store.apply([], [self.user(user_id) for user_id in user_ids])

    async def passes(self, seconds: float, *living: Replica) -> None:
        """Let time pass, a second at a time, in which living replicas renew and reap."""
        for _ in range(round(seconds)):
            self.time.advance(1)
            for replica in living:
                await replica.sessions.renew()
                await replica.sessions.reap()

    async def state(self, user_id: str) -> PresenceState | None:
        """Return how it stands with a user, None if they never were there."""
        found = (await self.reader.read([self.user(user_id)])).of_user
        return found[self.user(user_id)].state if found else None

    @property
    def reader(self) -> PresenceStore:
        """A store that only reads."""
        return PresenceStore(self.database, uuid4(), lease=timedelta(), grace=timedelta())

    async def told(self, user_id: str) -> list[ChangeKind]:
        """Return the changes of a user that watchers are told."""
        async with self.database.transaction() as connection:
            await change_log.order(connection)
            made: list[Change] = await change_log.after(connection, 0, 1_000)
        return [change.kind for change in made if change.user_id == user_id]
