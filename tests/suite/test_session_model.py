"""Random operations of several users, and sessions of the Python client over ways that break off.

Whenever nothing moves, every session is live and shows what the unary calls say, and so does a program that looks only
at what it was told of. Meanwhile connections are cut, tokens end within seconds and are not always to be had, wishes
are changed, several at once, and NATS is killed, all at random.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from chatkit.users.v1 import users_service_pb2 as users_pb2

from chatkit_client import (
    Change,
    ChangeKind,
    ChatkitError,
    ConnectionState,
    ConnectionStatus,
    Pending,
    Reason,
    RoomView,
    Session,
    connect,
)
from chatkit_client.types import RoomDetail
from tests.rooms.user_streams.reading import listed
from tests.suite.world import ROOMS, SEED, USERS, World, messages_of, presence_of, read_states_of, rounds, two_replicas
from tests.support import tokens
from tests.support.databases import TestDatabase
from tests.support.edge import running_edge
from tests.support.eventually import HANG_SECONDS, answered, until
from tests.support.nats import Nats
from tests.support.relay import Relay
from tests.support.suite import Suite
from tests.support.tokens import su

_LIFETIME = timedelta(seconds=5)
# Few, so that rooms begin anew now and then, have older messages, and let some go.
_LAST, _WINDOW = 5, 10
_LIVE = ConnectionState(ConnectionStatus.LIVE)
_ALL, _READ_STATE = RoomDetail.ROOM_DETAIL_EVENTS, RoomDetail.ROOM_DETAIL_READ_STATE
_ENTRIES = {ChangeKind.MESSAGE_CREATED, ChangeKind.MESSAGE_CHANGED, ChangeKind.MESSAGE_DELETED}
_OF_MESSAGES = {*_ENTRIES, ChangeKind.ROOM_RESET, ChangeKind.HISTORY_LOADED, ChangeKind.PENDING}
_OF_DESCRIPTION = {
    *(ChangeKind.ROOM_ADDED, ChangeKind.ROOM_CHANGED, ChangeKind.ROOM_REMOVED),
    *(ChangeKind.MEMBER_JOINED, ChangeKind.MEMBER_LEFT),
}


class _Screen:
    """A program that shows a session, and looks again only at what a change is about."""

    def __init__(self, session: Session) -> None:
        self.rooms: dict[str, Any] = {}
        self.messages: dict[str, dict[int, str]] = {}
        self.read_states: dict[str, tuple[int, int]] = {}
        self.presence: dict[str, int] = {}
        self.names: dict[str, str] = {}
        self.pending: dict[str, tuple[Pending, ...]] = {}
        # What was told and should not have been.
        self.faults: list[str] = []
        self.entries = self.resets = 0
        # The seq of each room's last entry, or that with which it began.
        self._told: dict[str, int] = {}
        self._session = session
        session.on_change(self._look)

    def _look(self, change: Change) -> None:
        self._count(change)
        room = next((room for room in self._session.rooms() if room.id == change.room_id), None)
        if change.kind in _OF_DESCRIPTION:
            _put(self.rooms, change.room_id, description_of(room) if room is not None else None)
        elif change.kind in _OF_MESSAGES:
            _put(self.messages, change.room_id, contents_of(room) if room is not None else None)
            _put(self.pending, change.room_id, (room.pending or None) if room is not None else None)
        elif change.kind is ChangeKind.READ_STATE:
            _put(self.read_states, change.room_id, read_state_of(room) if room is not None else None)
        elif change.kind is ChangeKind.PRESENCE:
            presence = self._session.presence(change.user_id)
            _put(self.presence, change.user_id, presence.state if presence is not None else None)
        elif change.kind is ChangeKind.USER:
            one = self._session.user(change.user_id)
            _put(self.names, change.user_id, one.name if one is not None else None)

    def _count(self, change: Change) -> None:
        """Hold that each entry of a log comes once and in order after the room has begun."""
        if change.kind is ChangeKind.ROOM_RESET:
            self.resets += 1
            self._told[change.room_id] = change.seq
        elif change.kind in _ENTRIES:
            self.entries += 1
            before = self._told.get(change.room_id)
            if before is None or change.seq != before + 1:
                self.faults.append(f"{change.room_id}: {change.seq} came after {before}")
            self._told[change.room_id] = change.seq
        elif change.kind in {ChangeKind.MISSED, ChangeKind.CLOSED, ChangeKind.PART_CLOSED}:
            self.faults.append(f"{change}")


def _put(shown: dict[str, Any], key: str, value: object) -> None:
    """Show something, or nothing any more."""
    if value is None:
        shown.pop(key, None)
    else:
        shown[key] = value


def description_of(room: RoomView) -> Any:
    """Return a room's description and its members, None where the user is none of them."""
    return (room.room, sorted(room.member_ids)) if room.room is not None else None


def contents_of(room: RoomView) -> dict[int, str]:
    """Return the messages that are shown."""
    return {message.seq: message.parts[0].content for message in room.messages}


def read_state_of(room: RoomView) -> tuple[int, int] | None:
    """Return the user's cursor, and how much is unread."""
    return (room.read_state.cursor.seq, room.read_state.unread_count) if room.read_state is not None else None


class _User:
    """Somebody with a session, who wishes this and that."""

    def __init__(self, who: str, session: Session, relay: Relay, chance: random.Random) -> None:
        self.who = who
        self.session = session
        self.relay = relay
        self.screen = _Screen(session)
        self.watched = set(chance.sample(USERS, 2))
        # The rooms that they want to hear nothing of, and those of which no more than what is unread.
        self.unfollowed: set[str] = set()
        self.brief: set[str] = set()
        self.sent = 0
        self._chance = chance

    def cut(self) -> None:
        self.relay.cut()

    def go_away(self) -> None:
        """Lose the connection, and have no other one before `come_back`."""
        self.relay.is_open = False
        self.relay.cut()

    def come_back(self) -> None:
        self.relay.is_open = True

    async def wish(self) -> None:
        """Do something that a user may do."""
        room_id = self._chance.choice(ROOMS)
        doing: Callable[[str], Awaitable[None]] = self._chance.choice(
            (self._follow, self._follow, self._unfollow, self._watch, self._send, self._read, self._load)
        )
        try:
            await doing(room_id)
        except ChatkitError as error:
            if error.is_passing:
                # It is so slow that nobody knows what became of it: the next stream asks for it.
                self.cut()
            elif error.reason != Reason.ROOM_ACCESS_DENIED:
                raise

    async def _follow(self, room_id: str) -> None:
        detail = self._chance.choice((_ALL, _ALL, _READ_STATE))
        self.unfollowed.discard(room_id)
        self.brief.discard(room_id)
        if detail == _READ_STATE:
            self.brief.add(room_id)
        await self.session.follow(room_id, detail)

    async def _unfollow(self, room_id: str) -> None:
        self.unfollowed.add(room_id)
        await self.session.unfollow(room_id)

    async def _watch(self, _room_id: str) -> None:
        who = self._chance.choice(USERS)
        self.watched ^= {who}
        if who in self.watched:
            try:
                await self.session.watch([who])
            except ChatkitError:
                self.watched.discard(who)
                raise
        else:
            self.screen.presence.pop(who, None)
            await self.session.unwatch([who])

    async def _send(self, room_id: str) -> None:
        self.sent += 1
        request_id = f"{self.who}-{self.sent}-{id(self)}"
        try:
            await self.session.send(room_id, f"{request_id} says", request_id=request_id)
        except ChatkitError:
            self.session.discard(room_id, request_id)
            raise

    async def _read(self, room_id: str) -> None:
        if any(room.id == room_id and room.messages for room in self.session.rooms()):
            await self.session.set_read_cursor(room_id)

    async def _load(self, room_id: str) -> None:
        await self._load_older(room_id, 3)

    async def load_all(self) -> None:
        """Read every room from its beginning."""
        for room in self.session.rooms():
            while await self._load_older(room.id, 100):
                pass

    async def _load_older(self, room_id: str, count: int) -> int:
        try:
            return await self.session.load_older(room_id, count)
        except ValueError:
            # Its messages are not followed.
            return 0


async def _stored(suite: Suite, one: _User) -> dict[str, Any]:
    """Return what the unary calls say of everything that somebody follows, of messages those that are shown."""
    rooms = await listed(suite, one.who)
    full, views = _full(one, rooms), {room.id: room for room in one.session.rooms()}
    read_states = await read_states_of(suite, one.who)
    return {
        "rooms": rooms,
        "messages": {
            room_id: _newest(await messages_of(suite, one.who, room_id), views.get(room_id)) for room_id in full
        },
        "read states": {room_id: state for room_id, state in read_states.items() if room_id not in one.unfollowed},
        "presence": await presence_of(suite, one.who, one.watched),
        "names": await _names(suite, {who for _, members in rooms.values() for who in members}),
        "pending": {},
    }


def _full(one: _User, rooms: Any) -> list[str]:
    return [room_id for room_id in rooms if room_id not in one.unfollowed | one.brief]


def _newest(contents: dict[int, str], room: RoomView | None) -> dict[int, str]:
    """Return as many messages as a room that has older ones shows."""
    count = len(room.messages) if room is not None and room.has_older else len(contents)
    return dict(list(contents.items())[len(contents) - count :])


async def _names(suite: Suite, user_ids: set[str]) -> dict[str, str]:
    if not user_ids:
        return {}
    request = users_pb2.BatchGetUsersRequest(user_ids=sorted(user_ids))
    answer = await suite.users.BatchGetUsers(request, metadata=su())
    return {user.id: user.name for user in answer.users}


def _shown(one: _User, stored: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the same as the session has it, and as a program shows it."""
    views = {room.id: room for room in one.session.rooms()}
    full, names = stored["messages"], stored["names"]
    of_session = {
        "rooms": {room.id: description_of(room) for room in views.values() if room.room is not None},
        "messages": {room_id: contents_of(views[room_id]) for room_id in full if room_id in views},
        "read states": {
            room.id: read_state_of(room)
            for room in views.values()
            if room.room is not None and room.id not in one.unfollowed
        },
        "presence": {who: presence.state for who in USERS if (presence := one.session.presence(who)) is not None},
        "names": {who: user.name for who in names if (user := one.session.user(who)) is not None},
        "pending": {room.id: room.pending for room in views.values() if room.pending},
    }
    of_screen = {
        "rooms": one.screen.rooms,
        "messages": {room_id: one.screen.messages.get(room_id, {}) for room_id in full},
        "read states": {
            room_id: state
            for room_id, state in one.screen.read_states.items()
            if room_id in views and views[room_id].room is not None and room_id not in one.unfollowed
        },
        "presence": one.screen.presence,
        "names": {who: name for who, name in one.screen.names.items() if who in names},
        "pending": one.screen.pending,
    }
    return of_session, of_screen


async def _agree(suite: Suite, users: list[_User], note: str) -> None:
    """Check, where nothing moves, that every session comes to show what is stored."""
    for one in users:

        async def agrees(one: _User = one) -> bool:
            await one.session.read_users(USERS)
            return one.session.connection.state == _LIVE and not await answered(lambda: _differences(suite, one))

        try:
            await until(agrees)
        except TimeoutError:
            assert one.session.connection.state == _LIVE, f"{note}: {one.who}"
            assert await _differences(suite, one) == [], f"{note}: {one.who}"
        assert not one.screen.faults, f"{note}: {one.who}"


async def _differences(suite: Suite, one: _User) -> list[Any]:
    stored = await _stored(suite, one)
    return [
        (of, part, shown[part], told)
        for of, shown in zip(("session", "screen"), _shown(one, stored), strict=True)
        for part, told in stored.items()
        if shown[part] != told
    ]


async def _round(works: list[Awaitable[object]], users: list[_User], nats: Nats, chance: random.Random) -> None:
    """Make the operations of a round at once, and meanwhile wishes, and cut connections, and kill NATS."""

    async def disturb(one: _User) -> None:
        if chance.random() < 0.6:
            chance.choice((one.cut, one.go_away))()

    async with asyncio.TaskGroup() as group:
        for one in users:
            for _ in range(2):
                group.create_task(one.wish())
        half = len(works) // 2
        await asyncio.gather(*works[:half], *map(disturb, users), *works[half:])
        if chance.random() < 0.4:
            nats.kill()
            await asyncio.to_thread(nats.start)
        for one in users:
            one.come_back()


class _Login:
    """Gives tokens, and fails now and then; while all is to be still, tokens last for what a slow machine needs."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.lifetime = _LIFETIME

    async def token(self, who: str) -> str:
        """Give one."""
        if self._chance.random() < 0.3:
            raise OSError("the login does not answer")
        return tokens.token(who, ttl=self.lifetime)

    @contextmanager
    def calm(self) -> Iterator[None]:
        """Let tokens last while the context is open."""
        self.lifetime = timedelta(seconds=HANG_SECONDS)
        try:
            yield
        finally:
            self.lifetime = _LIFETIME


@asynccontextmanager
async def _sessions(address: str, login: _Login, chance: random.Random) -> AsyncIterator[list[_User]]:
    """Open two sessions of everybody, each over a way of its own."""
    async with AsyncExitStack() as stack:
        users = []
        for who in (*USERS, *USERS):
            relay = Relay(address)
            client = connect(await stack.enter_async_context(relay.listening()), partial(login.token, who))
            await stack.enter_async_context(client)
            session = client.session(last=_LAST, window=_WINDOW, online=who == "alice")
            one = _User(who, session, relay, chance)
            await stack.enter_async_context(session)
            await session.watch(one.watched)
            users.append(one)
        yield users


async def test_what_sessions_show_is_what_is_stored_whatever_happens(
    database: TestDatabase, tmp_path: Path, short_path: Path
) -> None:
    chance = random.Random(SEED)
    login = _Login(chance)
    async with AsyncExitStack() as stack:
        suite, nats, addresses = await stack.enter_async_context(two_replicas(database, tmp_path))
        address = ",".join(addresses)
        async with asyncio.timeout(HANG_SECONDS):
            edge = await stack.enter_async_context(running_edge(suite, short_path, CHATKIT_MESSAGES_ADDRESS=address))
        users = await stack.enter_async_context(_sessions(edge.address, login, chance))
        world = World(suite, chance)
        with login.calm():
            for one in users:
                await one.session.caught_up()
        for number in rounds(5):
            await _round(world.round(), users, nats, chance)
            with login.calm():
                await _agree(suite, users, f"seed {SEED}, round {number}")
        with login.calm():
            for one in users:
                await one.load_all()
            await _agree(suite, users, f"seed {SEED}, at the end")
        assert sum(one.relay.broken for one in users) > len(users), f"seed {SEED}"
        assert sum(one.screen.entries for one in users) > len(users), f"seed {SEED}"
