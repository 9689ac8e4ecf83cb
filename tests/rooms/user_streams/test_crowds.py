"""A crowd that comes at once is asked about together: it costs far fewer statements than there are followers."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from chatkit.internal.directory.v1 import directory_service_pb2 as directory_pb2
from chatkit.internal.feeds.v1 import feed_pb2
from chatkit.internal.feeds.v1 import user_feed_service_pb2 as pb2
from chatkit.rooms.v1 import rooms_service_pb2
from chatkit.rooms.v1.user_position_pb2 import UserPosition
from chatkit.users.v1 import user_pb2

from services.rooms.user_streams.missed_store import Missed
from tests.rooms.user_streams.openings import Openings, openings
from tests.rooms.user_streams.reading import short
from tests.support.databases import TestDatabase
from tests.support.eventually import HANG_SECONDS
from tests.support.statements import noting_statements

_CROWD = 300
_USERS = tuple(f"user {number}" for number in range(20))


def _is_about_members(statement: str) -> bool:
    return "rooms.memberships" in statement


@pytest.fixture
async def parts(database: TestDatabase) -> AsyncIterator[Openings]:
    """Run the parts, with a room of all users."""
    async with openings(database) as made:
        await made.create("all", *_USERS)
        await made.handed_out()
        yield made


async def _requests(after: UserPosition) -> AsyncIterator[pb2.FollowUsersRequest]:
    """Let a crowd of devices of all users follow from where they stand, with the access that users have."""
    followers = [
        feed_pb2.Follower(number=number, user_id=_USERS[number % len(_USERS)], token_time=4e9)
        for number in range(1, _CROWD + 1)
    ]
    yield pb2.FollowUsersRequest(follow=[pb2.UserFollower(follower=one, after=after) for one in followers])
    await asyncio.Event().wait()


async def _come(parts: Openings, after: UserPosition) -> dict[int, list[str]]:
    """Return, in short, what each of the crowd was told until all had caught up."""
    told: dict[int, list[str]] = {}
    async with asyncio.timeout(HANG_SECONDS), aclosing(parts.feeds.follow(_requests(after), lambda _: None)) as frames:
        while sum(events[-1].startswith("caught_up") for events in told.values()) < _CROWD:
            for one in pb2.FollowUsersResponse.FromString(await anext(frames)).events:
                if one.number:
                    events = rooms_service_pb2.SubscribeUserResponse.FromString(one.events).events
                    assert events[0].opened.resumed or not events[0].HasField("opened")
                    told.setdefault(one.number, []).extend(short(event) for event in events)
    return told


async def _place(parts: Openings) -> UserPosition:
    async with parts.reading(_USERS[0]) as stream:
        await stream.until("caught_up")
        assert stream.position is not None
        return stream.position


async def test_a_crowd_that_has_missed_nothing_costs_few_statements(parts: Openings) -> None:
    after = await _place(parts)
    await parts.create("others", "somebody else")
    await parts.handed_out()
    with noting_statements(_is_about_members) as about_users:
        told = await _come(parts, after)
    assert {tuple(event.split()[0] for event in events) for events in told.values()} == {("opened", "caught_up")}
    # What was missed, and whether they have the permission.
    assert len(about_users) < _CROWD // 4
    assert parts.store.states == 1


async def test_a_crowd_is_told_which_users_were_changed(parts: Openings) -> None:
    after = await _place(parts)
    changed = [
        directory_pb2.DirectoryEvent(version=8 + number, user_updated=user_pb2.User(id=user_id, name="new"))
        for number, user_id in enumerate(("stranger", "user 1"))
    ]
    parts.users.frames.put_nowait(changed)
    await parts.users_told(9)
    with noting_statements(_is_about_members) as about_users:
        told = await _come(parts, after)
    # Those whose device it is have it from the opening.
    updates = [sum(event.startswith("user_updated") for event in events) for events in told.values()]
    assert sorted(updates) == [0] * (_CROWD // len(_USERS)) + [1] * (_CROWD - _CROWD // len(_USERS))
    assert len(about_users) < _CROWD // 4


async def test_what_is_looked_up_together_is_what_is_looked_up_for_each(parts: Openings) -> None:
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    rooms = ["a", "b", "c"]
    users = _USERS[:5]
    for room_id in rooms:
        await parts.create(room_id, *chance.sample(users, 3))
    first = (await parts.changes.head()).version
    for number in range(30):
        match chance.randrange(8):
            case 0:
                await parts.delete(rooms.pop(0))
                rooms.append(f"room {number}")
                await parts.create(rooms[-1], *chance.sample(users, 2))
            case kind:
                change = (parts.add, parts.remove, parts.rename)[kind % 3]
                await change(chance.choice(rooms), chance.choice(users))
    last = (await parts.changes.head()).version
    asked = [(user_id, after) for user_id in (*users, "nobody") for after in (0, first - 1, *range(first, last + 2))]
    missed = parts.missed
    together: dict[tuple[str, int], Missed] = {}
    for some in range(0, len(asked), 50):
        together |= await missed.missed_together(asked[some : some + 50])
    assert together == {one: await missed.missed_alone(*one) for one in asked}, f"seed {seed}"
