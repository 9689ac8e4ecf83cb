"""The access of services that ask rooms: one call for many who ask at once, no answer from before a change."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from chatkit.contract.v1 import method_policy_pb2
from chatkit.internal.access.v1 import access_service_pb2 as pb2

from services.runtime.access.client import SECONDS, AccessClient
from services.runtime.access.port import AccessGrant, AccessQuery
from services.runtime.access.rooms import RoomsAccess
from services.runtime.contract.errors import PermissionDenied, Unavailable
from services.runtime.identity.tokens import ServiceTokens
from services.runtime.ids import RoomId, UserId
from services.runtime.peers.peer import Peer
from tests.support.clock import ManualClock
from tests.support.eventually import HANG_SECONDS, eventually
from tests.support.peers import Peers, serve
from tests.support.tokens import SERVICE_KEY

BOB = AccessQuery(RoomId("lobby"), UserId("bob"), False, method_policy_pb2.MEMBERSHIP_REQUIRED, "room:messages:get")


class _Access:
    """A client's whole side, on a clock that stands still."""

    def __init__(self, peers: Peers, seconds: float = SECONDS) -> None:
        self.clock = ManualClock()
        peers.clock = self.clock
        self.peer = Peer("rooms", peers.address, ServiceTokens("messages", SERVICE_KEY, self.clock))
        self.rooms = RoomsAccess(
            AccessClient(self.peer, seconds), self.clock, patience=30.0, lifetime=300.0, retry_interval=0.5
        )
        self.running = asyncio.create_task(self.rooms.run())

    async def close(self) -> None:
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)
        await self.peer.close()

    async def fresh(self) -> None:
        """Move the clock until the changes are followed again."""
        async with asyncio.timeout(HANG_SECONDS):
            while not self.rooms.freshness.is_fresh():
                await self.clock.advance(0.5)
                # The connection is made in real time.
                await asyncio.sleep(0.01)

    async def received(self, version: int) -> None:
        """Wait until the changes up to a version have arrived."""
        await eventually(lambda: self.rooms._cache.version == version)


@pytest.fixture
async def peers() -> AsyncIterator[Peers]:
    async with serve(Peers(members={"lobby": {"alice", "bob"}})) as served:
        yield served


@pytest.fixture
async def access(peers: Peers) -> AsyncIterator[_Access]:
    access = _Access(peers)
    await access.rooms.ready()
    yield access
    await access.close()


async def test_rooms_is_asked_once_by_many_at_once_and_not_again(access: _Access, peers: Peers) -> None:
    peers.hold = asyncio.Event()
    asking = [asyncio.create_task(access.rooms.check(BOB)) for _ in range(20)]
    await eventually(lambda: peers.checks)
    asking[0].cancel()
    peers.hold.set()
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert all(isinstance(answer, AccessGrant) for answer in answers[1:])
    await access.rooms.check(BOB)
    assert peers.checks == 1


async def test_who_asks_after_a_change_does_not_share_a_question_from_before_it(access: _Access, peers: Peers) -> None:
    peers.hold = asyncio.Event()
    before = asyncio.create_task(access.rooms.check(BOB))
    await eventually(lambda: peers.checks)
    peers.remove("lobby", "bob")
    await access.received(2)
    after = asyncio.create_task(access.rooms.check(BOB))
    await eventually(lambda: peers.checks == 2)
    peers.hold.set()
    assert isinstance(await before, AccessGrant)
    with pytest.raises(PermissionDenied):
        await after
    # The answer that came after its own invalidation was not kept.
    with pytest.raises(PermissionDenied):
        await access.rooms.check(BOB)


async def test_refusals_are_not_kept(access: _Access, peers: Peers) -> None:
    carol = AccessQuery(RoomId("lobby"), UserId("carol"), False, method_policy_pb2.MEMBERSHIP_REQUIRED, "")
    for count in (1, 2):
        with pytest.raises(PermissionDenied):
            await access.rooms.check(carol)
        assert peers.checks == count
    peers.members["lobby"].add("carol")
    await access.rooms.check(carol)


async def test_what_is_not_understood_makes_it_ask_again(access: _Access, peers: Peers) -> None:
    for unknown in (
        pb2.AccessEvent(version=2),
        pb2.AccessEvent(version=3, member_removed=pb2.MemberChange(room_uid=b"short", user_uid=b"", user_id="bob")),
    ):
        await access.rooms.check(BOB)
        checks = peers.checks
        peers.version = unknown.version
        peers.tell(unknown)
        await access.received(unknown.version)
        await access.rooms.check(BOB)
        assert peers.checks == checks + 1


async def test_with_rooms_away_kept_answers_hold_for_thirty_seconds(tmp_path: Path) -> None:
    peers = Peers(members={"lobby": {"alice", "bob"}})
    async with serve(peers):
        access = _Access(peers)
        await access.rooms.ready()
        await access.rooms.check(BOB)
    access.clock.jump(29.9)
    await access.rooms.check(BOB)
    access.clock.jump(0.1)
    with pytest.raises(Unavailable) as away:
        await access.rooms.check(BOB)
    assert (away.value.reason, away.value.metadata) == ("SERVICE_UNAVAILABLE", {"service": "rooms"})
    assert away.value.retry_after is not None
    # Rooms comes back at the same address, and the changes are followed from the version that was seen.
    checks = peers.checks
    async with serve(peers, peers.address):
        await access.fresh()
        await access.rooms.check(BOB)
        assert peers.checks == checks
        peers.remove("lobby", "bob")
        await access.received(2)
    await access.close()


async def test_a_rooms_that_does_not_answer_is_away(peers: Peers) -> None:
    access = _Access(peers, seconds=0.3)
    await access.rooms.ready()
    peers.hold = asyncio.Event()
    # Until a question has arrived, which may take longer than its deadline.
    while not peers.checks:
        with pytest.raises(Unavailable) as away:
            await access.rooms.check(BOB)
        assert away.value.reason == "SERVICE_UNAVAILABLE"
    await access.close()


async def test_after_a_stop_old_heartbeats_prove_nothing_and_a_new_stream_does(peers: Peers) -> None:
    access = _Access(peers)
    # The clock that heartbeats are dated by stands still: they are as those that lay in a socket.
    peers.clock = ManualClock()
    await access.rooms.ready()
    await access.rooms.check(BOB)
    access.clock.jump(60)
    # The next heartbeat is 60 s old when it is read: the stream is given up.
    await eventually(lambda: not peers.watching)
    assert not access.rooms.freshness.is_fresh()
    await access.rooms.check(BOB)
    assert peers.checks == 2
    await access.fresh()
    await access.rooms.check(BOB)
    assert peers.checks == 2
    await access.close()
