"""One stream per device: what SubscribeRooms, SubscribeUser and SubscribePresence tell, together."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from chatkit.contract.v1 import error_reason_pb2
from chatkit.messages.v1 import messages_service_pb2 as messages_pb2
from chatkit.messages.v1 import read_states_service_pb2 as read_states_pb2
from chatkit.messages.v1 import room_event_pb2
from chatkit.rooms.v1 import memberships_service_pb2 as memberships_pb2
from chatkit.rooms.v1 import rooms_service_pb2 as rooms_pb2
from chatkit.sync.v1 import room_to_follow_pb2, sync_event_pb2
from chatkit.sync.v1 import sync_service_pb2 as pb2
from chatkit.users.v1 import users_service_pb2 as users_pb2

from tests.messages.chat import text
from tests.suite.devices import ONLINE, State, following, kinds, presence, room
from tests.suite.devices import user as user_part
from tests.support import tokens
from tests.support.clock import LeapingClock
from tests.support.databases import TestDatabase
from tests.support.eventually import eventually, until
from tests.support.figures import figures_of
from tests.support.nats import Nats
from tests.support.nats import running as running_nats
from tests.support.refusals import refused
from tests.support.suite import Suite, running
from tests.support.tokens import su, user

_READ_STATE = room_to_follow_pb2.ROOM_DETAIL_READ_STATE


@pytest.fixture
async def suite(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Suite]:
    """Run the services with three users and two rooms."""
    async with running(database, tmp_path, "users", "rooms", "messages", "files") as started:
        await started.make_users("alice", "bob", "carol")
        await started.make_room("lobby", "alice", "bob")
        await started.make_room("hall", "alice", "bob")
        yield started


async def _send(suite: Suite, content: str, room_id: str = "lobby", sender: str = "alice") -> int:
    request = text(content, f"{sender} {room_id} {content}", room_id)
    answer: messages_pb2.SendMessageResponse = await suite.messages.SendMessage(request, metadata=user(sender))
    return answer.message.seq


def _all(*watched: str, online: bool = False, state: State | None = None, **fields: Any) -> pb2.SubscribeRequest:
    """Return a request for all parts, from where a device stands."""
    rooms = [
        room(room_id, after=one.position) for room_id, one in (state.rooms if state else {}).items() if one.position
    ]
    return pb2.SubscribeRequest(
        rooms=rooms,
        follow_memberships=True,
        user=user_part(state.user_position if state else None),
        presence=presence(*watched, online=online),
        **fields,
    )


async def test_a_device_is_told_all_that_it_wants_on_one_stream(suite: Suite) -> None:
    await _send(suite, "before")
    async with following(suite.sync, _all("alice"), user("bob")) as device:
        seen = await device.until("caught_up")
        assert kinds(seen)[0] == ("opened",)
        assert kinds(seen).count(("caught_up",)) == 1
        state = device.state
        assert state.rooms["lobby"].messages == {1: "before"}
        assert state.members == {"lobby": {"alice", "bob"}, "hall": {"alice", "bob"}}
        assert state.presence == {"alice": 2}

        await _send(suite, "after")
        assert (await device.until("room.message_created"))[-1].room.message_created.parts[0].content == "after"
        await suite.make_room("attic", "carol", "bob")
        await device.until("user.added_to_room")
        assert state.members["attic"] == {"carol", "bob"}
        update = users_pb2.UpdateUserRequest(user_id="alice", name="Alice")
        await suite.users.UpdateUser(update, metadata=su())
        await device.until("user.user_updated")
        assert state.user.users["alice"].name == "Alice"
        async with following(suite.sync, _all(online=True), user("alice")) as other:
            await other.until("caught_up")
            await device.until("presence.presence_changed")
            assert state.presence == {"alice": ONLINE}


async def test_a_part_that_is_not_asked_for_is_not_told(suite: Suite) -> None:
    for request, told in (
        (pb2.SubscribeRequest(rooms=[room("lobby")]), {"room"}),
        (pb2.SubscribeRequest(user=user_part()), {"user"}),
        (pb2.SubscribeRequest(presence=presence("alice")), {"presence"}),
    ):
        async with following(suite.sync, request, user("bob")) as device:
            seen = await device.until("caught_up")
            assert {kind for (kind,) in kinds(seen)} - {"opened", "caught_up"} != set()
            assert {kind.split(".")[0] for (kind,) in kinds(seen)} - {"opened", "caught_up"} == told


async def test_whoever_asks_for_nothing_or_for_a_room_twice_is_told_so(suite: Suite) -> None:
    async with following(suite.sync, pb2.SubscribeRequest(), user("bob")) as device:
        await refused(anext(device._events), "FIELD_REQUIRED")
    async with following(suite.sync, pb2.SubscribeRequest(rooms=[room("lobby")] * 2), user("bob")) as device:
        await refused(anext(device._events), "FIELD_INVALID")


async def test_of_a_room_only_the_read_state_is_sent_where_that_is_asked_for(suite: Suite) -> None:
    await _send(suite, "before")
    request = pb2.SubscribeRequest(rooms=[room("lobby", detail=_READ_STATE), room("hall")])
    async with following(suite.sync, request, user("bob")) as device:
        seen = await device.until("caught_up")
        of_lobby = [str(event.room.WhichOneof("event")) for event in seen if event.room.room_id == "lobby"]
        assert of_lobby == ["opened", "read_state", "caught_up"]
        # No snapshot, for nothing follows it.
        (opened,) = [
            event.room.opened for event in seen if event.room.room_id == "lobby" and event.room.HasField("opened")
        ]
        assert opened == room_event_pb2.Opened(position=opened.position)
        assert opened.position.seq == 1
        await _send(suite, "unread")
        await _send(suite, "told", "hall")
        seen = []
        while not {("room.message_created",), ("room.read_state",)} <= set(kinds(seen)):
            seen.append(await device.next())
        (state,) = [event.room.read_state for event in seen if event.room.HasField("read_state")]
        assert (state.unread_count, state.last_message.parts[0].content) == (2, "unread")
        assert {event.room.room_id for event in seen if event.room.HasField("message_created")} == {"hall"}
        moved = read_states_pb2.SetReadCursorRequest(room_id="lobby", seq=1)
        await suite.read_states.SetReadCursor(moved, metadata=user("bob"))
        assert (await device.until("room.read_state"))[-1].room.read_state.unread_count == 1


async def test_a_room_that_is_not_open_to_the_user_is_closed_and_the_others_go_on(suite: Suite) -> None:
    await suite.make_room("secret", "alice", private=True)
    request = pb2.SubscribeRequest(rooms=[room("secret"), room("lobby")])
    async with following(suite.sync, request, user("bob")) as device:
        seen = await device.until("caught_up")
        (closed,) = [event.room for event in seen if event.room.HasField("closed")]
        assert (closed.room_id, _reason(closed.closed.reason)) == ("secret", "ROOM_ACCESS_DENIED")
        await _send(suite, "goes on")
        await device.until("room.message_created")


async def test_rooms_are_followed_and_left_on_an_open_stream(suite: Suite) -> None:
    async with following(suite.sync, pb2.SubscribeRequest(rooms=[room("lobby")]), user("bob")) as device:
        await device.until("caught_up")

        async def update(**fields: Any) -> None:
            request = pb2.UpdateSubscriptionRequest(stream_id=device.stream_id, **fields)
            await suite.sync.UpdateSubscription(request, metadata=user("bob"))

        await update(follow_rooms=[room("hall", last=0)])
        await device.until("room.caught_up")
        await _send(suite, "in the hall", "hall")
        assert (await device.until("room.message_created"))[-1].room.room_id == "hall"
        # As it is already: nothing comes of it. In another way: it begins anew.
        await update(follow_rooms=[room("lobby"), room("hall", detail=_READ_STATE)])
        assert [event.room.room_id for event in await device.until("room.caught_up")] == ["hall"] * 3
        await update(unfollow_room_ids=["lobby"])
        await _send(suite, "nobody hears it")
        await _send(suite, "counts", "hall")
        assert [event.room.room_id for event in await device.until("room.read_state")] == ["hall"]


async def test_only_the_streams_own_user_changes_it(suite: Suite) -> None:
    async with following(suite.sync, pb2.SubscribeRequest(rooms=[room("lobby")]), user("bob")) as device:
        await device.until("caught_up")
        for stream_id, who in ((device.stream_id, user("alice")), ("nothing", user("bob"))):
            request = pb2.UpdateSubscriptionRequest(stream_id=stream_id, unfollow_room_ids=["lobby"])
            await refused(suite.sync.UpdateSubscription(request, metadata=who), "STREAM_NOT_FOUND")
            renew = pb2.RenewTokenRequest(stream_id=stream_id)
            await refused(suite.sync.RenewToken(renew, metadata=who), "STREAM_NOT_FOUND")
        watch = pb2.UpdateSubscriptionRequest(stream_id=device.stream_id, watch_user_ids=["alice"])
        await refused(suite.sync.UpdateSubscription(watch, metadata=user("bob")), "FIELD_INVALID")


async def test_others_are_watched_and_no_longer_on_an_open_stream(suite: Suite) -> None:
    async with following(suite.sync, pb2.SubscribeRequest(presence=presence("alice")), user("bob")) as device:
        await device.until("caught_up")
        watch = pb2.UpdateSubscriptionRequest(stream_id=device.stream_id, watch_user_ids=["carol"])
        watch.unwatch_user_ids.append("alice")
        await suite.sync.UpdateSubscription(watch, metadata=user("bob"))
        await device.until("presence.presence")
        assert device.state.presence == {"alice": 2, "carol": 2}
        for who in ("alice", "carol"):
            async with following(suite.sync, pb2.SubscribeRequest(presence=presence(online=True)), user(who)) as other:
                await other.until("caught_up")
        assert (await device.until("presence.presence_changed"))[-1].presence.presence_changed.user_id == "carol"
        nobody = pb2.UpdateSubscriptionRequest(stream_id=device.stream_id, watch_user_ids=["nobody"])
        await refused(suite.sync.UpdateSubscription(nobody, metadata=user("bob")), "USER_NOT_FOUND")


async def test_a_device_that_comes_back_is_told_what_it_missed(suite: Suite) -> None:
    await _send(suite, "known")
    state = State()
    async with following(suite.sync, _all(), user("bob"), state) as device:
        await device.until("caught_up")
    await _send(suite, "missed")
    await suite.rooms.UpdateRoom(rooms_pb2.UpdateRoomRequest(room_id="hall", name="Hall"), metadata=su())
    left = memberships_pb2.LeaveRoomRequest(room_id="lobby")
    await suite.memberships.LeaveRoom(left, metadata=user("alice"))
    async with following(suite.sync, _all(state=state), user("bob"), state) as device:
        seen = await device.until("caught_up")
        of_user = [kind for (kind,) in kinds(seen) if kind.startswith("user.")]
        assert of_user == ["user.opened", "user.room_updated", "user.member_left", "user.caught_up"]
        assert state.user.is_resumed
        assert state.rooms["lobby"].messages == {1: "known", 2: "missed"}
        assert state.rooms["lobby"].seqs == [2]
        assert state.members["lobby"] == {"bob"}
        assert state.user.name_of("hall") == "Hall"


def _reason(number: int) -> str:
    return error_reason_pb2.ErrorReason.Name(number)


_LEAP_SECONDS = 12


async def test_a_token_is_renewed_on_an_open_stream_which_warns_before_its_end(
    database: TestDatabase, tmp_path: Path
) -> None:
    clock = LeapingClock()

    def lasting(seconds: float, who: str = "bob") -> tokens.Metadata:
        return tokens.bearer(tokens.token(who, ttl=timedelta(seconds=seconds), now=clock.now()))

    services = ("users", "rooms", "messages")
    async with running(database, tmp_path, *services, clock=clock, metrics_listen="127.0.0.1:0") as suite:
        await suite.make_users("alice", "bob")
        await suite.make_room("lobby", "alice", "bob")
        request = pb2.SubscribeRequest(rooms=[room("lobby")])

        async def is_known() -> bool:
            figures = await figures_of(suite.servers["messages"].metrics_address)
            return (figures("chatkit_access_proof_age_seconds") or 0) < _LEAP_SECONDS

        # However long a slow machine needs for all this, no token ends by it.
        clock.pass_at(0.1)
        # The stream warns of a quarter before the end: 30 s.
        async with following(suite.sync, request, lasting(120)) as device:
            await device.until("caught_up")

            async def wait(leaps: int) -> None:
                # Never so long that nobody knows of access any more.
                for _ in range(leaps):
                    clock.leap(_LEAP_SECONDS)
                    await until(is_known)

            await wait(7)
            clock.leap(6)
            warned = await device.until("token_expiring")
            renew = pb2.RenewTokenRequest(stream_id=device.stream_id)
            answer: pb2.RenewTokenResponse = await suite.sync.RenewToken(renew, metadata=lasting(120))
            assert answer.token_expire_time.ToDatetime() > warned[-1].token_expiring.expire_time.ToDatetime()
            # One that ends earlier changes nothing.
            again: pb2.RenewTokenResponse = await suite.sync.RenewToken(renew, metadata=lasting(60))
            assert again == answer
            await wait(7)
            await suite.messages.SendMessage(text("on", "on"), metadata=lasting(60, "alice"))
            await device.until("room.message_created")
            clock.leap(6)
            await device.until("token_expiring")
            await wait(1)
            clock.leap(18)
            closed = (await device.until("closed"))[-1].closed
            assert _reason(closed.reason) == "TOKEN_EXPIRED"
            await refused(suite.sync.RenewToken(renew, metadata=lasting(120)), "STREAM_NOT_FOUND")


async def test_while_a_service_is_away_its_part_is_behind_and_then_goes_on(
    database: TestDatabase, tmp_path: Path
) -> None:
    services = ("users", "rooms", "messages", "files")
    async with running(database, tmp_path, *services, heartbeat_interval_seconds=0.2) as suite:
        await suite.make_users("alice", "bob")
        await suite.make_room("lobby", "alice", "bob")
        async with following(suite.sync, _all("alice", online=True), user("bob")) as device:
            await device.until("caught_up")
            # Before rooms has heard of any user, there is no place among their changes to go on from.
            await suite.users.UpdateUser(users_pb2.UpdateUserRequest(user_id="alice", name="Alice"), metadata=su())
            await device.until("user.user_updated")

            async def behind(*parts: str) -> list[sync_event_pb2.SyncEvent]:
                seen = await device.until("heartbeat")
                while [sync_event_pb2.SyncPart.Name(part) for part in seen[-1].heartbeat.behind] != list(parts):
                    seen += await device.until("heartbeat")
                return seen

            await behind()
            await suite.stop("rooms")
            await behind("SYNC_PART_USER")
            await suite.start("rooms", listen=suite.address("rooms"))
            await suite.rooms.UpdateRoom(rooms_pb2.UpdateRoomRequest(room_id="lobby", name="Lobby"), metadata=su())
            seen = await behind()
            while device.state.user.name_of("lobby") != "Lobby":
                seen.append(await device.next())
            # Not the state anew.
            assert [event.user.opened.resumed for event in seen if event.user.HasField("opened")] == [True]
            await suite.stop("users")
            await behind("SYNC_PART_PRESENCE")
            # The others go on meanwhile.
            await _send(suite, "meanwhile")
            await device.until("room.message_created")
            await suite.start("users", listen=suite.address("users"))
            await behind()
            assert device.state.presence == {"alice": 2}


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[Nats]:
    """Run NATS."""
    with running_nats(tmp_path) as server:
        yield server


async def test_a_stream_is_changed_and_renewed_through_another_replica(
    database: TestDatabase, tmp_path: Path, nats: Nats
) -> None:
    async with running(database, tmp_path, "users", "rooms", "messages", nats=nats) as suite:
        await suite.make_users("alice", "bob")
        for room_id in ("lobby", "hall"):
            await suite.make_room(room_id, "alice", "bob")
        first = suite.sync
        await suite.start("messages")
        await eventually(lambda: nats.subscriptions() == 1 + 1 + 2 * 5)
        async with following(first, pb2.SubscribeRequest(rooms=[room("lobby")]), user("bob")) as device:
            await device.until("caught_up")
            update = pb2.UpdateSubscriptionRequest(stream_id=device.stream_id, follow_rooms=[room("hall")])
            await suite.sync.UpdateSubscription(update, metadata=user("bob"))
            assert (await device.until("room.caught_up"))[-1].room.room_id == "hall"
            renew = pb2.RenewTokenRequest(stream_id=device.stream_id)
            longer = tokens.bearer(tokens.token("bob", ttl=timedelta(hours=5)))
            answer: pb2.RenewTokenResponse = await suite.sync.RenewToken(renew, metadata=longer)
            assert answer.token_expire_time.ToDatetime(UTC) - datetime.now(UTC) > timedelta(hours=4)
            # Refusals come back as they are.
            watch = pb2.UpdateSubscriptionRequest(stream_id=device.stream_id, watch_user_ids=["alice"])
            await refused(suite.sync.UpdateSubscription(watch, metadata=user("bob")), "FIELD_INVALID")
            for who in ("alice", "bob"):
                request = pb2.RenewTokenRequest(stream_id=device.stream_id if who == "alice" else "nothing")
                await refused(suite.sync.RenewToken(request, metadata=user(who)), "STREAM_NOT_FOUND")
