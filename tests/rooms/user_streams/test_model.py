"""Random operations of several users at two replicas of rooms, against a model of a few lines.

Whenever nothing moves, the state that each stream folds to is what ListUserRooms tells, and what the model knows.
Streams are cut and NATS is killed at random meanwhile; some clients go on where they stood, others begin anew.
CHATKIT_TEST_ROUNDS says how many rounds there are; a failure tells the seed, which CHATKIT_TEST_SEED repeats.
"""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from chatkit.rooms.v1 import memberships_service_pb2 as memberships_pb2
from chatkit.rooms.v1 import rooms_service_pb2 as pb2
from chatkit.rooms.v1 import user_event_pb2, user_position_pb2
from chatkit.rooms.v1.memberships_service_pb2_grpc import MembershipsServiceStub
from chatkit.rooms.v1.rooms_service_pb2_grpc import RoomsServiceStub
from chatkit.users.v1 import users_service_pb2 as users_pb2
from google.protobuf import struct_pb2

from tests.rooms.user_streams.reading import Folded, listed
from tests.support.databases import TestDatabase
from tests.support.eventually import eventually
from tests.support.nats import Nats
from tests.support.nats import running as running_nats
from tests.support.suite import Suite, running
from tests.support.tokens import su, user

_ROUNDS = int(os.environ.get("CHATKIT_TEST_ROUNDS", "12"))
_SEED = int(os.environ.get("CHATKIT_TEST_SEED", str(random.randrange(2**32))))
_AT_ONCE = 14
_USERS = ("alice", "bob", "carol")
# A room in which all are all the time, and a user who is in it: their names say which round it is.
_ALL, _CLOCK = "all", "clock"
Work = Coroutine[Any, Any, object]


async def _made(call: Awaitable[object]) -> object:
    return await call


@dataclass
class _Model:
    """What there is: who is in which room, and how rooms and users are called."""

    members: dict[str, set[str]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    users: dict[str, str] = field(default_factory=dict)

    def rooms_of(self, user_id: str) -> dict[str, tuple[str, list[str]]]:
        return {
            room_id: (self.names[room_id], sorted(members))
            for room_id, members in self.members.items()
            if user_id in members
        }


class _Client:
    """A client that always has a stream, at one replica or the other."""

    def __init__(
        self, suite: Suite, who: str, channels: list[grpc.aio.Channel], chance: random.Random, *, goes_on: bool
    ) -> None:
        self.who = who
        self.folded = Folded()
        self.openings = self.resumed = 0
        self._goes_on = goes_on
        # Where it stands, if it is known.
        self._place: user_position_pb2.UserPosition | None = None
        self._suite = suite
        self._channels = channels
        self._chance = chance
        self._call: Any = None
        self._is_cut = False

    def cut(self) -> None:
        if self._call is not None:
            self._is_cut = True
            self._call.cancel()

    async def run(self) -> None:
        while True:
            self._is_cut = False
            try:
                await self._read()
            except asyncio.CancelledError:
                if not self._is_cut:
                    raise

    async def _read(self) -> None:
        """Read one stream; it ends only because it is cut."""
        stub: Any = RoomsServiceStub(self._chance.choice(self._channels))
        if self._place is None or not self._goes_on:
            self.folded, self._place = Folded(), None
        folded = self.folded
        folded.is_caught_up = False
        self.openings += 1
        self._call = stub.SubscribeUser(pb2.SubscribeUserRequest(after=self._place), metadata=user(self.who))
        async for frame in self._call:
            for event in frame.events:
                await self._take(folded, event)

    async def _take(self, folded: Folded, event: user_event_pb2.UserEvent) -> None:
        folded.apply(event)
        if event.HasField("opened"):
            self.resumed += event.opened.resumed
            self._place = self._place if event.opened.resumed else None
        if event.HasField("caught_up") and not folded.is_resumed:
            await self._look_users_up(folded)
        if event.HasField("position"):
            self._place = event.position

    async def _look_users_up(self, folded: Folded) -> None:
        request = users_pb2.BatchGetUsersRequest(user_ids=[*_USERS, _CLOCK])
        for one in (await self._suite.users.BatchGetUsers(request, metadata=user(self.who))).users:
            folded.know(one)


class _World:
    """Makes random operations, and knows what comes of them."""

    def __init__(self, suite: Suite, channels: list[grpc.aio.Channel], chance: random.Random) -> None:
        self.model = _Model()
        self._suite = suite
        self._channels = channels
        self._chance = chance
        self._count = 0
        # What was touched in this round: nothing is touched twice, so the order does not matter.
        self._touched: set[object] = set()

    @property
    def _rooms(self) -> Any:
        return RoomsServiceStub(self._chance.choice(self._channels))

    @property
    def _memberships(self) -> Any:
        return MembershipsServiceStub(self._chance.choice(self._channels))

    def round(self) -> list[Work]:
        """Return the operations of a round, to be made at once; the model has them already."""
        self._touched.clear()
        makers: list[Callable[[], Work | None]] = [self._create, self._rename, self._direct, self._rename_user]
        makers += [self._join, self._leave, self._add, self._remove] * 2
        made = (self._chance.choice(makers)() for _ in range(_AT_ONCE))
        return [work for work in made if work is not None]

    def _number(self) -> str:
        self._count += 1
        return f"{self._count}"

    def _touch(self, what: object) -> bool:
        if what in self._touched:
            return False
        self._touched.add(what)
        return True

    def _room(self) -> str | None:
        known = [room_id for room_id in self.model.members if room_id != _ALL]
        return self._chance.choice(known) if known else None

    def _visit(self, *, into: bool) -> tuple[str, str] | None:
        """Choose a room and a user, and move the user in the model."""
        room_id, user_id = self._room(), self._chance.choice(_USERS)
        if room_id is None or not self._touch((room_id, user_id)):
            return None
        if into and self.model.names[room_id] == "":
            # A direct room, in which not everybody may be.
            return None
        members = self.model.members[room_id]
        (members.add if into else members.discard)(user_id)
        return room_id, user_id

    def _create(self) -> Work:
        room_id, creator = f"room {self._number()}", self._chance.choice(_USERS)
        others = self._chance.sample(_USERS, self._chance.randrange(3))
        self.model.members[room_id], self.model.names[room_id] = {creator, *others}, room_id
        # Not there for the others in this round.
        self._touched |= {room_id, *((room_id, user_id) for user_id in _USERS)}
        request = pb2.CreateRoomRequest(id=room_id, name=room_id, user_ids=others, visibility="VISIBILITY_PUBLIC")
        return _made(self._rooms.CreateRoom(request, metadata=user(creator)))

    def _rename(self) -> Work | None:
        room_id = self._room()
        if room_id is None or not self.model.names[room_id] or not self._touch(room_id):
            return None
        self.model.names[room_id] = name = f"name {self._number()}"
        data = struct_pb2.Struct()
        data["n"] = self._count
        request = pb2.UpdateRoomRequest(room_id=room_id, name=name, custom_data=data)
        return _made(self._rooms.UpdateRoom(request, metadata=su()))

    def _join(self) -> Work | None:
        visit = self._visit(into=True)
        if visit is None:
            return None
        return _made(
            self._memberships.JoinRoom(memberships_pb2.JoinRoomRequest(room_id=visit[0]), metadata=user(visit[1]))
        )

    def _leave(self) -> Work | None:
        visit = self._visit(into=False)
        if visit is None:
            return None
        return _made(
            self._memberships.LeaveRoom(memberships_pb2.LeaveRoomRequest(room_id=visit[0]), metadata=user(visit[1]))
        )

    def _add(self) -> Work | None:
        visit = self._visit(into=True)
        if visit is None:
            return None
        request = memberships_pb2.AddMembersRequest(room_id=visit[0], user_ids=[visit[1]])
        return _made(self._memberships.AddMembers(request, metadata=su()))

    def _remove(self) -> Work | None:
        visit = self._visit(into=False)
        if visit is None:
            return None
        request = memberships_pb2.RemoveMembersRequest(room_id=visit[0], user_ids=[visit[1]])
        return _made(self._memberships.RemoveMembers(request, metadata=su()))

    def _direct(self) -> Work | None:
        pair = sorted(self._chance.sample(_USERS, 2))
        # The room may be any without a name, so the two must not be moved otherwise.
        if any(isinstance(one, tuple) and one[1] in pair for one in self._touched):
            return None
        self._touched |= {(room_id, user_id) for room_id in self.model.members for user_id in pair}
        return self._directly(pair)

    async def _directly(self, pair: list[str]) -> None:
        request = pb2.GetOrCreateDirectRoomRequest(other_user_id=pair[1])
        answer = await self._rooms.GetOrCreateDirectRoom(request, metadata=user(pair[0]))
        self.model.members[answer.room.id], self.model.names[answer.room.id] = set(pair), ""

    def _rename_user(self) -> Work | None:
        user_id = self._chance.choice(_USERS)
        return self.rename_user(user_id, f"name {self._number()}") if self._touch(user_id) else None

    def rename_user(self, user_id: str, name: str) -> Work:
        self.model.users[user_id] = name
        request = users_pb2.UpdateUserRequest(user_id=user_id, name=name)
        return _made(self._suite.users.UpdateUser(request, metadata=su()))

    async def mark(self, number: int) -> None:
        """Let all streams be told which round it is, after everything else."""
        self.model.names[_ALL] = f"{number}"
        await self._rooms.UpdateRoom(pb2.UpdateRoomRequest(room_id=_ALL, name=f"{number}"), metadata=su())
        await self.rename_user(_CLOCK, f"{number}")


@asynccontextmanager
async def _two_replicas(database: TestDatabase, folder: Path, nats: Nats) -> AsyncIterator[Suite]:
    async with running(database, folder, "users", "rooms", nats=nats, access_poll_interval_seconds=0.1) as suite:
        await suite.make_users(*_USERS, _CLOCK)
        await suite.make_room(_ALL, *_USERS, _CLOCK)
        yield suite


async def _agree(suite: Suite, world: _World, clients: list[_Client], number: int) -> None:
    """Check, where nothing moves, that all know the same."""
    await world.mark(number)
    for client in clients:
        await eventually(lambda client=client: _has_seen(client.folded, f"{number}"))  # type: ignore[misc]
    for user_id in _USERS:
        rooms = await listed(suite, user_id)
        told = {room_id: (room.name, members) for room_id, (room, members) in rooms.items()}
        assert told == world.model.rooms_of(user_id), f"seed {_SEED}, round {number}"
        for client in clients:
            if client.who == user_id:
                assert client.folded.rooms == rooms, f"seed {_SEED}, round {number}"
                known = {known_id: one.name for known_id, one in client.folded.users.items()}
                assert known == world.model.users, f"seed {_SEED}, round {number}"


def _has_seen(folded: Folded, mark: str) -> bool:
    clock = folded.users.get(_CLOCK)
    return folded.is_caught_up and folded.name_of(_ALL) == mark and clock is not None and clock.name == mark


async def test_what_streams_fold_to_is_what_is_listed_whatever_happens(database: TestDatabase, tmp_path: Path) -> None:
    chance = random.Random(_SEED)
    with running_nats(tmp_path) as nats:
        async with _two_replicas(database, tmp_path, nats) as suite:
            channels = [suite.channel("rooms")]
            await suite.start("rooms")
            channels.append(suite.channel("rooms"))
            world = _World(suite, channels, chance)
            world.model.members[_ALL], world.model.names[_ALL] = {*_USERS, _CLOCK}, _ALL
            world.model.users = {user_id: user_id for user_id in (*_USERS, _CLOCK)}
            clients = [
                _Client(suite, who, channels, chance, goes_on=goes_on)
                for who in _USERS
                for goes_on in (True, True, False)
            ]
            async with asyncio.TaskGroup() as group:
                running_clients = [group.create_task(client.run()) for client in clients]
                for number in range(_ROUNDS):
                    await _disturbed(world.round(), clients, nats, chance)
                    await _agree(suite, world, clients, number)
                for task in running_clients:
                    task.cancel()
            # Streams were cut, and opened again.
            assert sum(client.openings for client in clients) > len(clients)
            assert sum(client.resumed for client in clients) > len(clients)


async def _disturbed(works: list[Work], clients: list[_Client], nats: Nats, chance: random.Random) -> None:
    """Make the operations of a round at once, and cut streams and NATS meanwhile."""

    async def disturb() -> None:
        for client in clients:
            if chance.random() < 0.4:
                client.cut()
            await asyncio.sleep(0)
        if chance.random() < 0.5:
            nats.kill()

    half = len(works) // 2
    await asyncio.gather(*works[:half], disturb(), *works[half:])
    if chance.random() < 0.5:
        nats.kill()
        await asyncio.to_thread(nats.start)
