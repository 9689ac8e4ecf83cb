"""Who is told what of a batch of changes: the index by itself."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, cast

from chatkit.rooms.v1 import rooms_service_pb2 as pb2
from chatkit.users.v1 import user_pb2

from services.rooms.model import Change, ChangeKind, Room, RoomView, Visibility
from services.rooms.user_streams.frames import Event
from services.rooms.user_streams.index import UserIndex
from services.rooms.user_streams.position import Present
from services.rooms.user_streams.streams import UserStreams
from services.rooms.user_streams.subscription import UserStream, UserSubscription
from services.runtime.contract.errors import Aborted
from services.runtime.data.change_feed import ChangeFeed, FeedUpdate
from services.runtime.identity.tokens import Caller
from services.runtime.ids import RoomId, UserId
from services.runtime.streaming.state_budget import StateBudget
from tests.rooms.user_streams.reading import short
from tests.support.clock import ManualClock
from tests.support.peers import room_uid_of, user_uid_of
from tests.support.turns import Turns

_TIME = datetime(2026, 1, 2, tzinfo=UTC)
_A, _B = room_uid_of("a"), room_uid_of("b")


def _change(version: int, kind: ChangeKind, room_id: str, user_id: str | None = None) -> Change:
    user_uid = user_uid_of(user_id) if user_id is not None else None
    return Change(
        version=version,
        kind=kind,
        room_uid=room_uid_of(room_id),
        user_uid=user_uid,
        user_id=UserId(user_id) if user_id is not None else None,
        time=_TIME,
    )


def _added(version: int, room_id: str, user_id: str) -> Change:
    return _change(version, ChangeKind.MEMBER_ADDED, room_id, user_id)


def _removed(version: int, room_id: str, user_id: str) -> Change:
    return _change(version, ChangeKind.MEMBER_REMOVED, room_id, user_id)


def _updated(version: int, room_id: str) -> Change:
    return _change(version, ChangeKind.ROOM_UPDATED, room_id)


def _deleted(version: int, room_id: str) -> Change:
    return _change(version, ChangeKind.ROOM_DELETED, room_id)


def _view(room_id: str, *members: str) -> RoomView:
    room = Room(
        uid=room_uid_of(room_id),
        id=RoomId(room_id),
        name="Now",
        visibility=Visibility.PUBLIC,
        custom_data=None,
        creator_id=UserId("x"),
        member_count=len(members),
        revision=1,
        create_time=_TIME,
        update_time=_TIME,
    )
    return RoomView(room, members)


def _index() -> UserIndex[UserSubscription]:
    return UserIndex(Present().of_change)


def _subscribed(index: UserIndex[UserSubscription], user_id: str, *room_ids: str, version: int = 0) -> UserStream:
    caller = Caller(UserId(user_id), superuser=False, service=None, expire_time=datetime(2100, 1, 1, tzinfo=UTC))
    subscription = UserStream(user_id, None, caller, ManualClock(), StateBudget(1))
    subscription.version = version
    subscription.start([], Event(b""))
    index.join(subscription, [(room_uid_of(room_id), RoomId(room_id)) for room_id in room_ids])
    return subscription


async def _told(subscription: UserStream) -> Sequence[str]:
    subscription.queue.end(Aborted("LOG_RESET", "the end"))
    told: list[str] = []
    with suppress(Aborted):
        async for frame in subscription.queue.frames():
            told.extend(short(event) for event in pb2.SubscribeUserResponse.FromString(frame).events)
    return told


async def test_updates_of_a_room_in_one_batch_are_one_event_and_none_for_who_left_between() -> None:
    index = _index()
    alice, bob, carol = (_subscribed(index, user_id, "a") for user_id in ("alice", "bob", "carol"))
    batch = [_updated(1, "a"), _removed(2, "a", "bob"), _updated(3, "a"), _removed(4, "a", "carol")]
    assert index.wanted(batch).rooms == {_A}
    assert index.wanted(batch).with_members == set()
    index.deliver(batch, {_A: _view("a", "alice")})
    assert await _told(alice) == ["member_left a bob", "room_updated a Now", "member_left a carol"]
    assert await _told(bob) == ["removed_from_room a"]
    assert await _told(carol) == ["member_left a bob", "room_updated a Now", "removed_from_room a"]


async def test_a_room_is_not_shown_to_who_is_out_of_it_again() -> None:
    index = _index()
    alice, bob = _subscribed(index, "alice", "a"), _subscribed(index, "bob")
    batch = [_added(1, "a", "bob"), _updated(2, "a"), _removed(3, "a", "bob")]
    assert index.wanted(batch).with_members == {_A}
    index.deliver(batch, {_A: _view("a", "alice")})
    assert await _told(alice) == ["member_joined a bob", "room_updated a Now", "member_left a bob"]
    assert await _told(bob) == []


async def test_who_is_back_in_a_room_is_shown_it_each_time() -> None:
    index = _index()
    bob = _subscribed(index, "bob", "a")
    index.deliver([_removed(1, "a", "bob"), _added(2, "a", "bob"), _added(3, "a", "carol")], {_A: _view("a", "bob")})
    assert await _told(bob) == ["removed_from_room a", "added_to_room a bob", "member_joined a carol"]


async def test_everyone_in_a_deleted_room_is_told_once_and_follows_it_no_more() -> None:
    index = _index()
    alice, bob, carol = (_subscribed(index, user_id, "a", "b") for user_id in ("alice", "bob", "carol"))
    carol.version = 2
    batch = [_removed(1, "a", "bob"), _deleted(2, "a"), _updated(3, "a"), _removed(4, "b", "carol")]
    assert index.wanted(batch).rooms == {_A}
    index.deliver(batch, {})
    assert _A not in alice.rooms
    assert await _told(alice) == ["member_left a bob", "room_deleted a", "member_left b carol"]
    assert await _told(bob) == ["removed_from_room a", "member_left b carol"]
    # Whose state is of a later version did not have it.
    assert await _told(carol) == ["removed_from_room b"]


async def test_others_in_a_room_are_told_that_a_member_was_deleted() -> None:
    index = _index()
    alice, bob = _subscribed(index, "alice", "a"), _subscribed(index, "bob", "a", "b")
    index.deliver([_change(1, ChangeKind.MEMBER_DELETED, "a", "bob")], {})
    assert await _told(alice) == ["user_deleted bob", "member_left a bob"]
    assert await _told(bob) == ["removed_from_room a"]


async def test_a_subscription_is_told_what_came_after_its_state_in_every_room() -> None:
    index = _index()
    early, late = _subscribed(index, "alice", "a", version=1), _subscribed(index, "alice", "a", "b", version=3)
    batch = [_added(1, "a", "bob"), _added(2, "b", "alice"), _added(3, "b", "bob"), _added(4, "b", "carol")]
    index.deliver(batch, {_B: _view("b", "alice", "bob", "carol")})
    assert await _told(early) == ["added_to_room b alice,bob,carol", "member_joined b bob", "member_joined b carol"]
    assert await _told(late) == ["member_joined b carol"]


async def test_who_has_left_the_process_is_nowhere_in_the_index() -> None:
    index = _index()
    alice, bob = _subscribed(index, "alice", "a", "b"), _subscribed(index, "bob", "b")
    assert index.neighbours("carol", [_A, _B]) == {alice, bob}
    index.leave(alice)
    assert index.neighbours("alice", [_A, _B]) == {bob}
    index.leave(bob)
    index.leave(bob)
    assert index.is_empty
    assert index.wanted([_updated(1, "a"), _added(2, "b", "bob")]).rooms == set()


async def test_very_many_streams_are_told_and_ended_in_steps() -> None:
    present, clock = Present(), ManualClock()
    index: UserIndex[UserSubscription] = UserIndex(present.of_change)
    streams = UserStreams(
        _Silent(),
        cast("Any", None),
        cast("Any", None),
        index,
        present,
        clock,
        heartbeat_interval=15.0,
        retry_interval=1.0,
    )
    members = [_subscribed(index, f"user {number}", "a") for number in range(500)]
    async with Turns() as turns:
        running = asyncio.create_task(streams.run())
        telling = asyncio.create_task(streams.tell(user_pb2.User(id="user 0"), 1, [_A]))
        await asyncio.sleep(0)
        # Others run before all are told.
        assert 0 < sum(len(one.queue._waiting) > 1 for one in members) < len(members)
        await telling
        assert [len(one.queue._waiting) for one in members] == [2] * 500
        streams.end_all()
        assert (members[0].queue.error is None, all(one.queue.error is not None for one in members)) == (False, False)
        await turns.until(lambda: all(one.queue.error is not None for one in members))
        running.cancel()


class _Silent(ChangeFeed[Change]):
    """A feed that tells nothing."""

    def __init__(self) -> None:
        """Need nothing."""

    async def follow(self, _after: int, _epoch: object = None) -> AsyncIterator[FeedUpdate[Change]]:
        await asyncio.Event().wait()
        yield FeedUpdate(0)
