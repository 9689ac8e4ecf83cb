"""A crowd that comes at once is asked about together, and each is answered for itself."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from chatkit.contract.v1 import method_policy_pb2

from services.runtime.access.client import AccessClient
from services.runtime.access.port import AccessGrant, AccessQuery
from services.runtime.access.rooms import RoomsAccess
from services.runtime.clock import SystemClock
from services.runtime.contract.errors import PermissionDenied, Unavailable
from services.runtime.identity.tokens import ServiceTokens
from services.runtime.ids import NO_ROOM, UserId
from services.runtime.peers.peer import Peer
from services.users.presence.asking import AskedTogether
from tests.support.eventually import HANG_SECONDS
from tests.support.peers import Peers, serve
from tests.support.tokens import SERVICE_KEY

_CROWD = [f"user {number}" for number in range(250)]


@pytest.fixture
async def peers() -> AsyncIterator[Peers]:
    """Serve a rooms of which one user may not."""
    async with serve(Peers()) as served:
        served.assign("user 7", (1, "nothing"), denied=["presence:subscribe"])
        yield served


async def _asked(peers: Peers) -> list[AccessGrant | BaseException]:
    """Return what each of the crowd is answered who ask at once."""
    clock = SystemClock()
    peer = Peer("rooms", peers.address, ServiceTokens("users", SERVICE_KEY, clock))
    rooms = RoomsAccess(AccessClient(peer), clock, patience=30.0, lifetime=300.0, retry_interval=0.5)
    together = AskedTogether(rooms, most_users=100)
    rule = method_policy_pb2.MEMBERSHIP_NOT_REQUIRED
    asking = [
        asyncio.ensure_future(together.check(AccessQuery(NO_ROOM, UserId(user_id), False, rule, "presence:subscribe")))
        for user_id in _CROWD
    ]
    running = asyncio.create_task(together.run())
    try:
        async with asyncio.timeout(HANG_SECONDS):
            return await asyncio.gather(*asking, return_exceptions=True)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await peer.close()


@pytest.mark.parametrize("is_older", [False, True])
async def test_a_crowd_costs_few_questions_and_each_is_answered_for_itself(peers: Peers, is_older: bool) -> None:
    peers.has_no_batch_of_users = is_older
    answers = await _asked(peers)
    refused = [user_id for user_id, answer in zip(_CROWD, answers, strict=True) if isinstance(answer, PermissionDenied)]
    assert refused == ["user 7"]
    assert sum(isinstance(answer, AccessGrant) for answer in answers) == len(_CROWD) - 1
    assert peers.asked_together == [100, 100, 50]
    # A rooms of the release before is asked for each.
    assert peers.checks == (len(_CROWD) if is_older else 0)


async def test_all_are_told_when_rooms_is_away(peers: Peers) -> None:
    peers.unavailable = True
    assert {type(answer) for answer in await _asked(peers)} == {Unavailable}
