"""Kept answers about access: what may be kept, and that none is used beyond the guarantee."""

import os
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest
from chatkit.contract.v1 import method_policy_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from services.runtime.access.cache import AccessCache, Asked, Freshness, PeerTime
from services.runtime.access.port import (
    AccessChange,
    AccessGrant,
    AccessQuery,
    MembershipChanged,
    RoleAssigned,
    RoleChanged,
    RoleKey,
    RoomDeleted,
)
from services.runtime.ids import RoomId, UserId, UserUid
from tests.support.clock import ManualClock
from tests.support.peers import room_uid_of, user_uid_of

PATIENCE, LIFETIME = 30.0, 300.0
DEFAULT, READER = (1, "default"), (2, "reader")
_BOB = UserId("bob")
REQUIRED = method_policy_pb2.MEMBERSHIP_REQUIRED


def _query(user_id: UserId | None = _BOB, room_id: str = "lobby", **fields: bool) -> AccessQuery:
    membership = REQUIRED if room_id else method_policy_pb2.MEMBERSHIP_NOT_REQUIRED
    return AccessQuery(RoomId(room_id), user_id, fields.get("superuser", False), membership, "room:messages:get")


def _removed(user_id: str = "bob", room_id: str = "lobby") -> MembershipChanged:
    return MembershipChanged(room_uid_of(room_id), user_uid_of(user_id), UserId(user_id), is_member=False)


class _Kept:
    """A cache that follows from version 10, and what stands around it."""

    def __init__(self, **sizes: Any) -> None:
        self.clock = ManualClock()
        self.cache = AccessCache(self.clock, Freshness(self.clock, PATIENCE), lifetime=LIFETIME, **sizes)
        self.time = PeerTime(self.clock)
        self.cache.hear(10, self.clock.monotonic())

    def grant(self, query: AccessQuery, version: int, *roles: RoleKey) -> AccessGrant:
        room_uid = room_uid_of(query.room_id) if query.room_id else None
        user_uid = user_uid_of(query.user_id) if query.user_id and query.room_id else None
        return AccessGrant(version, room_uid, user_uid, roles or (DEFAULT,))

    def keep(self, query: AccessQuery, version: int, *roles: RoleKey, asked: Asked | None = None) -> bool:
        """Keep an answer, and return whether it can be used."""
        self.cache.keep(query, self.grant(query, version, *roles), asked or self.cache.asking())
        return self.has(query)

    def has(self, query: AccessQuery) -> bool:
        return self.cache.find(query) is not None


@pytest.fixture
def kept() -> _Kept:
    return _Kept()


def test_an_answer_is_used_again_for_the_same_question_only(kept: _Kept) -> None:
    assert kept.keep(_query(), 10)
    assert kept.cache.find(_query()) == kept.grant(_query(), 10)
    for other in (_query(UserId("alice")), _query(room_id="other"), _query(superuser=True), _query(room_id="")):
        assert not kept.has(other)


def test_an_answer_from_before_the_changes_were_followed_is_not_kept(kept: _Kept) -> None:
    assert not kept.keep(_query(), 9)
    fresh = AccessCache(kept.clock, Freshness(kept.clock, PATIENCE), lifetime=LIFETIME)
    fresh.keep(_query(), kept.grant(_query(), 10), fresh.asking())
    assert len(fresh) == 0


@pytest.mark.parametrize(
    "change",
    [
        _removed(),
        RoleAssigned(UserId("bob"), None),
        RoleAssigned(UserId("bob"), room_uid_of("lobby")),
        RoleChanged(DEFAULT),
    ],
)
def test_a_change_drops_what_depends_on_it_and_nothing_else(kept: _Kept, change: AccessChange) -> None:
    alice = _query(UserId("alice"))
    kept.keep(_query(), 10, DEFAULT, READER)
    kept.keep(alice, 10, READER)
    assert kept.cache.take(11, change)
    assert (kept.has(_query()), kept.has(alice)) == (False, True)
    assert kept.keep(_query(), 11)


def test_a_deleted_room_has_no_answer_any_more_whoever_asks_and_others_do(kept: _Kept) -> None:
    superuser, elsewhere = _query(None, superuser=True), _query(room_id="other")
    for query in (_query(), superuser, elsewhere):
        kept.keep(query, 10)
    assert kept.cache.take(11, RoomDeleted(room_uid_of("lobby")))
    assert (kept.has(_query()), kept.has(superuser), kept.has(elsewhere)) == (False, False, True)
    # Not even one that was under way, or is newer.
    assert not kept.keep(_query(), 12)


def test_of_very_many_deleted_rooms_none_has_an_answer() -> None:
    kept = _Kept(most_changes=2)
    asked = kept.cache.asking()
    for version, room_id in enumerate(("lobby", "b", "c"), 11):
        kept.keep(_query(room_id=room_id), 10)
        kept.cache.take(version, RoomDeleted(room_uid_of(room_id)))
    for room_id in ("lobby", "b", "c"):
        assert not kept.keep(_query(room_id=room_id), 13, asked=asked)
    assert kept.keep(_query(room_id="d"), 13)


def test_what_happens_in_one_room_leaves_answers_about_others(kept: _Kept) -> None:
    elsewhere, nowhere = _query(room_id="other"), _query(room_id="")
    for query in (_query(), elsewhere, nowhere):
        kept.keep(query, 10)
    kept.cache.take(11, _removed())
    assert (kept.has(_query()), kept.has(elsewhere), kept.has(nowhere)) == (False, True, True)
    kept.cache.take(12, RoleAssigned(UserId("bob"), None))
    assert (kept.has(elsewhere), kept.has(nowhere)) == (False, False)


@pytest.mark.parametrize("change", [_removed(), RoleAssigned(UserId("bob"), None), RoleChanged(DEFAULT)])
def test_an_answer_that_arrives_after_its_own_invalidation_is_not_kept(kept: _Kept, change: AccessChange) -> None:
    asked = kept.cache.asking()
    kept.cache.take(11, change)
    assert not kept.keep(_query(), 10, asked=asked)
    assert kept.keep(_query(UserId("alice")), 10, READER, asked=asked)
    # An answer that has seen the change may be kept, also when it was asked for before the change arrived.
    assert kept.keep(_query(), 11, asked=asked)


def test_a_lost_invalidation_is_noticed_by_the_next_event_or_heartbeat(kept: _Kept) -> None:
    kept.keep(_query(), 10)
    assert not kept.cache.take(12, _removed("alice"))
    assert not kept.has(_query())
    kept.keep(_query(), 12)
    assert kept.cache.hear(12, 0.0)
    assert kept.has(_query())
    assert not kept.cache.hear(13, 0.0)
    assert not kept.has(_query())


@pytest.mark.parametrize("version", [9, 10, 12])
def test_a_version_that_is_not_the_next_drops_everything(kept: _Kept, version: int) -> None:
    kept.keep(_query(), 10)
    asked = kept.cache.asking()
    assert not kept.cache.take(version, RoleAssigned(UserId("carol"), None))
    assert len(kept.cache) == 0
    # What was under way then may be of another database; what is asked now is not.
    assert not kept.keep(_query(), 20, asked=asked)
    assert kept.keep(_query(), version)
    assert not kept.keep(_query(UserId("alice")), version - 1)


def test_what_is_not_understood_drops_everything(kept: _Kept) -> None:
    kept.keep(_query(), 10)
    assert not kept.cache.take(11, None)
    assert len(kept.cache) == 0
    kept.keep(_query(), 11)
    kept.cache.take(12, MembershipChanged(room_uid_of("other"), user_uid_of("carol"), UserId(""), is_member=True))
    assert len(kept.cache) == 0
    kept.keep(_query(), 12)
    kept.cache.reset(13)
    assert len(kept.cache) == 0


def test_nothing_is_used_thirty_seconds_after_the_last_heartbeat(kept: _Kept) -> None:
    kept.keep(_query(), 10)
    kept.clock.jump(29.9)
    assert kept.has(_query())
    kept.clock.jump(0.1)
    assert not kept.has(_query())
    assert not kept.keep(_query(UserId("alice")), 10)
    kept.cache.hear(10, kept.clock.monotonic())
    # What had been kept is good again, because nothing has changed; what came meanwhile was not kept.
    assert (kept.has(_query()), kept.has(_query(UserId("alice")))) == (True, False)


def test_nothing_is_used_five_minutes_after_it_was_asked_for(kept: _Kept) -> None:
    asked = kept.cache.asking()
    kept.clock.jump(2)
    kept.keep(_query(), 10, asked=asked)
    for _ in range(297):
        kept.clock.jump(1)
        kept.cache.hear(10, kept.clock.monotonic())
    assert kept.has(_query())
    kept.clock.jump(1)
    assert not kept.has(_query())
    assert kept.keep(_query(), 10)


def test_heartbeats_that_lay_in_the_socket_of_a_stopped_process_are_as_old_as_they_are(kept: _Kept) -> None:
    kept.keep(_query(), 10)
    kept.cache.hear(10, kept.time.moment(1.0))
    kept.clock.jump(60)
    assert not kept.has(_query())
    for elapsed in range(2, 31):
        kept.cache.hear(10, kept.time.moment(elapsed))
        assert not kept.has(_query())
    # The removal comes in its place among them, before one that would make answers usable again.
    kept.cache.take(11, _removed())
    for elapsed in range(31, 61):
        kept.cache.hear(11, kept.time.moment(elapsed))
        assert not kept.has(_query())
    assert kept.cache.freshness.is_fresh()


def test_not_even_the_first_heartbeat_of_a_stream_is_taken_for_younger_than_the_stream() -> None:
    clock = ManualClock()
    time = PeerTime(clock)
    clock.jump(60)
    assert time.moment(0.0) == 0.0
    # A peer whose clock runs faster does not get ahead of ours.
    assert time.moment(100.0) == 60.0
    assert time.moment(101.0) <= 60.0


def test_rooms_restarted_goes_on_by_version_or_begins_anew(kept: _Kept) -> None:
    kept.keep(_query(), 10)
    kept.keep(_query(UserId("alice")), 10)
    kept.clock.jump(5)
    # The new stream replays what came after version 10.
    time = PeerTime(kept.clock)
    assert kept.cache.take(11, _removed())
    assert kept.cache.hear(11, time.moment(0.0))
    assert (kept.has(_query()), kept.has(_query(UserId("alice")))) == (False, True)
    # The next one can't.
    kept.cache.reset(50)
    assert not kept.has(_query(UserId("alice")))
    assert kept.cache.take(51, _removed())
    assert kept.keep(_query(UserId("alice")), 50)


def test_what_only_a_rooms_visibility_allows_is_not_kept(kept: _Kept) -> None:
    unless_public = method_policy_pb2.MEMBERSHIP_REQUIRED_UNLESS_PUBLIC
    query = AccessQuery(
        RoomId("lobby"), UserId("carol"), superuser=False, membership=unless_public, permission="room:get"
    )
    kept.cache.keep(query, AccessGrant(10, room_uid_of("lobby"), None), kept.cache.asking())
    assert len(kept.cache) == 0
    kept.cache.keep(query, AccessGrant(10, room_uid_of("lobby"), user_uid_of("carol")), kept.cache.asking())
    assert len(kept.cache) == 1


def test_the_least_recently_used_answer_makes_room() -> None:
    kept = _Kept(most_entries=3)
    users = ["u1", "u2", "u3"]
    for user_id in users:
        kept.keep(_query(UserId(user_id)), 10)
    assert kept.has(_query(UserId("u1")))
    kept.keep(_query(UserId("u4")), 10)
    assert [kept.has(_query(UserId(user_id))) for user_id in (*users, "u4")] == [True, False, True, True]
    for number in range(100):
        kept.keep(_query(UserId(f"v{number}")), 10)
    assert len(kept.cache) == 3
    assert len(kept.cache._dependants) == 4


def test_an_answer_that_is_given_again_is_kept_as_it_is_now_and_as_the_newest() -> None:
    kept = _Kept(most_entries=2)
    kept.keep(_query(), 10, READER)
    kept.keep(_query(UserId("alice")), 10)
    assert kept.keep(_query(), 10)
    # It no longer depends on the role that it had.
    assert READER not in kept.cache._dependants
    kept.keep(_query(UserId("carol")), 10)
    assert (kept.has(_query()), kept.has(_query(UserId("alice")))) == (True, False)


def test_before_anything_has_happened_answers_are_kept_and_stay_when_something_does() -> None:
    kept = _Kept()
    kept.cache.reset(0)
    alice = _query(UserId("alice"))
    assert kept.keep(_query(), 0)
    assert kept.keep(alice, 0, READER)
    assert kept.cache.take(1, RoleChanged(DEFAULT))
    assert (kept.has(_query()), kept.has(alice)) == (False, True)


def test_changes_from_before_rooms_was_put_back_void_no_later_answer(kept: _Kept) -> None:
    kept.keep(_query(), 10)
    for version, change in ((11, RoleChanged(DEFAULT)), (12, RoleAssigned(UserId("bob"), None))):
        assert kept.cache.take(version, change)
    kept.cache.reset(5)
    assert kept.keep(_query(), 5)


def test_more_changes_of_roles_than_are_remembered_drop_everything() -> None:
    kept = _Kept(most_changes=3)
    roles = [(number, "role") for number in range(5)]
    for number, role in enumerate(roles):
        kept.keep(_query(UserId(f"u{number}")), 10, role)
    for version, role in enumerate(roles[:3], 11):
        kept.cache.take(version, RoleChanged(role))
    assert kept.has(_query(UserId("u4")))
    kept.cache.take(14, RoleChanged(roles[3]))
    assert len(kept.cache) == 0
    assert kept.keep(_query(UserId("u3")), 14, roles[3])


def test_nothing_is_sent_until_all_have_found_out_whom_their_changes_concern() -> None:
    freshness = Freshness(ManualClock(), PATIENCE)
    assert not freshness.is_held
    freshness.hold()
    assert freshness.is_held
    freshness.hold()
    freshness.release()
    assert freshness.is_held
    freshness.release()
    assert not freshness.is_held


def test_an_answer_older_than_the_changes_that_are_remembered_is_not_kept() -> None:
    kept = _Kept(most_changes=3)
    for number in range(5):
        kept.cache.take(11 + number, _removed(f"u{number}"))
    # The changes 11 and 12 are forgotten: an answer from before 12 may not have seen one of its own.
    assert not kept.keep(_query(UserId("u0")), 10)
    assert not kept.keep(_query(), 11)
    assert kept.keep(_query(), 12)
    assert not kept.keep(_query(UserId("u2")), 12)
    assert kept.keep(_query(UserId("u2")), 13)


# The guarantee, against a model: whoever is let in by a kept answer had access some moment ago, at the most 30 s.

USERS = ("alice", "bob")


class _World:
    """Rooms, the network and one cache; every step may come at any time."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.cache = AccessCache(
            self.clock, Freshness(self.clock, PATIENCE), lifetime=LIFETIME, most_entries=2, most_changes=2
        )
        # Rooms: who is a member, whether the role grants it, all changes, and when each user last had access.
        self.version = 10
        self.members = set(USERS)
        self.role_grants = True
        self.log: list[tuple[int, AccessChange | None]] = []
        self.allowed_until = dict.fromkeys(USERS, float("inf"))
        # What is on its way: a change, the age of a heartbeat, or a reset; and answers.
        self.feed: deque[tuple[int, AccessChange | float | str | None]] = deque()
        self.answers: list[tuple[AccessQuery, AccessGrant, Asked]] = []
        self.asked_at: dict[UUID, float] = {}
        self.connect(0)
        self.heartbeat(0)
        self.deliver(0)

    def membership_changes(self, choice: int) -> None:
        user_id = USERS[choice % 2]
        self.members ^= {user_id}
        recorded = UserId(user_id if choice % 8 < 6 else "")
        self._change(
            MembershipChanged(room_uid_of("lobby"), user_uid_of(user_id), recorded, is_member=user_id in self.members)
        )

    def role_changes(self, _choice: int) -> None:
        self.role_grants = not self.role_grants
        self._change(RoleChanged(DEFAULT))

    def something_new_ends_access(self, choice: int) -> None:
        self.members.discard(USERS[choice % 2])
        self._change(None)

    def heartbeat(self, _choice: int) -> None:
        self.feed.append((self.version, self.clock.monotonic() - self.opened_at))

    def connect(self, choice: int) -> None:
        """Open the feed, as after a restart of either side: what was on its way comes again, or is known to be lost."""
        self.opened_at = self.clock.monotonic()
        self.time = PeerTime(self.clock)
        self.feed.clear()
        known = self.cache.version or self.version
        if choice % 4 == 3:
            self.feed.append((self.version, "reset"))
        else:
            self.feed.extend((version, change) for version, change in self.log if version > known)

    def deliver(self, choice: int) -> None:
        for _ in range(min(choice % 4 + 1, len(self.feed))):
            version, event = self.feed.popleft()
            if isinstance(event, float):
                self.cache.hear(version, self.time.moment(event))
            elif isinstance(event, str):
                self.cache.reset(version)
            else:
                self.cache.take(version, event)

    def lose(self, _choice: int) -> None:
        if self.feed:
            self.feed.popleft()

    def pass_time(self, choice: int) -> None:
        self.clock.jump((0.1, 1.0, 5.0, 20.0, 29.0, 31.0, 150.0, 301.0)[choice % 8])

    def ask(self, choice: int) -> None:
        user_id = USERS[choice % 2]
        if self.allows(user_id):
            # With a uid of its own, so that a hit tells which answer it is.
            uid = UserUid(uuid4())
            query, asked = _query(UserId(user_id)), self.cache.asking()
            self.asked_at[uid] = asked.time
            self.answers.append((query, AccessGrant(self.version, room_uid_of("lobby"), uid, (DEFAULT,)), asked))

    def answer(self, choice: int) -> None:
        if self.answers:
            self.cache.keep(*self.answers.pop(choice % len(self.answers)))

    def allows(self, user_id: str) -> bool:
        return user_id in self.members and self.role_grants

    def check(self) -> int:
        """Hold every answer that would be used now against the guarantee; return how many there are."""
        now, hits = self.clock.monotonic(), 0
        for user_id in USERS:
            grant = self.cache.find(_query(UserId(user_id)))
            if grant is not None and grant.user_uid is not None:
                hits += 1
                assert now - self.allowed_until[user_id] < PATIENCE
                assert now - self.asked_at[grant.user_uid] < LIFETIME
        assert len(self.cache) <= 2
        return hits

    def _change(self, change: AccessChange | None) -> None:
        self.version += 1
        self.log.append((self.version, change))
        self.feed.append((self.version, change))
        for user_id in USERS:
            if self.allows(user_id):
                self.allowed_until[user_id] = float("inf")
            elif self.allowed_until[user_id] == float("inf"):
                self.allowed_until[user_id] = self.clock.monotonic()


# All of them take half a minute.
_EXAMPLES = 1_500 if os.environ.get("CI") == "true" else 500
# The more often a step is named, the more often it is taken.
STEPS: list[Callable[[_World, int], None]] = [
    *[_World.ask, _World.answer, _World.heartbeat, _World.deliver] * 4,
    *[_World.pass_time, _World.membership_changes, _World.lose] * 2,
    *[_World.role_changes, _World.something_new_ends_access, _World.connect],
]


@settings(max_examples=_EXAMPLES)
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 7)), min_size=20, max_size=50))
def test_nobody_is_let_in_beyond_the_guarantee(steps: list[tuple[Callable[[_World, int], None], int]]) -> None:
    world = _World()
    for step, choice in steps:
        step(world, choice)
        world.check()


def test_the_model_has_answers_to_judge() -> None:
    random = Random(1)
    hits = 0
    for _ in range(200):
        world = _World()
        for _ in range(40):
            random.choice(STEPS)(world, random.randrange(8))
            hits += world.check()
    assert hits > 1_000
