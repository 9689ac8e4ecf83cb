"""WatchAccess: the changes of access, dense and in the order of commits, with a sign of life."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import grpc
import psycopg
import pytest
from chatkit.internal.access.v1 import access_service_pb2 as pb2
from chatkit.internal.access.v1.access_service_pb2_grpc import AccessServiceStub
from chatkit.rooms.v1 import memberships_service_pb2 as memberships_pb2
from chatkit.rooms.v1 import role_pb2
from chatkit.rooms.v1 import roles_service_pb2 as roles_pb2

from services.rooms.model import Change, ChangeKind
from services.rooms.recorded_changes import change_log
from services.rooms.settings import RoomsSettings
from services.runtime.data.change_feed import ChangeFeed
from services.runtime.data.change_log import ChangeStore, Head
from services.runtime.data.database import Database, create_engine
from tests.support.clock import ManualClock
from tests.support.databases import TestDatabase
from tests.support.eventually import HANG_SECONDS, eventually
from tests.support.nats import Nats
from tests.support.nats import running as running_nats
from tests.support.refusals import check, refused
from tests.support.suite import Suite, running
from tests.support.tokens import service, su, user


class _Feed:
    """An open WatchAccess."""

    def __init__(self, suite: Suite, after: int) -> None:
        stub = AccessServiceStub(suite.channel("rooms"))
        self.call = stub.WatchAccess(pb2.WatchAccessRequest(after_version=after), metadata=service("messages", "rooms"))
        self._events = self._read()

    async def next(self) -> pb2.AccessEvent:
        async with asyncio.timeout(HANG_SECONDS):
            return await anext(self._events)

    async def events(self, count: int) -> list[pb2.AccessEvent]:
        """Return so many events, passing heartbeats over."""
        seen: list[pb2.AccessEvent] = []
        # For all of them together, because heartbeats go on coming.
        async with asyncio.timeout(HANG_SECONDS):
            while len(seen) < count:
                event = await self.next()
                if not event.HasField("heartbeat"):
                    seen.append(event)
        return seen

    async def changes(self, count: int) -> list[tuple[int, str]]:
        """Return the versions and kinds of so many changes."""
        return [(event.version, str(event.WhichOneof("event"))) for event in await self.events(count)]

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
    await rooms.database.ordered("rooms")
    database = Database(create_engine(rooms.database.dsn("rooms")))
    assert await ChangeStore(database, change_log).sweep(timedelta()) == 5
    await database.close()
    feed = _Feed(rooms, 2)
    event = await feed.next()
    assert (event.version, event.WhichOneof("event")) == (6, "reset")
    await _add(rooms, "u9")
    assert await feed.changes(1) == [(7, "member_added")]
    feed.call.cancel()


async def test_a_quiet_feed_has_heartbeats_that_say_how_old_they_are(rooms: Suite) -> None:
    feed = _Feed(rooms, 0)
    elapsed = []
    for _ in range(3):
        event = await feed.next()
        assert event.WhichOneof("event") == "heartbeat"
        elapsed.append(event.heartbeat.elapsed_ms)
    feed.call.cancel()
    assert elapsed[0] == 0
    assert elapsed[2] >= elapsed[1] + 1000 >= elapsed[0] + 2000


async def test_whoever_comes_back_and_has_missed_nothing_is_told_so_at_once(rooms: Suite) -> None:
    feed = _Feed(rooms, 1)
    first = await feed.next()
    feed.call.cancel()
    assert (first.version, first.WhichOneof("event"), first.heartbeat.elapsed_ms) == (1, "heartbeat", 0)


async def _create(suite: Suite, scope: role_pb2.RoleScope, name: str) -> None:
    request = roles_pb2.CreateRoleRequest(scope=scope, name=name, permissions=["room:update"])
    await suite.roles.CreateRole(request, metadata=su())


async def test_it_tells_of_roles_and_who_has_them(rooms: Suite) -> None:
    everywhere, there = role_pb2.ROLE_SCOPE_GLOBAL, role_pb2.ROLE_SCOPE_ROOM
    feed = _Feed(rooms, 1)
    stub, metadata = rooms.roles, su()
    await _create(rooms, there, "guard")
    await rooms.assign("u1", "admin")
    await rooms.assign("u1", "guard", "lobby")
    changed = roles_pb2.UpdateRoleRequest(scope=everywhere, name="default", add_permissions=["room:update"])
    await stub.UpdateRole(changed, metadata=metadata)
    await stub.UnassignRole(roles_pb2.UnassignRoleRequest(user_id="u1", room_id="lobby"), metadata=metadata)
    await stub.UnassignRole(roles_pb2.UnassignRoleRequest(user_id="u1"), metadata=metadata)
    await stub.DeleteRole(roles_pb2.DeleteRoleRequest(scope=there, name="guard"), metadata=metadata)
    await _add(rooms, "u1")
    await _remove(rooms, "u1")
    events = await feed.events(9)
    feed.call.cancel()
    assert [event.version for event in events] == list(range(2, 11))
    assert [event.WhichOneof("event") for event in events] == [
        *("role_changed", "role_assigned", "role_assigned", "role_changed"),
        *("role_assigned", "role_assigned", "role_changed", "member_added", "member_removed"),
    ]
    guard, default = pb2.RoleName(scope=there, name="guard"), pb2.RoleName(scope=everywhere, name="default")
    assert [event.role_changed for event in events if event.HasField("role_changed")] == [guard, default, guard]
    added, removed = events[7].member_added, events[8].member_removed
    assert added == removed
    assert (added.user_id, added.room_id) == ("u1", "lobby")
    globally = pb2.RoleAssignment(user_id="u1", user_uid=added.user_uid)
    in_the_room = pb2.RoleAssignment(user_id="u1", user_uid=added.user_uid, room_uid=added.room_uid)
    assert [event.role_assigned for event in events if event.HasField("role_assigned")] == [
        *(globally, in_the_room, in_the_room, globally)
    ]


async def test_what_changes_nothing_has_no_version(rooms: Suite) -> None:
    stub, metadata = rooms.roles, su()
    await rooms.assign("u1", "admin")
    before = rooms.database.changes("rooms")
    await rooms.assign("u1", "admin")
    await stub.UnassignRole(roles_pb2.UnassignRoleRequest(user_id="u2"), metadata=metadata)
    await stub.UnassignRole(roles_pb2.UnassignRoleRequest(user_id="u1", room_id="lobby"), metadata=metadata)
    same = roles_pb2.UpdateRoleRequest(
        scope=role_pb2.ROLE_SCOPE_GLOBAL,
        name="default",
        add_permissions=["room:get"],
        remove_permissions=["room:delete"],
    )
    await stub.UpdateRole(same, metadata=metadata)
    protected = roles_pb2.DeleteRoleRequest(scope=role_pb2.ROLE_SCOPE_GLOBAL, name="default")
    await refused(stub.DeleteRole(protected, metadata=metadata), "ROLE_PROTECTED")
    unknown = roles_pb2.DeleteRoleRequest(scope=role_pb2.ROLE_SCOPE_ROOM, name="x")
    await refused(stub.DeleteRole(unknown, metadata=metadata), "ROLE_NOT_FOUND")
    assert rooms.database.changes("rooms") == before


async def test_changes_of_all_kinds_made_at_once_are_dense(rooms: Suite) -> None:
    await _create(rooms, role_pb2.ROLE_SCOPE_ROOM, "guard")
    feed = _Feed(rooms, 2)
    await asyncio.gather(
        *(_add(rooms, f"u{number}") for number in range(10)),
        *(rooms.assign(f"u{number}", "admin") for number in range(10)),
        *(rooms.assign(f"u{number}", "guard", "lobby") for number in range(10)),
    )
    assert [version for version, _ in await feed.changes(30)] == list(range(3, 33))
    feed.call.cancel()


async def test_what_another_release_recorded_is_told_as_well_as_can_be(rooms: Suite) -> None:
    feed = _Feed(rooms, 1)
    columns = "rooms.changes (version, kind, room_uid, user_uid)"
    with psycopg.connect(rooms.database.superuser_dsn) as connection:
        # The one before knew no ids of users, and the one after has kinds that are not known here.
        connection.execute(f"INSERT INTO {columns} VALUES (2, 2, gen_random_uuid(), gen_random_uuid())")
        connection.execute("INSERT INTO rooms.changes (version, kind) VALUES (3, 99)")
        connection.execute("UPDATE rooms.change_counter SET version = 3")
    removed, unknown = await feed.events(2)
    feed.call.cancel()
    assert (removed.version, removed.member_removed.user_id) == (2, "")
    assert removed.member_removed.room_id == ""
    assert (unknown.version, unknown.WhichOneof("event")) == (3, "reset")


class _Busy:
    """A store in which there is always one change more than was read."""

    def __init__(self) -> None:
        self.last = 0

    async def head(self) -> Head:
        return Head("one", self.last)

    async def after(self, version: int, _most: int) -> list[Change]:
        self.last += 1
        return [Change(version=number, kind=ChangeKind.MEMBER_ADDED) for number in range(version + 1, self.last)]

    async def sweep(self, _kept: timedelta) -> int:
        return 0


async def test_a_feed_that_never_rests_has_heartbeats_too() -> None:
    clock, store = ManualClock(), _Busy()
    feed: ChangeFeed[Change] = ChangeFeed(
        cast("Any", store), clock, poll_interval=0.25, heartbeat_interval=1.0, kept=timedelta(hours=1)
    )
    heartbeats: list[tuple[int, int]] = []
    told = 0
    async with asyncio.timeout(HANG_SECONDS), asyncio.TaskGroup() as group:
        running = group.create_task(feed.run())
        async for update in feed.follow(0):
            assert not update.is_reset
            if update.changes:
                assert update.changes[0].version == told + 1
                told = update.changes[-1].version
            else:
                assert update.version == told
                heartbeats.append((update.version, update.elapsed_ms))
            if len(heartbeats) == 4:
                break
            store.last += 1
            await clock.advance(0.25)
        running.cancel()
    assert [elapsed for _, elapsed in heartbeats] == [0, 1000, 2000, 3000]


async def _two_replicas(database: TestDatabase, folder: Path, nats: Nats, stack: AsyncExitStack) -> Suite:
    """Run two replicas of rooms that hardly look at the database; the second is the one that is called."""
    told: dict[str, Any] = {"nats": nats, "access_poll_interval_seconds": 3_600.0}
    suite = await stack.enter_async_context(running(database, folder, "users", "rooms", **told))
    await suite.make_users("alice", "u1")
    await suite.make_room("lobby", "alice")
    return suite


async def test_what_one_replica_changes_the_others_followers_are_told_at_once(
    database: TestDatabase, tmp_path: Path
) -> None:
    with running_nats(tmp_path) as nats:
        async with AsyncExitStack() as stack:
            suite = await _two_replicas(database, tmp_path, nats, stack)
            feed = _Feed(suite, 1)
            await feed.next()
            first = suite.servers["rooms"].address
            assert (await suite.start("rooms")).address != first
            # Two replicas of rooms, and users.
            await eventually(lambda: nats.subscriptions() == 3)
            await _add(suite, "u1")
            await _remove(suite, "u1")
            assert await feed.changes(2) == [(2, "member_added"), (3, "member_removed")]
            # What got lost is looked for when the bus is there again.
            nats.kill()
            await _add(suite, "u1")
            nats.start()
            assert await feed.changes(1) == [(4, "member_added")]
            feed.call.cancel()


async def test_without_the_bus_a_removal_is_told_within_the_interval_that_is_promised(rooms: Suite) -> None:
    promised = RoomsSettings.model_fields["access_poll_interval_seconds"].default
    assert promised <= 0.1
    feed = _Feed(rooms, 1)
    await feed.next()
    # A second replica, and nothing but the database connects the two.
    await rooms.start("rooms", access_poll_interval_seconds=3_600.0)
    await _add(rooms, "u1")
    await _remove(rooms, "u1")
    assert await feed.changes(2) == [(2, "member_added"), (3, "member_removed")]
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
    await rooms.database.ordered("rooms")
    await refused(stub.CheckAccess(request, metadata=user("alice")), "SERVICE_REQUIRED")
    await refused(stub.CheckAccess(request, metadata=service("messages", "users")), "TOKEN_INVALID")
    answer = await stub.CheckAccess(request, metadata=service("messages", "rooms"))
    assert (len(answer.room_uid), len(answer.user_uid), answer.version) == (16, 16, 1)
