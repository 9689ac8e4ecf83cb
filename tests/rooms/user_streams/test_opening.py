"""How a SubscribeUser opens: in the middle of changes, in few statements, and in bounded memory."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import psycopg
import pytest

from services.runtime.contract.errors import Aborted, NotFound, Unavailable
from tests.rooms.user_streams.openings import Openings, Stream, openings
from tests.rooms.user_streams.reading import short
from tests.support.databases import TestDatabase
from tests.support.eventually import HANG_SECONDS, eventually

_ROUNDS = 20


@pytest.fixture
async def parts(database: TestDatabase) -> AsyncIterator[Openings]:
    """Run the parts, with some rooms of alice and bob."""
    async with openings(database) as made:
        for room_id in ("a", "b", "c", "d"):
            await made.create(room_id, "alice", "bob")
        await made.create("e", "bob")
        yield made


async def _change_all(parts: Openings) -> None:
    await parts.rename("a", "A")
    await parts.remove("b", "alice")
    await parts.remove("c", "alice")
    await parts.add("c", "carol")
    await parts.add("c", "alice")
    await parts.remove("d", "bob")
    await parts.add("e", "alice")
    await parts.rename("e", "E")
    await parts.create("f", "alice")
    await parts.create("g", "bob")


async def test_a_state_that_was_read_before_changes_were_handed_out_has_them_nevertheless(parts: Openings) -> None:
    await parts.streams.started()
    parts.store.go.clear()
    async with parts.reading("alice") as stream:
        first = asyncio.ensure_future(stream.next())
        async with asyncio.timeout(HANG_SECONDS):
            await parts.store.state_was_read.wait()
        await _change_all(parts)
        await parts.handed_out()
        # Only now what was read arrives.
        parts.store.go.set()
        assert short(await first) == "opened alice"
        seen = [short(event) for event in await stream.until("caught_up")]
        assert seen == [
            *("room a alice,bob", "room c alice,bob,carol", "room d alice", "room e alice,bob", "room f alice"),
            "caught_up 5",
        ]
        assert stream.folded.rooms == await parts.listed("alice")
        await parts.rename("f", "F")
        assert short(await stream.next()) == "room_updated f F"


async def test_streams_that_open_at_random_in_the_middle_of_changes_fold_to_what_is_stored(parts: Openings) -> None:
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    parts.store.turns = lambda: chance.randrange(300)
    await parts.create("mark", "alice", "bob", "carol")
    users, rooms = ("alice", "bob", "carol"), ("a", "b", "c", "d", "e")

    async def change() -> None:
        for _ in range(4):
            make = chance.choice((parts.add, parts.remove, parts.rename))
            await make(chance.choice(rooms), chance.choice(users))

    for number in range(_ROUNDS):
        async with AsyncExitStack() as stack:
            streams = [(who, await stack.enter_async_context(parts.reading(who))) for who in users]
            opened = (stream.until("caught_up") for _, stream in streams)
            await asyncio.gather(change(), *opened, change())
            await parts.rename("mark", f"{number}")
            for who, stream in streams:
                while (await stream.until("room_updated"))[-1].room_updated.name != f"{number}":
                    pass
                assert stream.folded.rooms == await parts.listed(who), f"seed {seed}, round {number}"


async def test_a_state_that_was_read_after_changes_is_not_told_them_again(database: TestDatabase) -> None:
    # Nobody looks at the changes but when told to.
    async with openings(database, poll_interval=3_600.0) as parts:
        await parts.streams.started()
        for room_id in ("a", "b"):
            await parts.create(room_id, "alice", "bob")
        await parts.handed_out()
        with_nudge, parts.feed.nudge = parts.feed.nudge, lambda: None  # type: ignore[method-assign]
        await parts.rename("a", "A")
        await parts.add("b", "carol")
        async with parts.reading("alice") as stream:
            assert [short(event) for event in await stream.until("caught_up")][1:] == [
                *("room a alice,bob", "room b alice,bob,carol", "caught_up 2")
            ]
            await parts.remove("b", "bob")
            with_nudge()
            assert short(await stream.next()) == "member_left b bob"


async def test_whoever_comes_while_rooms_are_read_for_others_is_told_all_that_concerns_them(
    database: TestDatabase,
) -> None:
    async with openings(database, poll_interval=3_600.0) as parts:
        await parts.streams.started()
        await parts.create("x", "alice")
        await parts.create("y", "bob")
        await parts.handed_out()
        nudge, parts.feed.nudge = parts.feed.nudge, lambda: None  # type: ignore[method-assign]
        async with parts.reading("alice") as alice, parts.reading("bob") as bob:
            await alice.until("caught_up")
            parts.store.state_was_read.clear()
            parts.store.go.clear()
            first = asyncio.ensure_future(bob.next())
            async with asyncio.timeout(HANG_SECONDS):
                await parts.store.state_was_read.wait()
                await parts.rename("y", "Y")
                await parts.rename("x", "X")
                await parts.add("x", "bob")
                parts.store.go_on.clear()
                nudge()
                # Rooms were read for alice, and bob comes.
                await parts.store.rooms_were_read.wait()
                parts.store.go.set()
                await first
            parts.store.go_on.set()
            await bob.until("caught_up")
            assert short(await bob.next()) == "room_updated y Y"
            # Of which, for alice, the members were not read.
            assert short(await bob.next()) == "added_to_room x alice,bob"
            assert [short(await alice.next()) for _ in range(2)] == ["room_updated x X", "member_joined x bob"]


async def test_what_happens_while_users_is_asked_comes_behind_the_state(parts: Openings) -> None:
    parts.users.go.clear()
    async with parts.reading("alice") as stream:
        first = asyncio.ensure_future(stream.next())
        await eventually(lambda: parts.store.states == 1)
        await _change_all(parts)
        await parts.handed_out()
        parts.users.go.set()
        assert short(await first) == "opened alice"
        assert short((await stream.until("caught_up"))[-1]) == "caught_up 4"
        await parts.rename("f", "last")
        while (await stream.until("room_updated"))[-1].room_updated.name != "last":
            pass
        assert stream.folded.rooms == await parts.listed("alice")


async def test_a_user_who_is_not_there_has_no_stream_and_leaves_nothing_behind(parts: Openings) -> None:
    for user_id, expected in (("nobody", NotFound), ("away", Unavailable)):
        async with parts.reading(user_id) as stream:
            with pytest.raises(expected):
                await stream.next()
    assert parts.streams.is_empty


async def test_a_stream_that_opens_while_the_process_ends_is_told_so(parts: Openings) -> None:
    parts.store.go.clear()
    async with parts.reading("alice") as stream:
        first = asyncio.ensure_future(stream.next())
        await eventually(lambda: parts.store.states == 1)
        parts.streams.end_all()
        parts.store.go.set()
        with pytest.raises(Unavailable, match="shutting down"):
            await first


async def test_so_many_states_are_read_at_once_that_calls_find_a_connection_and_one_for_a_user(parts: Openings) -> None:
    parts.store.go.clear()

    async def opened(user_id: str) -> None:
        async with parts.reading(user_id) as stream:
            await stream.until("caught_up")

    async with asyncio.TaskGroup() as group:
        for user_id in ("alice", "alice", "alice"):
            group.create_task(opened(user_id))
        await eventually(lambda: parts.store.states == 1)
        await _settle()
        assert parts.store.states == 1
        for user_id in ("bob", "carol", "dave", "erin"):
            group.create_task(opened(user_id))
        await eventually(lambda: parts.store.states == 3)
        await _settle()
        assert parts.store.states == 3
        parts.store.go.set()
    assert parts.store.states == 7


async def test_a_stream_that_opens_while_the_database_becomes_another_one_starts_anew(
    parts: Openings, database: TestDatabase
) -> None:
    parts.store.go.clear()
    async with parts.reading("alice") as stream:
        first = asyncio.ensure_future(stream.next())
        await eventually(lambda: parts.store.states == 1)
        with psycopg.connect(database.superuser_dsn) as connection:
            connection.execute("DELETE FROM rooms.changes")
            connection.execute("UPDATE rooms.change_counter SET version = 1")
        await eventually(lambda: parts.streams.resets == 1)
        parts.store.go.set()
        with pytest.raises(Aborted, match="subscribe again"):
            await first


async def _settle() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def test_state_that_nobody_reads_is_bounded_for_a_user_and_for_the_process(database: TestDatabase) -> None:
    users = ("alice", "bob", "carol", "dave")
    async with openings(database, most_state_bytes=600_000) as parts, AsyncExitStack() as stack:
        for number in range(40):
            await parts.create(f"{number}", *users, custom_data={"text": "x" * 5_000})

        async def opened(user_id: str) -> Stream:
            """Open a stream of 200 KB, of which 64 KB are read."""
            stream = await stack.enter_async_context(parts.reading(user_id))
            await stream.next()
            return stream

        await opened("alice")
        with pytest.raises(Unavailable) as refused:
            await opened("alice")
        assert (refused.value.reason, refused.value.retry_after is not None) == ("OVERLOADED", True)
        await opened("bob")
        carol = await opened("carol")
        with pytest.raises(Unavailable):
            await opened("dave")
        await carol.until("caught_up")
        await opened("dave")
        assert 0 < parts.openings.waiting_bytes <= 600_000
        await stack.aclose()
        assert parts.openings.waiting_bytes == 0
        assert parts.streams.is_empty
