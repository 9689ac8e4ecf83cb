"""WatchAccess: the changes of memberships, dense and in the order of commits, with a sign of life."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import grpc
import pytest
from chatkit.internal.access.v1 import access_service_pb2 as pb2
from chatkit.internal.access.v1.access_service_pb2_grpc import AccessServiceStub
from chatkit.rooms.v1 import memberships_service_pb2 as memberships_pb2

from services.rooms.changes import ChangeStore
from services.runtime.database import Database, create_engine
from tests.support.refusals import check, refused
from tests.support.suite import Suite
from tests.support.tokens import service, user

_SECONDS = 20.0


class _Feed:
    """An open WatchAccess."""

    def __init__(self, suite: Suite, after: int) -> None:
        stub = AccessServiceStub(suite.channel("rooms"))
        self.call = stub.WatchAccess(pb2.WatchAccessRequest(after_version=after), metadata=service("messages", "rooms"))
        self._events = self._read()

    async def next(self) -> pb2.AccessEvent:
        async with asyncio.timeout(_SECONDS):
            return await anext(self._events)

    async def changes(self, count: int) -> list[tuple[int, str]]:
        """Return so many changes, passing heartbeats over."""
        seen: list[tuple[int, str]] = []
        while len(seen) < count:
            event = await self.next()
            kind = event.WhichOneof("event")
            if kind != "heartbeat":
                seen.append((event.version, str(kind)))
        return seen

    async def _read(self) -> AsyncIterator[pb2.AccessEvent]:
        async for frame in self.call:
            for event in frame.events:
                yield event


@pytest.fixture
async def rooms(suite: Suite) -> Suite:
    """Run the suite with a room of one and some users."""
    await suite.make_users("alice", *(f"u{number}" for number in range(20)))
    await suite.make_room("lobby", "alice")
    return suite


async def _add(suite: Suite, user_id: str) -> None:
    request = memberships_pb2.AddMembersRequest(room_id="lobby", user_ids=[user_id])
    await suite.memberships.AddMembers(request, metadata=user("alice"))


async def _remove(suite: Suite, user_id: str) -> None:
    request = memberships_pb2.RemoveMembersRequest(room_id="lobby", user_ids=[user_id, "nobody"])
    await suite.memberships.RemoveMembers(request, metadata=user("alice"))


async def test_it_starts_at_the_present_and_tells_what_changes(rooms: Suite) -> None:
    feed = _Feed(rooms, 0)
    first = await feed.next()
    assert (first.version, first.WhichOneof("event")) == (1, "heartbeat")
    await _add(rooms, "u1")
    await _remove(rooms, "u1")
    await _remove(rooms, "u1")
    await _add(rooms, "u2")
    assert await feed.changes(3) == [(2, "member_added"), (3, "member_removed"), (4, "member_added")]
    feed.call.cancel()


async def test_it_goes_on_after_a_version(rooms: Suite) -> None:
    for number in range(5):
        await _add(rooms, f"u{number}")
    feed = _Feed(rooms, 3)
    assert await feed.changes(3) == [(4, "member_added"), (5, "member_added"), (6, "member_added")]
    feed.call.cancel()


async def test_changes_made_at_once_are_dense(rooms: Suite) -> None:
    feed = _Feed(rooms, 1)
    await asyncio.gather(*(_add(rooms, f"u{number}") for number in range(20)))
    assert [version for version, _ in await feed.changes(20)] == list(range(2, 22))
    feed.call.cancel()


async def test_a_version_that_was_never_given_or_is_swept_is_a_reset(rooms: Suite) -> None:
    feed = _Feed(rooms, 1_000)
    event = await feed.next()
    assert (event.version, event.WhichOneof("event")) == (1, "reset")
    feed.call.cancel()
    for number in range(5):
        await _add(rooms, f"u{number}")
    database = Database(create_engine(rooms.database.dsn("rooms")))
    assert await ChangeStore(database).sweep(timedelta()) == 5
    await database.close()
    feed = _Feed(rooms, 2)
    event = await feed.next()
    assert (event.version, event.WhichOneof("event")) == (6, "reset")
    await _add(rooms, "u9")
    assert await feed.changes(1) == [(7, "member_added")]
    feed.call.cancel()


async def test_a_quiet_feed_has_heartbeats(rooms: Suite) -> None:
    feed = _Feed(rooms, 0)
    for _ in range(3):
        assert (await feed.next()).WhichOneof("event") == "heartbeat"
    feed.call.cancel()


async def test_a_drain_ends_it_with_a_reason(rooms: Suite) -> None:
    feed = _Feed(rooms, 0)
    await feed.next()
    await rooms.stop("rooms")
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await feed.changes(1)
    check(ended.value, "SHUTTING_DOWN")


async def test_it_is_for_services_only(rooms: Suite) -> None:
    stub = AccessServiceStub(rooms.channel("rooms"))
    request = pb2.CheckAccessRequest(room_id="lobby", user_id="alice")
    await refused(stub.CheckAccess(request, metadata=user("alice")), "SERVICE_REQUIRED")
    await refused(stub.CheckAccess(request, metadata=service("messages", "users")), "TOKEN_INVALID")
    answer = await stub.CheckAccess(request, metadata=service("messages", "rooms"))
    assert (len(answer.room_uid), len(answer.user_uid), answer.version) == (16, 16, 1)
