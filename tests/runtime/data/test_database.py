"""PostgreSQL's troubles in the suite's own words: what may be repeated, what lost a race, and what nobody knows."""

import asyncio
import gc
import random
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import psycopg
import pytest
from psycopg import errors as pg
from sqlalchemy import TextClause, text
from sqlalchemy.exc import DBAPIError, IntegrityError, InternalError, OperationalError, SAWarning
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.runtime.contract.errors import Aborted, ChatkitError, Unavailable
from services.runtime.data import database as runtime_database
from services.runtime.data import session as runtime_session
from services.runtime.data.database import Database, create_engine, sqlalchemy_url, sqlstate, translate, unbroken
from services.runtime.data.query import Query
from services.runtime.fair_queue import on_behalf_of
from tests.support.databases import TestDatabase
from tests.support.eventually import eventually

# By SQLSTATE: the reason that callers see, or None for what comes back as it is.
TRANSLATIONS = {
    "40001": "CONTENTION",
    "40P01": "CONTENTION",
    "55P03": "CONTENTION",
    "08006": "DATABASE_UNAVAILABLE",
    "08001": "DATABASE_UNAVAILABLE",
    "53100": "DATABASE_UNAVAILABLE",
    "53300": "DATABASE_UNAVAILABLE",
    "57014": "DATABASE_UNAVAILABLE",
    "57P01": "DATABASE_UNAVAILABLE",
    "57P02": "DATABASE_UNAVAILABLE",
    "57P03": "DATABASE_UNAVAILABLE",
    "25P03": "DATABASE_UNAVAILABLE",
    "23505": None,
    "23514": None,
    "22021": None,
    "42P01": None,
    "42501": None,
    "25006": None,
    "XX000": None,
}


_ONE = Query("SELECT 1 AS one")
_TRANSACTION = Query("SELECT pg_current_xact_id()::text AS id")


@pytest.fixture
async def users(database: TestDatabase) -> AsyncIterator[Database]:
    """Open users' database with a pool of two."""
    opened = Database(create_engine(database.dsn("users"), connections=2))
    yield opened
    await opened.close()


def _insert(user_id: str) -> TextClause:
    query = "INSERT INTO users.users (uid, id, name, avatar_url) VALUES (gen_random_uuid(), :id, '', '')"
    return text(query).bindparams(id=user_id)


async def _transact(users: Database, *steps: TextClause | Callable[[], None]) -> None:
    """Run one transaction of statements, and of what the test does between them."""
    async with users.transaction() as connection:
        for step in steps:
            if isinstance(step, TextClause):
                await connection.execute(step)
            else:
                step()


def _fail() -> None:
    raise LookupError


def _terminate_others(database: TestDatabase) -> None:
    with psycopg.connect(database.superuser_dsn, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@pytest.mark.parametrize("state", TRANSLATIONS)
def test_a_state_has_its_reason_whether_it_comes_from_psycopg_or_sqlalchemy(state: str) -> None:
    raised = pg.lookup(state)("the driver's text")
    for error in (raised, DBAPIError("SELECT 1", {}, raised), InternalError("SELECT 1", {}, raised)):
        translated = translate(error)
        assert sqlstate(error) == state
        if TRANSLATIONS[state] is None:
            assert translated is error
        else:
            assert isinstance(translated, ChatkitError)
            assert translated.reason == TRANSLATIONS[state]
            assert translated.retry_after is not None
            assert "driver" not in translated.message


def test_what_has_no_state_is_a_database_that_was_not_reached() -> None:
    lost = psycopg.OperationalError("consuming input failed: server closed the connection unexpectedly")
    for error in (
        lost,
        OperationalError("SELECT 1", {}, lost),
        DBAPIError("SELECT 1", {}, RuntimeError("odd"), connection_invalidated=True),
        PoolTimeoutError("QueuePool limit"),
        ConnectionRefusedError("no"),
    ):
        translated = translate(error)
        assert isinstance(translated, Unavailable), error
        assert translated.reason == "DATABASE_UNAVAILABLE"
    mistake = psycopg.ProgrammingError("the query has 0 placeholders")
    assert translate(mistake) is mistake
    assert sqlstate(mistake) == ""


@pytest.mark.parametrize("dsn", ["", "nonsense", "hush@host", "postgresql://u:hush@h:port/d"])
def test_a_url_that_is_none_is_refused_without_its_password(dsn: str) -> None:
    with pytest.raises(ValueError, match="must be like postgresql://") as caught:
        sqlalchemy_url(dsn)
    assert "hush" not in str(caught.value)


async def test_leaving_a_transaction_commits_and_an_error_rolls_back(users: Database, database: TestDatabase) -> None:
    await _transact(users, _insert("kept"))
    with pytest.raises(LookupError):
        await _transact(users, _insert("dropped"), _fail)
    with pytest.raises(IntegrityError):
        await _transact(users, _insert("dropped"), _insert("kept"))
    assert database.count("users.users") == 1


async def test_a_cancelled_transaction_rolls_back_and_gives_its_connection_back(
    users: Database, database: TestDatabase
) -> None:
    inserted = asyncio.Event()

    async def insert() -> None:
        async with users.transaction() as connection:
            await connection.execute(_insert("dropped"))
            inserted.set()
            await asyncio.Event().wait()

    for _ in range(3):
        inserted.clear()
        task = asyncio.create_task(insert())
        await inserted.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await users.check()
    assert database.count("users.users") == 0


async def _read(users: Database) -> None:
    async with users.reading() as connection:
        await connection.execute(text("SELECT 1"))


async def _write(users: Database) -> None:
    async with users.transaction() as connection:
        await connection.execute(text("SELECT 1"))
        await connection.execute(text("SELECT 2"))


async def _rows(users: Database) -> None:
    assert await users.rows(_ONE) == [(1,)]


async def _steps(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_nobody_has_a_turn_whose_connection_is_still_on_its_way_for_somebody_who_has_gone(
    users: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[AsyncEngine] = []
    may_go_on = asyncio.Event()

    async def take(engine: AsyncEngine) -> AsyncConnection:
        taken.append(engine)
        await may_go_on.wait()
        return await engine.connect()

    monkeypatch.setattr(runtime_database, "_take", take)
    gone = [asyncio.create_task(_read(users)) for _ in range(2)]
    await eventually(lambda: len(taken) == len(gone))
    for call in gone:
        call.cancel()
    await asyncio.wait(gone)
    assert all(call.cancelled() for call in gone)
    next_one = asyncio.create_task(_read(users))
    await _steps(20)
    assert len(taken) == len(gone)
    may_go_on.set()
    await next_one


@pytest.mark.parametrize("seed", range(4))
async def test_calls_that_are_cancelled_anywhere_leave_the_pool_whole(
    users: Database, lost_connections: list[str], seed: int
) -> None:
    chance = random.Random(seed)
    for _ in range(150):
        calls = [asyncio.create_task(chance.choice((_read, _write, _rows))(users)) for _ in range(4)]
        for call in calls:
            await _steps(chance.randrange(12))
            # Half of them go on, so that there are connections in the pool; some are cancelled while they clean up.
            for _ in range(chance.choice((0, 0, 1, 2))):
                call.cancel()
                await _steps(chance.randrange(4))
        ended = await asyncio.gather(*calls, return_exceptions=True)
        assert all(end is None or isinstance(end, asyncio.CancelledError) for end in ended), ended
    await eventually(lambda: users.turns.in_hand == 0)
    # Both at once, so that none is missing.
    async with users.reading(), users.transaction():
        pass
    assert not lost_connections


async def test_a_connection_that_nobody_gives_back_is_noticed(
    database: TestDatabase, lost_connections: list[str]
) -> None:
    engine = create_engine(database.dsn("users"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)
        connection = await engine.connect()
        raw = (await connection.get_raw_connection()).driver_connection
        del connection
        gc.collect()
    assert len(lost_connections) == 1
    lost_connections.clear()
    assert raw is not None
    await raw.close()
    await engine.dispose()


async def test_a_connection_that_comes_back_after_the_end_is_closed(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch, lost_connections: list[str]
) -> None:
    monkeypatch.setattr(runtime_database, "_RETURN_SECONDS", 0.01)
    late = Database(create_engine(database.dsn("users")))
    async with late.reading() as connection:
        raw: Any = (await connection.get_raw_connection()).driver_connection
        await late.close()
        assert not raw.closed
    assert raw.closed
    assert not lost_connections


async def test_a_connection_that_is_still_being_made_at_the_end_is_closed_when_it_is_there(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime_database, "_RETURN_SECONDS", 0.01)
    made: list[Any] = []
    may_go_on = asyncio.Event()

    async def take(engine: AsyncEngine) -> AsyncConnection:
        connection = await engine.connect()
        made.append((await connection.get_raw_connection()).driver_connection)
        await may_go_on.wait()
        return connection

    monkeypatch.setattr(runtime_database, "_take", take)
    late = Database(create_engine(database.dsn("users")))
    gone = asyncio.create_task(_read(late))
    await eventually(lambda: made)
    gone.cancel()
    await asyncio.wait({gone})
    await late.close()
    assert not made[0].closed
    may_go_on.set()
    await eventually(lambda: made[0].closed)


async def test_a_connection_of_which_nothing_comes_back_is_given_up(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(_connection: AsyncConnection) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(runtime_session, "_ROLLBACK_SECONDS", 0.01)
    alone = Database(create_engine(database.dsn("users"), connections=1))
    with monkeypatch.context() as patch:
        patch.setattr(AsyncConnection, "rollback", hang)
        with pytest.raises(LookupError):
            await _transact(alone, _insert("a"), _fail)
    await alone.check()
    assert database.count("users.users") == 0
    await alone.close()


async def test_a_statement_that_is_cancelled_leaves_its_connection_to_others(users: Database) -> None:
    pids = Query("SELECT pg_backend_pid() AS pid")
    pid = (await users.rows(pids))[0].pid
    slow = asyncio.create_task(users.rows(Query("SELECT pg_sleep(:seconds)"), {"seconds": 60}))
    await eventually(lambda: users.turns.in_hand)
    await _steps(20)
    slow.cancel()
    with pytest.raises(asyncio.CancelledError):
        await slow
    assert [one.pid for one in await users.rows(pids)] == [pid]


async def test_a_read_after_the_database_was_restarted_fails_once(users: Database, database: TestDatabase) -> None:
    async with users.reading(), users.reading():
        pass
    _terminate_others(database)
    with pytest.raises(Unavailable):
        await users.rows(_ONE)
    for _ in range(3):
        await _rows(users)


@pytest.mark.parametrize("before", [_rows, _read, _write])
async def test_each_read_is_of_its_own_moment_whatever_came_before(
    database: TestDatabase, before: Callable[[Database], Awaitable[None]]
) -> None:
    alone = Database(create_engine(database.dsn("users"), connections=1))
    await before(alone)
    ids = [(await alone.rows(_TRANSACTION))[0].id for _ in range(2)]
    async with alone.reading() as connection:
        ids += [(await connection.execute(text("SELECT pg_current_xact_id()::text"))).scalar_one() for _ in range(2)]
    async with alone.transaction() as connection:
        of_one = [(await connection.execute(text("SELECT pg_current_xact_id()::text"))).scalar_one() for _ in range(2)]
    assert len({*ids, *of_one}) == 5
    await alone.close()


async def test_a_connection_that_is_lost_before_the_commit_is_unavailable_and_at_it_unknown(
    users: Database, database: TestDatabase
) -> None:
    def cut() -> None:
        _terminate_others(database)

    with pytest.raises(Unavailable) as before:
        await _transact(users, _insert("a"), cut, _insert("b"))
    assert before.value.reason == "DATABASE_UNAVAILABLE"
    with pytest.raises(Unavailable) as during:
        await _transact(users, _insert("a"), cut)
    assert during.value.reason == "OUTCOME_UNKNOWN"
    # The next call gets a connection that works.
    await users.check()


async def test_a_lock_that_is_held_for_long_is_contention(users: Database) -> None:
    update = text("UPDATE users.users SET name = 'x'")
    await _transact(users, _insert("a"))
    async with users.transaction() as holder:
        await holder.execute(update)
        with pytest.raises(Aborted) as caught:
            await _transact(users, text("SET LOCAL lock_timeout = '10ms'"), update)
    assert caught.value.reason == "CONTENTION"


async def test_where_no_connection_comes_back_the_database_is_unavailable(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime_database, "_PERIOD_SECONDS", 0.01)
    small = Database(create_engine(database.dsn("users"), connections=1))
    async with small.reading():
        with pytest.raises(Unavailable) as caught:
            await small.check()
    assert caught.value.reason == "DATABASE_UNAVAILABLE"
    await small.check()
    await small.close()


async def test_a_busy_database_is_waited_for_and_then_overloaded(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime_database, "_PERIOD_SECONDS", 0.01)
    small = Database(create_engine(database.dsn("users"), connections=1))

    async def others_are_served() -> None:
        while True:
            small._returns += 1
            await asyncio.sleep(0)

    others = asyncio.create_task(others_are_served())
    async with small.reading():
        with pytest.raises(Unavailable) as caught:
            await small.check()
    others.cancel()
    assert caught.value.reason == "OVERLOADED"
    await small.check()
    await small.close()


async def test_a_user_who_asks_for_much_waits_behind_that_and_others_do_not(database: TestDatabase) -> None:
    small = Database(create_engine(database.dsn("users"), connections=2))
    served: list[str] = []

    async def call(user_id: str) -> None:
        on_behalf_of.set(user_id)
        async with small.reading() as connection:
            await connection.execute(text("SELECT 1"))
            served.append(user_id)

    async with asyncio.TaskGroup() as group, small.reading(), small.reading():
        for _ in range(100):
            group.create_task(call("mallory"))
        await _steps(3)
        group.create_task(call("alice"))
        await _steps(3)
    assert served.index("alice") <= 2
    assert len(served) == 101
    await small.close()


async def test_work_of_a_user_that_stands_still_leaves_connections_to_others(database: TestDatabase) -> None:
    shared = Database(create_engine(database.dsn("users")))
    held, go_on = 0, asyncio.Event()

    async def hold() -> None:
        nonlocal held
        on_behalf_of.set("mallory")
        async with shared.reading():
            held += 1
            await go_on.wait()

    async with asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(hold())
        await eventually(lambda: held == 2)
        on_behalf_of.set("alice")
        await shared.check()
        assert held == 2
        go_on.set()
    assert held == 10
    await shared.close()


async def test_a_server_with_too_few_connections_is_a_mistake_of_the_deployment(users: Database) -> None:
    await users.check_capacity(150)
    with pytest.raises(ValueError, match="raise max_connections"):
        await users.check_capacity(199)


async def test_a_database_that_is_not_there_is_unavailable() -> None:
    nowhere = Database(create_engine("postgresql://nobody@/nothing?host=/nonexistent"))
    with pytest.raises(Unavailable):
        await nowhere.check()
    await nowhere.close()


async def test_the_timeouts_of_the_runtime_role_are_in_force(users: Database) -> None:
    # The third one, idle_in_transaction_session_timeout, is another in tests: tests/isolation/test_roles.py.
    expected = {"lock_timeout": "1s", "statement_timeout": "10s"}
    async with users.reading() as connection:
        for name, value in expected.items():
            shown = (await connection.execute(text("SELECT current_setting(:name)"), {"name": name})).scalar_one()
            assert shown == value


async def test_work_on_the_database_ends_whole_although_whoever_waits_for_it_is_cancelled() -> None:
    begun, may_end, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        await may_end.wait()
        ended.set()

    waiting = asyncio.create_task(unbroken(work()))
    await begun.wait()
    waiting.cancel()
    await asyncio.sleep(0)
    assert not waiting.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended.is_set()


async def test_work_on_the_database_gives_its_result_or_its_error() -> None:
    async def work(error: Exception | None) -> int:
        if error is not None:
            raise error
        return 7

    assert await unbroken(work(None)) == 7
    with pytest.raises(Unavailable):
        await unbroken(work(Unavailable("DATABASE_UNAVAILABLE", "away")))
