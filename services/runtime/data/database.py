"""PostgreSQL for one service: pools, transactions, and driver errors turned into the suite's own.

An error before the commit means that nothing happened; one at the commit is an unknown outcome.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from typing import Any, TypeVar

import psycopg
from sqlalchemy import URL, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from services.runtime.contract.errors import Aborted, Unavailable, unknown_outcome
from services.runtime.data.query import Query
from services.runtime.data.session import Session
from services.runtime.fair_queue import FairQueue, Turn, on_behalf_of
from services.runtime.tracing.trace import POSTGRESQL, stage

POOL_CONNECTIONS = 4
# A wait for a connection ends after so many periods in a row in which none has come back, or when it has lasted long.
# In periods, because a process that was held up itself shall not take that for the database's fault.
_PERIOD_SECONDS, _PERIODS, _MOST_PERIODS = 0.5, 4, 20
_UNBROKEN_SECONDS = 2
_CONNECT_SECONDS = 3
_RETURN_SECONDS = 1.0
_LOOK_SECONDS = 0.005
_LOOKS_AT_SESSIONS = 3
_RETRY_AFTER = timedelta(milliseconds=500)
_Result = TypeVar("_Result")
_NOTHING: Mapping[str, Any] = {}
_REFUSAL = re.compile(r"(?:FATAL:\s+|fe_sendauth: )(.+)")


def sqlalchemy_url(dsn: str) -> URL:
    """Turn a libpq URL into SQLAlchemy's, for psycopg; the ValueError for another one does not tell its password."""
    try:
        return make_url(dsn).set(drivername="postgresql+psycopg")
    except (ArgumentError, ValueError):
        raise ValueError("a database's URL must be like postgresql://user:password@host/database") from None


def in_one_line(error: psycopg.Error | DBAPIError) -> str:
    """Return what is wrong for people: the driver's first line, as those after it show the statement or ask back."""
    told = error.orig if isinstance(error, DBAPIError) else error
    first = str(told).strip().partition("\n")[0]
    if not isinstance(told, psycopg.OperationalError) or told.sqlstate is not None:
        return first or type(told).__name__
    # While a connection is made, the driver tells what the server says in its text alone.
    if refusal := _REFUSAL.search(first):
        return f"the database refuses the connection: {refusal[1]}"
    return f"the database can't be reached: {first}"


def create_engine(dsn: str, connections: int = POOL_CONNECTIONS) -> AsyncEngine:
    """Make a pool that never overflows; who gets a connection next is for `Database` to say."""
    return create_async_engine(
        sqlalchemy_url(dsn),
        pool_size=connections,
        max_overflow=0,
        pool_timeout=_PERIOD_SECONDS * _PERIODS,
        # What an error shows goes to the log, where nobody can erase it.
        hide_parameters=True,
        connect_args={
            "connect_timeout": _CONNECT_SECONDS,
            "application_name": "chatkit",
        },
    )


class Database:
    """A service's connections: each call waits behind those of its own user, and not behind all that others ask.

    Those that work stay out of SQLAlchemy's pool, which takes longer to lend one than a short statement does.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        connections = engine.pool.size()  # type: ignore[attr-defined]
        # Half of them: what waits for locks of one user's holds no more, and others go on.
        self.turns = FairQueue(connections, of_each=max(1, connections // 2))
        self._is_closed = False
        # How often a connection came back from a call that went well.
        self._returns = 0
        self._idle: list[Session] = []
        # What gives back connections, and goes on when its caller has gone.
        self._returning: set[asyncio.Task[None]] = set()

    async def rows(self, query: Query, values: Mapping[str, Any] = _NOTHING) -> list[Any]:
        """Return the rows of a statement, with a snapshot of its own.

        Raises what `translate` makes of the driver's errors.
        """
        with _translated():
            async with self._lent(autocommit=True) as session:
                return await query.rows(session.raw, values)

    async def row(self, query: Query, values: Mapping[str, Any] = _NOTHING) -> Any:
        """Return the only row of a statement, or None, as `rows` would."""
        rows = await self.rows(query, values)
        return rows[0] if rows else None

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Lend a connection for single statements, each with a snapshot of its own.

        Raises what `translate` makes of the driver's errors.
        """
        with _translated():
            async with self._lent(autocommit=True) as session:
                yield session.connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Run one transaction at READ COMMITTED; leaving normally commits.

        Raises what `translate` makes of the driver's errors.
        """
        with _translated():
            async with self._lent(autocommit=False) as session:
                yield session.connection
                await _commit(session)

    @asynccontextmanager
    async def _lent(self, *, autocommit: bool) -> AsyncIterator[Session]:
        """Lend a connection that comes back, whole or closed, wherever this is cancelled, and its turn with it."""
        turn = self.turns.ask(on_behalf_of.get())
        try:
            if not turn.came.done():
                with stage("database turn"):
                    await self._until_it_comes(turn)
        except BaseException:
            turn.give_back()
            raise
        session = self._idle.pop() if self._idle else await self._opened(turn)
        try:
            await session.begin(autocommit=autocommit)
            with stage("database", POSTGRESQL):
                yield session
            await session.end()
            self._returns += 1
        except Exception:
            if session.is_lost:
                # So are the others, as a rule, and they would fail a call each.
                stale, self._idle = self._idle, []
                self._in_the_background(_close(stale))
            raise
        finally:
            if session.is_whole and not self._is_closed:
                self._idle.append(session)
                turn.give_back()
            else:
                await self._in_the_background(self._give_back(session, turn))

    async def _opened(self, turn: Turn) -> Session:
        """Open a connection in a task of its own: SQLAlchemy forgets one that is cut between pool and caller."""
        opening = asyncio.create_task(_open(self._engine))
        try:
            return await asyncio.shield(opening)
        except BaseException:
            returning = self._in_the_background(self._give_back_what_opens(opening, turn))
            if opening.done():
                await returning
            raise

    def _in_the_background(self, work: Coroutine[Any, Any, None]) -> Awaitable[None]:
        returning = asyncio.create_task(work)
        self._returning.add(returning)
        returning.add_done_callback(self._returning.discard)
        return asyncio.shield(returning)

    async def _give_back_what_opens(self, opening: asyncio.Task[Session], turn: Turn) -> None:
        try:
            session = await opening
        except BaseException:  # noqa: BLE001 - that it could not be opened is known to who asked
            turn.give_back()
        else:
            await self._give_back(session, turn)

    async def _give_back(self, session: Session, turn: Turn) -> None:
        try:
            if not self._is_closed and await session.recover():
                self._idle.append(session)
            else:
                await session.close()
        finally:
            turn.give_back()

    async def _until_it_comes(self, turn: Turn) -> None:
        """Raise DATABASE_UNAVAILABLE when no connection comes back, and OVERLOADED when others are served for too long.

        A database that is busy or slow is one that answers.
        """
        still, returns = 0, self._returns
        for _ in range(_MOST_PERIODS):
            await asyncio.wait({turn.came}, timeout=_PERIOD_SECONDS)
            if turn.came.done():
                return
            still = still + 1 if self._returns == returns else 0
            returns = self._returns
            if still == _PERIODS:
                raise _unavailable()
        raise _overloaded()

    async def check(self) -> None:
        """Raise Unavailable unless the database answers."""
        async with self.reading() as connection:
            await connection.execute(text("SELECT 1"))

    async def check_capacity(self, connections: int) -> None:
        """Raise ValueError when the server can't hold that many connections beside its reserve."""
        async with self.reading() as connection:
            query = (
                "SELECT current_setting('max_connections')::int"
                " - current_setting('superuser_reserved_connections')::int"
                " - current_setting('reserved_connections', true)::int"
            )
            room = (await connection.execute(text(query))).scalar_one()
        if room is not None and room < connections:
            raise ValueError(
                f"the database admits {room} connections and the processes need {connections}: raise max_connections"
            )

    async def check_sessions(self) -> None:
        """Raise ValueError when a pooler lets two open connections share a session of the server.

        Such a pooler (PgBouncer in transaction mode) gives the session that was just used to who asks next, so two that
        ask in turn are told the same process; where others ask meanwhile it may take more than one look.
        """
        for _ in range(_LOOKS_AT_SESSIONS):
            async with self.reading() as one, self.reading() as other:
                pids = [(await each.execute(text("SELECT pg_backend_pid()"))).scalar_one() for each in (one, other)]
            if len(set(pids)) == 1:
                raise ValueError(
                    "the database is behind a pooler that does not keep a session for each connection:"
                    " PgBouncer must have pool_mode = session"
                )

    async def close(self) -> None:
        """Close every connection; one that does not come back for a while is closed when it does."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_RETURN_SECONDS):
                while self.turns.in_hand:  # noqa: ASYNC110 - there is no event to wait for
                    await asyncio.sleep(_LOOK_SECONDS)
        self._is_closed = True
        await _close(self._idle)
        if self._returning:
            await asyncio.wait(self._returning, timeout=_RETURN_SECONDS)
        await self._engine.dispose()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (DBAPIError, PoolTimeoutError, psycopg.Error, OSError) as error:
        raise translate(error) from error


async def _open(engine: AsyncEngine) -> Session:
    return await Session.of(await _take(engine))


async def _close(sessions: Sequence[Session]) -> None:
    for session in sessions:
        await session.close()


async def _take(engine: AsyncEngine) -> AsyncConnection:
    return await engine.connect()


async def unbroken(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Await work on the database to its end although this is cancelled meanwhile, for a while.

    What is cut in the middle leaves a connection open that nobody uses any more.
    """
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task}, timeout=_UNBROKEN_SECONDS)
        if not task.cancel() and not task.cancelled():
            # Looked at, because nobody else will.
            task.exception()
        raise


async def _commit(session: Session) -> None:
    try:
        await session.commit()
    except (DBAPIError, psycopg.Error, OSError) as error:
        if _sqlstate(error).startswith(("23", "40")):
            raise
        raise unknown_outcome() from error


def _sqlstate(error: BaseException) -> str:
    origin = error.orig if isinstance(error, DBAPIError) else error
    return (getattr(origin, "sqlstate", None) or "") if origin is not None else ""


def sqlstate(error: BaseException) -> str:
    """Return an error's SQLSTATE, or an empty string when it has none."""
    return _sqlstate(error)


def translate(error: Exception) -> Exception:
    """Turn a driver's error into the suite's; one that no caller can do anything about comes back as it is."""
    state = _sqlstate(error)
    if state in {"40001", "40P01", "55P03"}:
        return Aborted("CONTENTION", "the call lost a race: try again", retry_after=_RETRY_AFTER)
    # 08 connection, 53 resources, 57 operator intervention (shutdown, start-up, statement time-out), 25P03 idle.
    lost = state[:2] in {"08", "53", "57"} or state == "25P03"
    if lost or (
        not state
        and isinstance(
            error,
            (OperationalError, PoolTimeoutError, psycopg.OperationalError, OSError),
        )
    ):
        return _unavailable()
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return _unavailable()
    return error


def _unavailable() -> Unavailable:
    return Unavailable("DATABASE_UNAVAILABLE", "the database can't be reached", retry_after=_RETRY_AFTER)


def _overloaded() -> Unavailable:
    return Unavailable("OVERLOADED", "the database has more to do than it can", retry_after=_RETRY_AFTER)
