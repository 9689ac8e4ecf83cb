"""Whatever becomes of replicas and their leases, a user is online by a lease or its grace, and not for longer.

The machine runs replicas on a real database, whose clock stands still within a step, beside what may be relied upon.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import uuid4

import psycopg
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from structlog.testing import capture_logs

from services.runtime.ids import UserUid
from services.users.model import PresenceState
from services.users.presence.sessions import Sessions
from services.users.presence.store import PresenceStore
from tests.support.database_clock import DatabaseClock
from tests.support.databases import TestDatabase
from tests.users.presence.replicas import GRACE, LEASE, OFFLINE, ONLINE, World, sessions_of

_MOST_REPLICAS = 3
_LONG_AGO = datetime(2025, 1, 1, tzinfo=UTC)
_which = st.integers(0, _MOST_REPLICAS - 1)
_user_ids = st.sampled_from(["ann", "bob"])
# Few of the steps, or nothing would last.
_seldom = st.integers(0, 4).map(lambda number: number == 4)
# What a replica's tasks do, which run beside one another.
_tasks: st.SearchStrategy[Callable[[Sessions], Coroutine[Any, Any, None]]] = st.sampled_from(
    [Sessions.renew, Sessions.flush, Sessions.reap]
)


class _Bound:
    """Sessions of users, those that are there for sure or all that can be, and when those that were there ended."""

    def __init__(self) -> None:
        self.sessions: set[tuple[_Store, UserUid]] = set()
        self._ended: dict[UserUid, datetime] = {}

    def end(self, store: "_Store", user_uid: UserUid, time: datetime) -> None:
        """End a session, if there is one."""
        self.sessions.discard((store, user_uid))
        self.note_end(user_uid, time)

    def note_end(self, user_uid: UserUid, time: datetime) -> None:
        """Take note that a session ended or will have ended, without a word of its replica."""
        self._ended[user_uid] = max(time, self._ended.get(user_uid, time))

    def ends(self, user_uid: UserUid) -> datetime:
        """Return when the grace of a user is over, if nothing more is heard."""
        leases = [store.expire_time for store, of_user in self.sessions if of_user == user_uid]
        return max([self._ended.get(user_uid, _LONG_AGO), *leases]) + GRACE


class _Known:
    """What may be relied upon by what replicas were told, and what has happened in a step."""

    def __init__(self, time: DatabaseClock) -> None:
        self.time = time
        self.stores: set[_Store] = set()
        self.surely = _Bound()
        self.possibly = _Bound()
        # In this step: who came, and whether somebody reaped who may.
        self.entered: set[UserUid] = set()
        self.has_reaped = False

    def begin_step(self) -> None:
        """Forget what has happened before."""
        self.entered.clear()
        self.has_reaped = False

    def must_be_online(self, user_uid: UserUid) -> bool:
        """Tell whether a lease or its grace is in force for a user."""
        return self.surely.ends(user_uid) > self.time.now

    def may_be_online(self, user_uid: UserUid) -> bool:
        """Tell whether one can be."""
        return self.possibly.ends(user_uid) > self.time.now


class _Store(PresenceStore):
    """A replica's store, which takes note of what the replica is told."""

    def __init__(self, world: World, known: _Known) -> None:
        self.replica_id = uuid4()
        super().__init__(world.database, self.replica_id, lease=LEASE, grace=GRACE)
        self.held_since = self.expire_time = _LONG_AGO
        self._known = known
        known.stores.add(self)

    @property
    def may_reap(self) -> bool:
        """Whether the lease is in force and has been for as long as others may have had no word."""
        now = self._known.time.now
        return self.expire_time > now and self.held_since <= now - LEASE

    async def renew(self) -> datetime:
        now = self._known.time.now
        held_since = await super().renew()
        assert held_since == (self.held_since if self.expire_time > now else now)
        if held_since != self.held_since:
            self._lapse()
        self.held_since, self.expire_time = held_since, now + LEASE
        return held_since

    def _lapse(self) -> None:
        """Doubt all sessions: others may have taken them away."""
        for store, user_uid in [*self._known.surely.sessions]:
            if store is self:
                self._known.surely.end(self, user_uid, self.expire_time)
        for store, user_uid in self._known.possibly.sessions:
            if store is self:
                self._known.possibly.note_end(user_uid, self.expire_time)

    async def apply(self, entered: Sequence[UserUid], left: Sequence[UserUid]) -> tuple[set[UserUid], bool]:
        known = self._known
        known.entered |= set(entered)
        known.possibly.sessions |= {(self, user_uid) for user_uid in entered}
        present, has_changed = await super().apply(entered, left)
        assert present == set(entered)
        known.surely.sessions |= {(self, user_uid) for user_uid in entered}
        for user_uid in left:
            if known.must_be_online(user_uid):
                known.surely.end(self, user_uid, known.time.now)
            known.surely.sessions.discard((self, user_uid))
            known.possibly.end(self, user_uid, known.time.now)
        return present, has_changed

    async def release(self) -> None:
        await super().release()
        self._known.stores.remove(self)

    async def reap_leases(self) -> int:
        count = await super().reap_leases()
        assert self.may_reap or not count
        return count

    async def reap_leavers(self) -> tuple[int, int]:
        looked_at, gone = await super().reap_leavers()
        self._known.has_reaped |= self.may_reap
        assert self.may_reap or not looked_at
        return looked_at, gone


class _Replica:
    """A process with its streams."""

    def __init__(self, world: World, known: _Known) -> None:
        self.store = _Store(world, known)
        self.sessions = sessions_of(self.store)
        self.streams: list[tuple[str, asyncio.Task[None]]] = []

    @property
    def user_ids(self) -> list[str]:
        """Who has streams here, each once."""
        return list(dict.fromkeys(user_id for user_id, _ in self.streams))

    async def open(self, user_uid: UserUid, user_id: str) -> None:
        """Open a stream, which waits until its session is written."""
        self.streams.append((user_id, asyncio.create_task(self._stay(user_uid, user_id))))
        await asyncio.sleep(0)

    async def _stay(self, user_uid: UserUid, user_id: str) -> None:
        async with self.sessions.online(user_uid, user_id):
            await asyncio.Event().wait()

    async def close(self, user_id: str | None = None) -> None:
        """Close a user's streams, or all."""
        closed = [task for of_user, task in self.streams if user_id in {None, of_user}]
        self.streams = [(of_user, task) for of_user, task in self.streams if task not in closed]
        for task in closed:
            task.cancel()
        await asyncio.gather(*closed, return_exceptions=True)

    async def live(self) -> None:
        """Do once what the tasks do again and again."""
        await self.sessions.renew()
        await self.sessions.flush()
        await self.sessions.reap()
        assert not any(task.done() for _, task in self.streams)


# With the versions that they will have, where nobody has given them any.
_CHANGES = """
    SELECT version, kind, user_uid, create_time FROM users.changes
    UNION ALL
    SELECT counter.version + row_number() OVER (ORDER BY id), kind, user_uid, create_time
    FROM users.unordered_changes, users.change_counter AS counter
    ORDER BY version
"""


class _Tables:
    """What is in the tables, read by somebody who takes no part."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self._connection = connection
        # What was told of users by the last look: version, kind, uid, and when it happened.
        self.changes: list[tuple[Any, ...]] = []

    def empty(self) -> None:
        """Let nobody have been there."""
        self.changes.clear()
        for table in ("presence_sessions", "presence_leases", "presences", "unordered_changes", "changes"):
            self._connection.execute(f"DELETE FROM users.{table}".encode())

    def read(self, columns: str, table: str) -> list[tuple[Any, ...]]:
        """Return all rows of a table by the first column."""
        return self._connection.execute(f"SELECT {columns} FROM users.{table} ORDER BY 1".encode()).fetchall()

    def new_changes(self) -> list[tuple[Any, ...]]:
        """Look at what is told of users, and return what is new of it."""
        known, self.changes = len(self.changes), self._connection.execute(_CHANGES).fetchall()
        return self.changes[known:]


class _Machine(RuleBasedStateMachine):
    """Replicas that come, stand still and go, with streams of users."""

    def __init__(self, loop: asyncio.AbstractEventLoop, world: World, tables: _Tables) -> None:
        super().__init__()
        self.loop, self.world, self.tables = loop, world, tables
        self.tables.empty()
        self.known = _Known(world.time)
        self.replicas: list[_Replica] = []

    def _pick(self, which: int) -> _Replica:
        return self.replicas[which % len(self.replicas)]

    def _do(self, *works: Coroutine[Any, Any, None]) -> None:
        """Do one thing after another at one moment, and check what has become of it."""

        async def do() -> None:
            for work in works:
                await work

        vouched_for = {user_uid for user_uid in self.world.uids.values() if self.known.must_be_online(user_uid)}
        self.known.begin_step()
        with capture_logs():
            self.loop.run_until_complete(do())
        self._check_step(vouched_for)
        self._check_states()
        self._check_rows()

    def _check_step(self, vouched_for: set[UserUid]) -> None:
        """Nobody comes whom no replica has let in, and nobody goes who was vouched for, or whom nobody may reap."""
        for _, kind, user_uid, _ in self.tables.new_changes():
            if kind == ONLINE:
                assert user_uid in self.known.entered
            else:
                assert self.known.has_reaped
                assert user_uid not in vouched_for

    def _check_states(self) -> None:
        """Each change is recorded once and in order, and the last one is the state of who must and may have it."""
        changes = self.tables.changes
        presences = {uid: told for uid, *told in self.tables.read("user_uid, state, change_time", "presences")}
        if changes:
            assert changes[-1][0] - changes[0][0] == len(changes) - 1
        for user_uid in self.world.uids.values():
            kinds = [kind for _, kind, uid, _ in changes if uid == user_uid]
            times = [time for _, _, uid, time in changes if uid == user_uid]
            assert kinds == [ONLINE, OFFLINE] * (len(kinds) // 2) + [ONLINE] * (len(kinds) % 2)
            assert times == sorted(set(times))
            is_online = len(kinds) % 2 == 1
            state = PresenceState.ONLINE if is_online else PresenceState.OFFLINE
            assert presences.get(user_uid) == ([state, times[-1]] if times else None)
            assert is_online or not self.known.must_be_online(user_uid)
            assert not is_online or self.known.may_be_online(user_uid) or not self.known.has_reaped

    def _check_rows(self) -> None:
        """Each lease in force is there as its owner knows it, and the sessions under it."""
        now = self.world.time.now
        leases = {replica_id: times for replica_id, *times in self.tables.read("*", "presence_leases")}
        for store in self.known.stores:
            there = leases.pop(store.replica_id, None)
            assert there == [store.held_since, store.expire_time] or (there is None and store.expire_time < now)
        assert not leases
        sessions = set(self.tables.read("replica_id, user_uid", "presence_sessions"))
        assert sessions <= {(store.replica_id, user_uid) for store, user_uid in self.known.possibly.sessions}
        for store, user_uid in self.known.surely.sessions:
            assert (store.replica_id, user_uid) in sessions or store.expire_time < now

    # What happens.

    @initialize()
    def begin(self) -> None:
        """Let replicas be there that may reap."""
        self.start()
        self.start()
        self.live([LEASE.seconds - 1] * 2, stalls=None)

    @precondition(lambda self: len(self.replicas) < _MOST_REPLICAS)
    @rule()
    def start(self) -> None:
        self.replicas.append(_Replica(self.world, self.known))
        self._do(self.replicas[-1].sessions.renew())

    @precondition(lambda self: self.replicas)
    @rule(where=st.lists(_which, min_size=1, max_size=2), user_id=_user_ids, waits=_seldom)
    def come(self, where: list[int], user_id: str, waits: bool) -> None:
        user_uid = self.world.user(user_id)
        for replica in map(self._pick, where):
            self._do(replica.open(user_uid, user_id), *([] if waits else [replica.sessions.flush()]))

    @precondition(lambda self: any(replica.streams for replica in self.replicas))
    @rule(which=st.integers(0, 9), waits=_seldom)
    def go(self, which: int, waits: bool) -> None:
        there = [(replica, user_id) for replica in self.replicas for user_id in replica.user_ids]
        replica, user_id = there[which % len(there)]
        self._do(replica.close(user_id), *([] if waits else [replica.sessions.flush()]))

    @precondition(lambda self: self.replicas)
    @rule(which=_which, task=_tasks)
    def do_alone(self, which: int, task: Callable[[Sessions], Coroutine[Any, Any, None]]) -> None:
        self._do(task(self._pick(which).sessions))

    @precondition(lambda self: self.replicas)
    @rule(tasks=st.lists(st.tuples(_which, _tasks), min_size=2, max_size=6))
    def do_at_once(self, tasks: list[tuple[int, Callable[[Sessions], Coroutine[Any, Any, None]]]]) -> None:
        """Let tasks of all replicas run into one another; what one passes over because of others comes next time."""

        async def at_once() -> None:
            chosen = dict.fromkeys((self._pick(which), task) for which, task in tasks)
            await asyncio.gather(*(task(replica.sessions) for replica, task in chosen))

        self._do(at_once(), *(replica.sessions.reap() for replica in self.replicas))

    @rule(beats=st.lists(st.integers(1, LEASE.seconds - 1), min_size=1, max_size=4), stalls=st.none() | _which)
    def live(self, beats: list[int], stalls: int | None) -> None:
        """Let time pass in which all replicas do what they do, but for one that stands still."""
        stalled = self._pick(stalls) if self.replicas and stalls is not None else None
        for seconds in beats:
            self.world.time.advance(seconds)
            self._do(*(replica.live() for replica in self.replicas if replica is not stalled))

    @rule(seconds=st.sampled_from([1, LEASE.seconds, LEASE.seconds + 1, GRACE.seconds, 60]))
    def stand_still(self, seconds: int) -> None:
        """Let nobody reach the database for a while."""
        self.world.time.advance(seconds)
        self._do()

    @precondition(lambda self: self.replicas)
    @rule(which=_which, is_orderly=st.booleans())
    def end(self, which: int, is_orderly: bool) -> None:
        """Let a process end, or die."""
        replica = self._pick(which)
        self.replicas.remove(replica)
        self._do(*([replica.sessions._release()] if is_orderly else []), replica.close())

    def teardown(self) -> None:
        """Let all die: then whoever comes makes everybody offline, in their time and no later."""
        self.loop.run_until_complete(asyncio.gather(*(replica.close() for replica in self.replicas)))
        self.replicas.clear()
        self.start()
        for _ in range((LEASE + GRACE).seconds // (LEASE.seconds - 1) + 1):
            self.live([LEASE.seconds - 1], stalls=None)
        assert {state for _, state in self.tables.read("user_uid, state", "presences")} <= {PresenceState.OFFLINE}
        counts = [len(self.tables.read("*", table)) for table in ("presence_sessions", "presence_leases")]
        assert counts == [0, 1]


def test_a_user_is_online_exactly_while_a_lease_or_its_grace_is_in_force(database: TestDatabase) -> None:
    with asyncio.Runner() as runner, psycopg.connect(database.superuser_dsn, autocommit=True) as connection:
        world = World(database, connection)
        try:
            machine: Any = partial(_Machine, runner.get_loop(), world, _Tables(connection))
            some = settings(max_examples=25, stateful_step_count=30, deadline=None)
            run_state_machine_as_test(machine, settings=some)
        finally:
            runner.run(world.database.close())
