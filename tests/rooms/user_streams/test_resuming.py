"""How a subscription goes on after a position: it is told what was missed, that once, and nothing else."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import psycopg
import pytest
from chatkit.internal.directory.v1 import directory_service_pb2 as directory_pb2
from chatkit.users.v1 import user_pb2

from services.rooms.user_streams.missed_store import MOST_MISSED
from services.rooms.user_streams.position import UserPosition
from services.runtime.contract.errors import Unavailable
from tests.rooms.user_streams.openings import Openings, Stream, openings
from tests.rooms.user_streams.reading import Folded, short
from tests.support.databases import TestDatabase
from tests.support.eventually import eventually

_ROUNDS = 40


def _updated(version: int, user_id: str) -> directory_pb2.DirectoryEvent:
    return directory_pb2.DirectoryEvent(version=version, user_updated=user_pb2.User(id=user_id, name=f"{version}"))


@pytest.fixture
async def parts(database: TestDatabase) -> AsyncIterator[Openings]:
    """Run the parts, with some rooms of alice and bob."""
    async with openings(database) as made:
        for room_id in ("a", "b", "c"):
            await made.create(room_id, "alice", "bob")
        await made.create("d", "bob")
        await made.handed_out()
        yield made


async def _place(parts: Openings, user_id: str = "alice") -> UserPosition:
    """Return where a user stands by now."""
    async with parts.reading(user_id) as stream:
        await stream.until("caught_up")
        return _of(stream)


def _of(stream: Stream) -> UserPosition:
    position = stream.position
    assert position is not None
    return UserPosition(position.rooms_epoch, position.rooms_version, position.users_epoch, position.users_version)


async def _resumed(parts: Openings, after: UserPosition, user_id: str = "alice") -> list[str]:
    """Return what a user was told who goes on after a position, in short; the place is at the end then."""
    async with parts.reading(user_id, after) as stream:
        opened, *told, caught_up = await stream.until("caught_up")
        assert opened.opened.resumed
        assert caught_up.caught_up.room_count == 0
        assert _of(stream).rooms_version == (await parts.changes.head()).version
        return [short(event) for event in told]


async def _begun_anew(parts: Openings, after: UserPosition, user_id: str = "alice") -> list[str]:
    """Return what a user was told who can't go on after a position, in short."""
    async with parts.reading(user_id, after) as stream:
        opened, *told = await stream.until("caught_up")
        assert not opened.opened.resumed
        assert stream.folded.rooms == await parts.listed(user_id)
        return [short(event) for event in told]


async def test_nothing_is_told_to_whom_nothing_concerns(parts: Openings) -> None:
    after = await _place(parts)
    assert await _resumed(parts, after) == []
    await parts.create("others", "carol")
    await parts.rename("d", "D")
    assert await _resumed(parts, after) == []


async def test_each_kind_of_change_is_told_in_order(parts: Openings) -> None:
    after = await _place(parts)
    await parts.rename("a", "A")
    await parts.add("a", "carol")
    await parts.remove("a", "bob")
    await parts.create("e", "alice", "carol")
    await parts.add("d", "alice")
    await parts.add("d", "carol")
    await parts.remove("b", "alice")
    # No more of her business.
    await parts.rename("b", "B")
    assert await _resumed(parts, after) == [
        *("room_updated a A", "member_joined a carol", "member_left a bob", "added_to_room e alice,carol"),
        *("member_joined e carol", "added_to_room d alice,bob,carol", "member_joined d carol", "removed_from_room b"),
    ]


async def test_a_room_that_was_left_and_joined_again_is_told_so(parts: Openings) -> None:
    after = await _place(parts)
    await parts.remove("a", "alice")
    await parts.rename("a", "A")
    await parts.add("a", "alice")
    # One where she has been for a moment only.
    await parts.add("d", "alice")
    await parts.remove("d", "alice")
    assert await _resumed(parts, after) == ["removed_from_room a", "added_to_room a alice,bob"]


async def test_a_room_that_was_deleted_begins_anew_for_its_members_alone(parts: Openings) -> None:
    alice, bob = await _place(parts), await _place(parts, "bob")
    await parts.delete("d")
    assert await _resumed(parts, alice) == []
    assert [one.split(" ")[1] for one in await _begun_anew(parts, bob, "bob")] == ["a", "b", "c", "3"]
    # She is in it no more, and was when she was there last.
    await parts.remove("c", "alice")
    await parts.delete("c")
    assert [one.split(" ")[1] for one in await _begun_anew(parts, alice)] == ["a", "b", "2"]


async def test_it_goes_on_with_what_happens_while_it_opens_and_after(parts: Openings) -> None:
    after = await _place(parts)
    await parts.rename("a", "A")
    parts.users.go.clear()
    async with parts.reading("alice", after) as stream:
        opening = stream.begin()
        await eventually(lambda: not parts.streams.is_empty)
        await parts.rename("b", "B")
        await parts.handed_out()
        parts.users.go.set()
        await opening
        assert [short(event) for event in await stream.until("caught_up")] == ["room_updated a A", "caught_up 0"]
        assert short(await stream.next()) == "room_updated b B"
        await parts.rename("c", "C")
        assert short(await stream.next()) == "room_updated c C"
        assert _of(stream).rooms_version == parts.streams.position


@pytest.mark.parametrize(
    "changed",
    [
        {"rooms_epoch": "another"},
        {"rooms_epoch": ""},
        {"rooms_version": 1_000},
        {"users_epoch": "another"},
        {"users_epoch": ""},
        {"users_version": 0},
    ],
)
async def test_a_position_of_which_nothing_is_known_begins_anew(parts: Openings, changed: dict[str, str | int]) -> None:
    after = replace(await _place(parts), **changed)  # type: ignore[arg-type]
    assert len(await _begun_anew(parts, after)) == 4


async def test_a_position_whose_changes_are_swept_begins_anew(parts: Openings, database: TestDatabase) -> None:
    after = await _place(parts)
    for name in ("A", "B"):
        await parts.rename("d", name)
    assert await _resumed(parts, after) == []
    with psycopg.connect(database.superuser_dsn) as connection:
        connection.execute("DELETE FROM rooms.changes WHERE version = %s", [after.rooms_version + 1])
        connection.execute("DELETE FROM rooms.changes WHERE version <= %s", [after.rooms_version])
    assert len(await _begun_anew(parts, after)) == 4
    # The one after that is the first that is kept.
    assert await _resumed(parts, after.moved_to(after.rooms_version + 1, after.users_version)) == []


async def test_where_more_was_missed_than_is_told_it_begins_anew(parts: Openings, database: TestDatabase) -> None:
    after = await _place(parts)
    with psycopg.connect(database.superuser_dsn) as connection:
        connection.execute(
            "INSERT INTO rooms.changes (version, kind, room_uid) SELECT %s + n, 5, %s FROM generate_series(1, %s) n",
            [after.rooms_version, parts.uids["a"], MOST_MISSED],
        )
        connection.execute("UPDATE rooms.change_counter SET version = version + %s", [MOST_MISSED])
    parts.feed.nudge()
    # A room that was changed many times is told once.
    assert await _resumed(parts, after) == ["room_updated a a"]
    await parts.rename("a", "A")
    assert len(await _begun_anew(parts, after)) == 4


@pytest.mark.parametrize(
    ("kind", "in_room", "of_user", "goes_on"),
    [
        (99, "a", None, False),
        (99, "d", None, True),
        (99, None, "alice", False),
        (99, None, None, False),
        # A room that the release before has deleted, whose members nobody knows.
        (6, "d", None, False),
        # One whose room nobody knows, because it was deleted then.
        (2, "d", "alice", False),
    ],
)
async def test_what_can_not_be_told_begins_anew_whomever_it_concerns(
    parts: Openings, database: TestDatabase, kind: int, in_room: str | None, of_user: str | None, goes_on: bool
) -> None:
    after = await _place(parts)
    with psycopg.connect(database.superuser_dsn) as connection:
        connection.execute("UPDATE rooms.change_counter SET version = version + 1")
        connection.execute(
            "INSERT INTO rooms.changes (version, kind, room_uid, user_id) VALUES (%s, %s, %s, %s)",
            [after.rooms_version + 1, kind, parts.uids[in_room] if in_room else None, of_user],
        )
    parts.feed.nudge()
    if goes_on:
        assert await _resumed(parts, after) == []
    else:
        assert len(await _begun_anew(parts, after)) == 4


async def test_changed_users_are_told_who_share_a_room_each_once(parts: Openings) -> None:
    after = await _place(parts)
    parts.users.frames.put_nowait([_updated(8, "bob"), _updated(9, "stranger"), _updated(10, "bob")])
    await parts.users_told(10)
    assert await _resumed(parts, after) == ["user_updated bob 10"]
    # Herself she has from the opening.
    parts.users.frames.put_nowait([_updated(11, "alice")])
    await parts.users_told(11)
    assert await _resumed(parts, after) == ["user_updated bob 10"]
    assert await _resumed(parts, after.moved_to(after.rooms_version, 10)) == []


async def test_changes_of_users_from_before_the_process_are_read_once_for_all(parts: Openings) -> None:
    after = await _place(parts)
    before = after.moved_to(after.rooms_version, 3)
    parts.users.earlier = [_updated(5, "bob"), _updated(6, "bob"), _updated(7, "stranger")]
    assert await _resumed(parts, before) == ["user_updated bob 6"]
    assert await _resumed(parts, before) == ["user_updated bob 6"]
    assert parts.users.followed_after == [0, 1]
    # Less far back needs nothing, and further back is not kept.
    assert await _resumed(parts, after.moved_to(after.rooms_version, 6)) == []
    assert parts.users.followed_after == [0, 1]


async def test_changes_of_users_that_are_not_kept_begin_anew(parts: Openings) -> None:
    after = (await _place(parts)).moved_to(4, 3)
    parts.users.earlier = [directory_pb2.DirectoryEvent(version=7, reset=directory_pb2.DirectoryReset())]
    assert len(await _begun_anew(parts, after)) == 4
    assert len(await _begun_anew(parts, after)) == 4
    # Nobody asks again.
    assert parts.users.followed_after == [0, 1, 3]


async def test_users_that_is_away_begins_anew(parts: Openings) -> None:
    after = (await _place(parts)).moved_to(4, 3)
    parts.users.earlier = Unavailable("SERVICE_UNAVAILABLE", "away")
    assert len(await _begun_anew(parts, after)) == 4


class _Client:
    """A client that goes and comes again, with what it knows."""

    def __init__(self, parts: Openings, who: str, chance: random.Random) -> None:
        self.resumed = 0
        self._parts = parts
        self._who = who
        self._chance = chance
        self._folded = Folded()
        self._place: UserPosition | None = None

    async def come(self, change: Callable[[], Awaitable[None]], mark: str) -> None:
        """Read a stream for a while, in which changes are made; sometimes to its end, where all must be known."""
        async with self._parts.reading(self._who, self._place) as stream:
            stream.folded = self._folded
            await change()
            opened = await stream.next()
            self.resumed += opened.opened.resumed
            if not opened.opened.resumed:
                self._place = None
            await change()
            if self._chance.random() < 0.7:
                await stream.until("caught_up")
            if self._chance.random() < 0.7:
                await self._parts.rename("mark", mark)
                while self._folded.name_of("mark") != mark:
                    await stream.next()
                assert self._folded.rooms == await self._parts.listed(self._who)
            if stream.position is not None:
                self._place = _of(stream)


async def test_whoever_goes_and_comes_again_at_random_folds_to_what_is_stored(parts: Openings) -> None:
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    users, rooms = ("alice", "bob", "carol"), ["a", "b", "c", "d"]
    await parts.create("mark", *users)

    async def change() -> None:
        for _ in range(chance.randrange(4)):
            await chance.choice((parts.add, parts.remove, parts.rename))(chance.choice(rooms), chance.choice(users))
        if chance.random() < 0.1:
            await parts.delete(rooms.pop(0))
            rooms.append(f"{chance.random()}")
            await parts.create(rooms[-1], chance.choice(users))

    clients = [_Client(parts, who, chance) for who in users]
    for number in range(_ROUNDS):
        await change()
        try:
            await chance.choice(clients).come(change, f"{number}")
        except BaseException as error:
            error.add_note(f"seed {seed}, round {number}")
            raise
    assert sum(client.resumed for client in clients) > _ROUNDS // 4, f"seed {seed}"
