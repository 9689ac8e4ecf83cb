"""How the changes of users are followed: nothing is lost, and what may have been lost ends the streams."""

import pytest
from chatkit.internal.directory.v1 import directory_service_pb2 as pb2
from chatkit.users.v1 import user_pb2

from services.runtime.contract.errors import Aborted, Unavailable, Unimplemented
from tests.rooms.user_streams.openings import FakeUsers, Openings, heartbeat, openings
from tests.rooms.user_streams.reading import short
from tests.support.databases import TestDatabase
from tests.support.eventually import eventually


def _updated(version: int, *user_ids: str) -> list[pb2.DirectoryEvent]:
    users = [user_pb2.User(id=user_id, name=f"{version}") for user_id in user_ids]
    return [pb2.DirectoryEvent(version=version, user_updated=one) for one in users]


async def _rooms(parts: Openings) -> None:
    await parts.create("a", "alice", "bob")
    await parts.create("b", "bob", "carol")


async def test_several_changes_in_a_frame_reach_whom_they_concern(database: TestDatabase) -> None:
    async with openings(database) as parts:
        await _rooms(parts)
        async with parts.reading("alice") as alice, parts.reading("carol") as carol:
            await alice.until("caught_up")
            await carol.until("caught_up")
            parts.users.frames.put_nowait(_updated(8, "alice", "carol", "stranger", "bob"))
            assert [short(await alice.next()) for _ in range(2)] == ["user_updated alice 8", "user_updated bob 8"]
            assert [short(await carol.next()) for _ in range(2)] == ["user_updated carol 8", "user_updated bob 8"]


async def test_it_goes_on_after_the_version_that_was_told_last_when_users_was_away(database: TestDatabase) -> None:
    async with openings(database) as parts:
        await _rooms(parts)
        async with parts.reading("alice") as alice:
            await alice.until("caught_up")
            parts.users.frames.put_nowait(_updated(9, "bob"))
            parts.users.frames.put_nowait(Unavailable("SERVICE_UNAVAILABLE", "away"))
            parts.users.frames.put_nowait(_updated(12, "bob"))
            assert [short(await alice.next()) for _ in range(2)] == ["user_updated bob 9", "user_updated bob 12"]
            assert parts.users.followed_after == [0, 9]


@pytest.mark.parametrize(
    "first",
    [
        # A users of the release before, or none: then one that is followed from its present version.
        Unimplemented("METHOD_NOT_FOUND", "not there yet"),
        # One of which nothing had been changed, and that can only be followed from the present again.
        [heartbeat(0)],
    ],
)
async def test_streams_from_before_users_was_followed_are_begun_anew(
    database: TestDatabase, first: Unimplemented | list[pb2.DirectoryEvent]
) -> None:
    async with openings(database, users=FakeUsers(first)) as parts:
        await _rooms(parts)
        async with parts.reading("alice") as alice:
            await alice.until("caught_up")
            if not isinstance(first, Exception):
                parts.users.frames.put_nowait(Unavailable("SERVICE_UNAVAILABLE", "away"))
            parts.users.frames.put_nowait([heartbeat(3)])
            await alice.until("closed")
            with pytest.raises(Aborted) as ended:
                await alice.next()
            assert (ended.value.reason, ended.value.retry_after is not None) == ("LOG_RESET", True)
        async with parts.reading("alice") as alice:
            await alice.until("caught_up")
            parts.users.frames.put_nowait(_updated(4, "bob"))
            assert short(await alice.next()) == "user_updated bob 4"


async def test_nothing_was_missed_where_nothing_has_changed(database: TestDatabase) -> None:
    async with openings(database, users=FakeUsers([heartbeat(0)])) as parts:
        await _rooms(parts)
        async with parts.reading("alice") as alice:
            await alice.until("caught_up")
            parts.users.frames.put_nowait(Unavailable("SERVICE_UNAVAILABLE", "away"))
            parts.users.frames.put_nowait([heartbeat(0)])
            parts.users.frames.put_nowait(_updated(1, "bob"))
            assert short(await alice.next()) == "user_updated bob 1"


async def test_changes_that_users_no_longer_has_end_the_streams(database: TestDatabase) -> None:
    async with openings(database) as parts:
        await _rooms(parts)
        async with parts.reading("alice") as alice:
            await alice.until("caught_up")
            parts.users.frames.put_nowait([pb2.DirectoryEvent(version=2, reset=pb2.DirectoryReset())])
            assert short((await alice.until("closed"))[-1]) == "closed"
        await eventually(lambda: parts.streams.is_empty)
