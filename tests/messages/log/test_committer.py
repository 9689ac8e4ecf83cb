"""Group commit: no deadlock and no hole among writers, and one room's trouble stays its own."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from uuid import UUID, uuid4

import psycopg
import pytest
from structlog.testing import capture_logs

from services.messages.log.append import Connection
from services.messages.log.committer import Committer
from services.messages.log.connecting import connecting
from services.messages.log.figures import CommitFigures
from services.messages.log.outcomes import Appended
from services.messages.model import Deletion, Draft, LogEntry, Write
from services.runtime.clock import SystemClock
from services.runtime.contract.errors import AlreadyExists, ChatkitError, Unavailable
from services.runtime.data.epoch import Epoch
from services.runtime.deadline import Deadline
from services.runtime.ids import RoomId, RoomUid, UserId, UserUid
from services.runtime.metrics.registry import Metrics
from services.runtime.tracing.context import SpanContext
from services.runtime.tracing.trace import Trace, current, hashed
from tests.support.clock import ManualClock
from tests.support.databases import TestDatabase
from tests.support.eventually import eventually, until

_SENDER = UserUid(uuid4())


class _Nobody:
    """Nobody listens."""

    def sampled(self, room_uid: RoomUid, seq: int, span: SpanContext) -> None:
        pass

    def appended(self, room_uid: RoomUid, entry: LogEntry) -> None:
        pass

    def unknown(self, room_uid: RoomUid) -> None:
        pass


def _draft(room_uid: RoomUid, request_id: str, content: bytes = b"") -> Draft:
    return Draft(
        room_uid=room_uid,
        room_id=RoomId(str(room_uid)),
        sender_uid=_SENDER,
        sender_id=UserId("alice"),
        request_id=request_id,
        content_hash=content or b"hash",
        unplaced=b"",
    )


async def _committer(database: TestDatabase, stack: AsyncExitStack, options: str = "") -> Committer:
    epoch = Epoch("messages")
    committer = Committer(
        connecting(database.dsn("messages") + options, epoch), _Nobody(), SystemClock(), CommitFigures(Metrics())
    )
    task = asyncio.create_task(committer.run())

    async def end() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    stack.push_async_callback(end)
    return committer


async def _persistently(committer: Committer, draft: Draft) -> Appended:
    """Send as a client does: again, while the service says that it may help."""
    while True:
        try:
            return await committer.send(draft, Deadline.after(10))
        except Unavailable:
            await asyncio.sleep(0)


def _seqs(database: TestDatabase) -> dict[UUID, list[int]]:
    with psycopg.connect(database.superuser_dsn) as connection:
        rows = connection.execute("SELECT room_uid, seq FROM messages.messages ORDER BY 1, 2").fetchall()
        heads: dict[UUID, int] = dict(connection.execute("SELECT room_uid, seq FROM messages.heads").fetchall())
    found: dict[UUID, list[int]] = {}
    for room_uid, seq in rows:
        found.setdefault(room_uid, []).append(seq)
    assert {room_uid: seqs[-1] for room_uid, seqs in found.items()} == {uid: seq for uid, seq in heads.items() if seq}
    return found


async def test_three_writers_over_shared_rooms_neither_deadlock_nor_leave_holes(database: TestDatabase) -> None:
    rooms = [RoomUid(uuid4()) for _ in range(40)]
    async with AsyncExitStack() as stack:
        committers = [await _committer(database, stack) for _ in range(3)]
        drafts = [
            (committer, _draft(room, f"{n}-{w}"))
            for w, committer in enumerate(committers)
            for room in rooms
            for n in range(10)
        ]
        random.Random(1).shuffle(drafts)
        results = await asyncio.gather(*(_persistently(committer, draft) for committer, draft in drafts))
    assert len(results) == 1200
    assert all(seqs == list(range(1, 31)) for seqs in _seqs(database).values())
    assert len(_seqs(database)) == 40


async def test_one_item_that_the_database_refuses_does_not_fail_its_batch(database: TestDatabase) -> None:
    room, other = RoomUid(uuid4()), RoomUid(uuid4())
    async with AsyncExitStack() as stack:
        committer = await _committer(database, stack)
        good = [_draft(room if n % 2 else other, f"{n}") for n in range(20)]
        bad = _draft(room, "a\0b")
        results = await asyncio.gather(
            *(committer.send(draft, Deadline.after(10)) for draft in [*good, bad]), return_exceptions=True
        )
    assert all(isinstance(result, Appended) for result in results[:-1])
    assert isinstance(results[-1], Exception)
    assert sorted(len(seqs) for seqs in _seqs(database).values()) == [10, 10]
    assert all(seqs == list(range(1, 11)) for seqs in _seqs(database).values())


async def test_a_head_that_somebody_holds_stalls_only_its_own_room(database: TestDatabase) -> None:
    held, free = RoomUid(uuid4()), RoomUid(uuid4())
    async with AsyncExitStack() as stack:
        # A lane that waited for the held head would wait for as long as it is held.
        committer = await _committer(database, stack, "&options=-c%20lock_timeout%3D0")
        for room in (held, free):
            await committer.send(_draft(room, "first"), Deadline.after(10))
        with psycopg.connect(database.superuser_dsn) as holder:
            holder.execute("SELECT 1 FROM messages.heads WHERE room_uid = %s FOR UPDATE", (held,))
            waiting = asyncio.create_task(_persistently(committer, _draft(held, "waits")))
            for n in range(50):
                assert (await committer.send(_draft(free, f"{n}"), Deadline.after(10))).entry.seq == n + 2
            assert not waiting.done()
            holder.rollback()
        assert (await waiting).entry.seq == 2


async def test_a_head_that_is_held_for_too_long_is_unavailable_and_nothing_is_stored(database: TestDatabase) -> None:
    held = RoomUid(uuid4())
    async with AsyncExitStack() as stack:
        committer = await _committer(database, stack)
        await committer.send(_draft(held, "first"), Deadline.after(10))
        with psycopg.connect(database.superuser_dsn) as holder:
            holder.execute("SELECT 1 FROM messages.heads WHERE room_uid = %s FOR UPDATE", (held,))
            with pytest.raises(ChatkitError) as refused:
                await committer.send(_draft(held, "late"), Deadline.after(0.5))
            holder.rollback()
        assert refused.value.code.name in {"UNAVAILABLE", "DEADLINE_EXCEEDED"}
        assert (await _persistently(committer, _draft(held, "late"))).entry.seq == 2


async def test_a_call_is_told_what_its_time_went_into(database: TestDatabase) -> None:
    room = RoomUid(uuid4())
    async with AsyncExitStack() as stack:
        committer = await _committer(database, stack)
        free = Trace()
        current.set(free)
        await committer.send(_draft(room, "free"), Deadline.after(10))
        held = Trace()
        current.set(held)
        async with await psycopg.AsyncConnection.connect(database.superuser_dsn) as holder:
            await holder.execute("SELECT FROM messages.heads WHERE room_uid = %s FOR UPDATE", (room,))
            sending = asyncio.create_task(committer.send(_draft(room, "held"), Deadline.after(10)))
            await eventually(lambda: committer.busy_rooms == 1)
        await sending
        late = Trace()
        current.set(late)
        async with await psycopg.AsyncConnection.connect(database.superuser_dsn) as holder:
            await holder.execute("SELECT FROM messages.heads WHERE room_uid = %s FOR UPDATE", (room,))
            with pytest.raises(Unavailable):
                await committer.send(_draft(room, "late"), Deadline.after(0.5))
    assert [stage.name for stage in free.stages] == ["committer's queue", "lock and read", "write and commit"]
    assert [stage.name for stage in held.stages] == ["room's head", "lock and read", "write and commit"]
    assert [stage.name for stage in late.stages] == ["room's head"]
    assert [stage.attributes.get("chatkit.committer.lane") for stage in held.stages] == [None, "second", "second"]
    assert all(one.ended == after.began for one, after in pairwise(free.stages))


async def test_the_span_of_a_call_names_the_messages_that_it_is_about(database: TestDatabase) -> None:
    room = RoomUid(uuid4())
    calls = [Trace() for _ in range(4)]
    async with AsyncExitStack() as stack:
        committer = await _committer(database, stack)

        async def send(trace: Trace, *writes: Write) -> None:
            current.set(trace)
            await committer.send_each(writes, Deadline.after(10))

        sent, repeated, deleted, batch = calls
        await send(sent, _draft(room, "one"))
        await send(repeated, _draft(room, "one"))
        await send(deleted, Deletion(room, RoomId(str(room)), 1))
        await send(batch, *[_draft(room, f"of many {number}") for number in range(10)])
    known = {"messaging.message.id": f"{room}/1", "chatkit.message.request_hash": hashed("one")}
    assert sent.attributes == repeated.attributes == known
    # Of the message, not of the event.
    assert deleted.attributes == {"messaging.message.id": f"{room}/1"}
    assert batch.attributes["messaging.message.id"] == [f"{room}/{seq}" for seq in range(3, 11)]
    assert batch.attributes["chatkit.message.request_hash"][0] == hashed("of many 0")


async def test_the_span_of_a_send_that_fails_can_be_found_by_its_request_id(database: TestDatabase) -> None:
    room = RoomUid(uuid4())
    async with AsyncExitStack() as stack:
        committer = await _committer(database, stack)
        await committer.send(_draft(room, "same", b"one"), Deadline.after(10))
        current.set(trace := Trace())
        with pytest.raises(AlreadyExists):
            await committer.send(_draft(room, "same", b"another"), Deadline.after(10))
    assert trace.attributes == {"chatkit.message.request_hash": hashed("same")}


async def test_connections_that_are_cut_cost_no_message_and_double_none(database: TestDatabase) -> None:
    rooms = [RoomUid(uuid4()) for _ in range(5)]
    cut = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'chatkit committer'"
    )
    async with AsyncExitStack() as stack:
        committer = await _committer(database, stack)
        sends = [
            asyncio.create_task(_persistently(committer, _draft(room, f"{n}"))) for n in range(60) for room in rooms
        ]
        connection = await psycopg.AsyncConnection.connect(database.superuser_dsn, autocommit=True)
        async with connection:
            while not all(send.done() for send in sends):
                await connection.execute(cut)
                await asyncio.wait(sends, timeout=0.1)
        await asyncio.gather(*sends)
    assert all(seqs == list(range(1, 61)) for seqs in _seqs(database).values())


async def test_a_reused_request_id_is_refused_within_one_batch_too(database: TestDatabase) -> None:
    room = RoomUid(uuid4())
    first = _draft(room, "same", b"one")
    async with AsyncExitStack() as stack:
        committer = await _committer(database, stack)
        sends = (first, first, replace(first, content_hash=b"two"))
        results = await asyncio.gather(
            *(committer.send(draft, Deadline.after(10)) for draft in sends), return_exceptions=True
        )
    assert [isinstance(result, AlreadyExists) for result in results] == [False, False, True]
    assert _seqs(database) == {room: [1]}


async def test_a_committer_that_cannot_connect_is_not_ready_and_says_why_with_growing_pauses(
    database: TestDatabase,
) -> None:
    clock = ManualClock()
    may_connect = False
    lane = connecting(database.dsn("messages"), Epoch("messages"))

    @asynccontextmanager
    async def connect() -> AsyncIterator[Connection]:
        if not may_connect:
            raise psycopg.OperationalError(
                "connection to postgresql://messages:hush@pooler failed: FATAL: no such thing"
            )
        async with lane() as connection:
            yield connection

    committer = Committer(connect, _Nobody(), clock, CommitFigures(Metrics()))
    with capture_logs() as logs:
        task = asyncio.create_task(committer.run())
        for _ in range(400):
            await clock.advance(0.1)
        with pytest.raises(LookupError):
            await committer.check()
        said = list(logs)
        may_connect = True
        await clock.advance(2.0)
        await until(lambda: _passes(committer))
    pauses = [entry["pause_seconds"] for entry in said]
    assert pauses[:2] == [0.1, 0.1]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 2.0
    assert len(pauses) < 2 * 40
    assert all("FATAL: no such thing" in entry["problem"] and "hush" not in entry["problem"] for entry in said)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _passes(committer: Committer) -> bool:
    try:
        await committer.check()
    except LookupError:
        return False
    return True
