"""Whatever comes and goes meanwhile, a follower is told each change of whom it watches, once. No database.

What is read is answered when the test says so, and the changes are handed on as far as it says so.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from chatkit.contract.v1 import error_reason_pb2, method_policy_pb2
from chatkit.internal.feeds.v1 import presence_feed_service_pb2 as pb2
from chatkit.users.v1 import presence_event_pb2 as event_pb2
from chatkit.users.v1 import presence_service_pb2

from services.runtime.access.port import AccessGrant, AccessQuery, RoleAssigned
from services.runtime.contract.errors import ChatkitError, PermissionDenied, Unavailable
from services.runtime.contract.policies import Limits
from services.runtime.data.change_feed import FeedUpdate
from services.runtime.data.coalesced_reads import CoalescedReads
from services.runtime.ids import NO_ROOM, UserId, UserUid
from services.users.model import Change, ChangeKind, Presence, Presences, PresenceState
from services.users.presence.access import PresenceAccess
from services.users.presence.followers import ChangeWatched, Follow, Leave, Order, PresenceFeeds
from services.users.presence.hub import PresenceHub
from services.users.presence.watching import Watching
from tests.support.clock import ManualClock
from tests.support.eventually import HANG_SECONDS
from tests.support.peers import user_uid_of as uid_of
from tests.users.presence.hand_feed import HandFeed, changes_of

_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
_USERS = tuple("abcdef")
_MOST_WATCHED = 4


class _Truth:
    """All changes of users, by their versions, which their times tell, too."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.told = 0

    def toggle(self, user_id: str) -> None:
        online = self.state(user_id) is PresenceState.ONLINE
        version = len(self.changes) + 1
        self.changes.append(
            Change(
                version=version,
                kind=ChangeKind.USER_OFFLINE if online else ChangeKind.USER_ONLINE,
                user_uid=uid_of(user_id),
                user_id=user_id,
                time=_EPOCH + timedelta(seconds=version),
            )
        )

    def versions(self, user_id: str) -> list[int]:
        return [change.version for change in self.changes if change.user_id == user_id]

    def state(self, user_id: str) -> PresenceState:
        return PresenceState.ONLINE if len(self.versions(user_id)) % 2 else PresenceState.OFFLINE

    def read(self, user_uids: Collection[UserUid]) -> Presences:
        found = {
            uid_of(user_id): Presence(self.state(user_id), _EPOCH + timedelta(seconds=versions[-1]))
            for user_id in _USERS
            if uid_of(user_id) in user_uids and (versions := self.versions(user_id))
        }
        return Presences(len(self.changes), found)


class _Gate:
    """Holds reads up until they may go on."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []
        self.is_open = True

    async def wait(self) -> None:
        if not self.is_open:
            self._waiting.append(asyncio.get_running_loop().create_future())
            await self._waiting[-1]

    def let_go(self) -> None:
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if not one.done():
                one.set_result(None)


class _Sessions:
    """Who is online by followers, without a database."""

    def __init__(self) -> None:
        self.online: Counter[str] = Counter()
        self.gate = _Gate()

    async def enter(self, _user_uid: UserUid, user_id: str) -> str:
        self.online[user_id] += 1
        await self.gate.wait()
        return user_id

    def leave(self, place: str) -> None:
        self.online[place] -= 1


class _Told:
    """What one follower was told, and what that must be."""

    def __init__(self, truth: _Truth) -> None:
        self._truth = truth
        # Whom it watches, by the changes that were answered, and the last version that it was told of each.
        self.known: dict[str, int] = {}
        # What becomes of changes of the watched, by their numbers, and whom each takes away.
        self.answers: dict[int, str] = {}
        self.gone: dict[int, set[str]] = {}
        self.refused = ""
        self.is_open = False

    def take(self, event: pb2.PresenceFeedEvent) -> None:
        kind = event.WhichOneof("event")
        assert not self.refused
        if kind == "refused":
            self.refused = error_reason_pb2.ErrorReason.Name(event.refused.reason)
        elif kind == "changed":
            self.answers[event.changed.change_number] = ""
            for user_id in self.gone[event.changed.change_number]:
                self.known.pop(user_id, None)
        elif kind == "not_changed":
            reason = error_reason_pb2.ErrorReason.Name(event.not_changed.refusal.reason)
            self.answers[event.not_changed.change_number] = reason
        else:
            for one in presence_service_pb2.SubscribePresenceResponse.FromString(event.events).events:
                self._take_event(one)

    def _take_event(self, event: event_pb2.PresenceEvent) -> None:
        match event.WhichOneof("event"):
            case "opened":
                assert not self.is_open
                self.is_open = True
            case "presence":
                self.known[event.presence.user_id] = _version(event.presence)
            case "presence_changed":
                user_id, version = event.presence_changed.user_id, _version(event.presence_changed)
                later = [one for one in self._truth.versions(user_id) if one > self.known[user_id]]
                assert later[0] == version, f"{user_id}: {version} after {self.known[user_id]}, and not {later[0]}"
                self.known[user_id] = version


def _version(presence: event_pb2.Presence) -> int:
    if not presence.HasField("change_time"):
        return 0
    return round((presence.change_time.ToDatetime(UTC) - _EPOCH).total_seconds())


class _World:
    """A feed, and everything that it needs."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.truth = _Truth()
        self.changes = HandFeed()
        self.gate = _Gate()
        self.sessions = _Sessions()
        self.refusal: ChatkitError | None = None
        self.away = False
        # Whose id another user has now.
        self.renamed: dict[str, str] = {}
        self.may_check = _Gate()
        self.checking = 0
        self.hub = PresenceHub(cast("Any", self.changes), self.clock, heartbeat_interval=15.0, retry_interval=0.5)
        self.access = PresenceAccess(self, self.hub, self.clock, retry_interval=0.5)
        self.users = CoalescedReads(self._resolve)
        self.presences = CoalescedReads(self._read)
        self.feeds = PresenceFeeds(
            watching=Watching(self.users, self.presences, self.hub, self.clock),
            sessions=cast("Any", self.sessions),
            hub=self.hub,
            access=self.access,
            limits=Limits({"WATCHED_USERS": _MOST_WATCHED}),
            clock=self.clock,
        )
        self.orders: asyncio.Queue[Order | None] = asyncio.Queue()
        self.told: dict[int, _Told] = {}
        self.heartbeats: list[int] = []
        self.goodbye: Callable[[ChatkitError], None] = lambda _: None
        self.error: ChatkitError | None = None
        self.may_read = _Gate()

    async def check(self, _query: AccessQuery) -> AccessGrant:
        self.checking += 1
        await self.may_check.wait()
        self.checking -= 1
        if self.refusal is not None:
            raise self.refusal
        return AccessGrant(1, None, None)

    async def _resolve(self, user_ids: Collection[str]) -> dict[str, UserUid]:
        await self.gate.wait()
        return {user_id: uid_of(self.renamed.get(user_id, user_id)) for user_id in user_ids}

    async def _read(self, user_uids: Collection[UserUid]) -> Presences:
        await self.gate.wait()
        if self.away:
            raise Unavailable("DATABASE_UNAVAILABLE", "away")
        state = self.truth.read(user_uids)
        # The answer is on its way while more is changed.
        await self.gate.wait()
        return state

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        works = [self.hub.run(), self.access.run(), self.users.run(), self.presences.run(), self._follow()]
        tasks = [asyncio.create_task(work) for work in works]
        try:
            async with asyncio.timeout(HANG_SECONDS):
                await self.changes.tell(FeedUpdate(0))
                yield
        finally:
            for task in tasks:
                task.cancel()
            for result in await asyncio.gather(*tasks, return_exceptions=True):
                assert isinstance(result, asyncio.CancelledError | None), result

    async def _follow(self) -> None:
        def on_end(goodbye: Callable[[ChatkitError], None]) -> None:
            self.goodbye = goodbye

        try:
            async with aclosing(self.feeds.follow(self._given(), on_end)) as frames:
                async for frame in frames:
                    await self.may_read.wait()
                    for event in pb2.FollowPresenceResponse.FromString(frame).events:
                        if event.number:
                            self.told[event.number].take(event)
                        else:
                            self.heartbeats.append(event.heartbeat.elapsed_ms)
        except ChatkitError as error:
            self.error = error

    async def _given(self) -> AsyncIterator[Order]:
        while (order := await self.orders.get()) is not None:
            yield order

    def follow(self, number: int, *watched: str, online: bool = False) -> _Told:
        query = AccessQuery(
            NO_ROOM, UserId(f"u{number}"), False, method_policy_pb2.MEMBERSHIP_NOT_REQUIRED, "presence:subscribe"
        )
        self.told[number] = _Told(self.truth)
        self.orders.put_nowait(Follow(number, f"u{number}", query, online, watched))
        return self.told[number]

    def change(self, number: int, change_number: int, watched: Sequence[str], unwatched: Sequence[str] = ()) -> None:
        self.told[number].gone[change_number] = set(unwatched) - set(watched)
        self.orders.put_nowait(ChangeWatched(number, change_number, watched, unwatched))

    async def hand_on(self, version: int) -> None:
        """Hand changes on, up to a version."""
        some = self.truth.changes[self.truth.told : version]
        if some:
            self.truth.told = some[-1].version
            await self.changes.tell(changes_of(*some))

    async def settle(self) -> None:
        """Let everything happen that can."""
        for _ in range(20):
            await self.clock.advance(0.004)


@pytest.fixture
def world() -> _World:
    """Lend what serves a feed."""
    return _World()


class _Story:
    """What happens by chance, and what followers must know in the end."""

    def __init__(self, world: _World, seed: int) -> None:
        self._world = world
        self._chance = random.Random(seed)
        self._steps = (
            [self._follow, self._leave, self._hand_on, self._let_reads_go] + [self._change] * 2 + [self._toggle] * 3
        )
        self._count = 0
        self.watched: dict[int, set[str]] = {}
        # Whose changes there were.
        self.changes: dict[int, int] = {}

    async def go_on(self) -> None:
        """Let something happen."""
        self._count += 1
        await self._chance.choice(self._steps)()
        if self._chance.random() < 0.5:
            await self._world.settle()

    async def end(self) -> None:
        """Let everything end that has begun, and be told."""
        self._world.gate.is_open = True
        for _ in range(50):
            self._world.gate.let_go()
            await self._world.settle()
        await self._world.hand_on(len(self._world.truth.changes))
        await self._world.settle()

    async def _follow(self) -> None:
        if len(self.watched) < 4:
            self.watched[self._count] = set(self._some(_MOST_WATCHED))
            self._world.follow(self._count, *self.watched[self._count], online=self._chance.random() < 0.5)

    async def _leave(self) -> None:
        if self.watched and self._chance.random() < 0.3:
            number = self._chance.choice([*self.watched])
            del self.watched[number]
            self._world.orders.put_nowait(Leave(number))

    async def _change(self) -> None:
        if self.watched:
            number, added, gone = self._chance.choice([*self.watched]), self._some(3), self._some(3)
            self._world.change(number, self._count, added, gone)
            self.changes[self._count] = number
            after = self.watched[number] - set(gone) | set(added)
            if len(after) <= _MOST_WATCHED:
                self.watched[number] = after

    async def _hand_on(self) -> None:
        truth = self._world.truth
        await self._world.hand_on(self._chance.randint(truth.told, len(truth.changes)))

    async def _let_reads_go(self) -> None:
        self._world.gate.is_open = self._chance.random() < 0.5
        self._world.gate.let_go()

    async def _toggle(self) -> None:
        self._world.truth.toggle(self._chance.choice(_USERS))

    def _some(self, most: int) -> list[str]:
        return self._chance.sample(_USERS, self._chance.randint(0, most))


@pytest.mark.parametrize("seed", range(15))
async def test_every_change_of_the_watched_is_told_once_whatever_comes_and_goes(world: _World, seed: int) -> None:
    story = _Story(world, seed)
    async with world.running():
        for _ in range(150):
            await story.go_on()
        await story.end()
        for number, watched in story.watched.items():
            told = world.told[number]
            assert told.known == {user_id: max(world.truth.versions(user_id), default=0) for user_id in watched}
            assert set(told.answers) == {change for change, of in story.changes.items() if of == number}
            assert set(told.answers.values()) <= {"", "QUOTA_EXCEEDED"}
        assert len(world.hub.subscriptions()) == len(story.watched)
        topics = {topic.user_id for one in world.hub.subscriptions() for topic in one.topics}
        assert topics == set().union(*story.watched.values())
    assert world.error is None


async def test_who_leaves_while_their_state_is_read_is_forgotten(world: _World) -> None:
    async with world.running():
        world.gate.is_open = False
        world.follow(1, "a", online=True)
        await world.settle()
        world.orders.put_nowait(Leave(1))
        await world.settle()
        world.gate.is_open = True
        world.gate.let_go()
        await world.settle()
        world.truth.toggle("a")
        await world.hand_on(1)
        await world.settle()
        assert world.hub.subscriptions() == []
        assert not world.told[1].is_open
        # Whoever is gone already does not come.
        assert "u1" not in world.sessions.online


async def test_who_leaves_while_they_come_online_does_not_stay_so(world: _World) -> None:
    async with world.running():
        world.sessions.gate.is_open = False
        world.follow(1, online=True)
        await world.settle()
        assert world.sessions.online["u1"] == 1
        world.orders.put_nowait(Leave(1))
        await world.settle()
        world.sessions.gate.let_go()
        await world.settle()
        assert not +world.sessions.online
        assert world.hub.subscriptions() == []


async def test_who_has_just_left_when_the_feed_ends_does_not_stay_online(world: _World) -> None:
    async with world.running():
        world.sessions.gate.is_open = False
        world.follow(1, "a", online=True)
        await world.settle()
        world.gate.is_open = False
        world.sessions.gate.let_go()
        await world.settle()
        world.orders.put_nowait(Leave(1))
        await world.settle()
        assert world.sessions.online["u1"] == 1
        world.goodbye(Unavailable("SHUTTING_DOWN", "the end"))
        await world.settle()
        assert not +world.sessions.online
        assert world.hub.subscriptions() == []


async def test_changes_that_were_missed_refuse_those_who_watch_and_no_others(world: _World) -> None:
    async with world.running():
        watching, online = world.follow(1, "a", online=True), world.follow(2, online=True)
        await world.settle()
        assert world.sessions.online.total() == 2
        await world.changes.tell(FeedUpdate(9, is_reset=True))
        await world.settle()
        assert (watching.refused, online.refused) == ("LOG_RESET", "")
        assert +world.sessions.online == Counter({"u2": 1})
        again = world.follow(3, "a")
        await world.settle()
        assert again.known == {"a": 0}


async def test_a_follower_whose_role_has_changed_goes_on_until_rooms_has_said_no(world: _World) -> None:
    async with world.running():
        one, other = world.follow(1, "a", online=True), world.follow(2, "a", online=True)
        await world.settle()
        world.refusal = Unavailable("SERVICE_UNAVAILABLE", "away")
        world.access.changed(RoleAssigned(UserId("u1"), None))
        await world.settle()
        assert one.refused == ""
        world.refusal = PermissionDenied("PERMISSION_MISSING", "no")
        await world.clock.advance(0.5)
        await world.settle()
        assert (one.refused, other.refused) == ("PERMISSION_MISSING", "")
        assert +world.sessions.online == Counter({"u2": 1})


async def test_a_database_that_is_away_refuses_what_is_new_and_nothing_else(world: _World) -> None:
    async with world.running():
        one = world.follow(1, "a")
        await world.settle()
        world.away = True
        world.change(1, 1, ["b"], ["a"])
        refused = world.follow(2, "a", online=True)
        await world.settle()
        assert one.answers == {1: "DATABASE_UNAVAILABLE"}
        assert refused.refused == "DATABASE_UNAVAILABLE"
        assert [topic.user_id for one in world.hub.subscriptions() for topic in one.topics] == ["a"]
        assert not +world.sessions.online
        world.truth.toggle("b")
        world.truth.toggle("a")
        await world.hand_on(2)
        await world.settle()
        assert one.known == {"a": 2}


async def test_an_id_that_is_another_users_now_is_watched_anew(world: _World) -> None:
    async with world.running():
        one = world.follow(1, "a")
        await world.settle()
        world.renamed["a"] = "f"
        world.change(1, 1, ["a"])
        await world.settle()
        (subscription,) = world.hub.subscriptions()
        assert [topic.user_uid for topic in subscription.topics] == [uid_of("f")]
        assert one.answers == {1: ""}


async def test_who_does_not_read_ends_the_feed_and_everybody_on_it(world: _World) -> None:
    async with world.running():
        for number in range(1, 4):
            world.follow(number, "a", online=True)
        await world.settle()
        world.may_read.is_open = False
        world.truth.toggle("a")
        await world.hand_on(1)
        await world.settle()
        world.truth.toggle("a")
        await world.hand_on(2)
        await world.clock.advance(20)
        assert world.sessions.online.total() == 3
        await world.clock.advance(2)
        world.may_read.let_go()
        await world.settle()
        assert world.error is not None
        assert world.error.reason == "SLOW_CONSUMER"
        assert world.hub.subscriptions() == []
        assert not +world.sessions.online


async def test_heartbeats_say_until_when_all_was_told_and_cease_with_the_database(world: _World) -> None:
    async with world.running():
        await world.clock.advance(3.5)
        await world.changes.tell(FeedUpdate(0, elapsed_ms=3_000))
        await world.clock.advance(2.5)
        assert world.heartbeats == [3_000]
        await world.changes.tell(FeedUpdate(0, elapsed_ms=5_500))
        await world.clock.advance(30)
        assert world.heartbeats == [3_000, 5_500]


async def test_very_many_are_opened_so_many_at_once(world: _World) -> None:
    async with world.running():
        world.may_check.is_open = False
        for number in range(1, 1_001):
            world.follow(number, "a", online=True)
        await world.settle()
        assert world.checking == 200
        world.may_check.is_open = True
        world.may_check.let_go()
        while world.sessions.online.total() < 1_000:
            await world.settle()


async def test_states_wait_for_a_reader_who_takes_those_of_others(world: _World) -> None:
    async with world.running():
        world.may_read.is_open = False
        for number in range(1, 1_501):
            world.follow(number, *(user_id * 150 for user_id in _USERS[:4]))
        begun = -1
        while begun < (begun := sum(bool(one.topics) for one in world.hub.subscriptions())):
            await world.settle()
        # Each has more than 600 bytes, of the 256 KiB that may wait and a frame that is on its way.
        assert 300 < begun < 600
        world.may_read.is_open = True
        world.may_read.let_go()
        while not all(told.is_open for told in world.told.values()):
            await world.settle()


async def test_no_more_is_read_than_may_wait(world: _World) -> None:
    async with world.running():
        world.gate.is_open = False
        many = [f"{number}" for number in range(1_000)]
        world.follow(1)
        for change_number in range(30):
            world.change(1, change_number, many)
        await world.settle()
        # The one that is asked to wait was read.
        assert world.orders.qsize() == 30 - 20
        world.gate.is_open = True
        world.gate.let_go()
        while len(world.told[1].answers) < 30:
            await world.settle()


async def test_what_should_not_happen_ends_the_feed(world: _World) -> None:
    async with world.running():
        one = world.follow(1, online=True)
        await world.settle()
        world.refusal = cast("Any", RuntimeError("a mistake"))
        world.follow(2)
        await world.settle()
        assert one.is_open
        assert world.error is not None
        assert world.error.reason == "INTERNAL"
        assert not +world.sessions.online
