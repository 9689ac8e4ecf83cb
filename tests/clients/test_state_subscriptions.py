"""A user's rooms, and who is there, are followed through the deaths of the processes that tell them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from chatkit_client import Client, ConnectionStatus, connect
from chatkit_client.types import PresenceState
from tests.support.edge import Edge
from tests.support.eventually import HANG_SECONDS
from tests.support.suite import ready
from tests.support.tokens import token

_Event = TypeVar("_Event")


@asynccontextmanager
async def _client(edge: Edge, user_id: str) -> AsyncIterator[Client]:
    async with connect(edge.address, token(user_id)) as client:
        yield client


async def _until(events: AsyncIterator[_Event], kind: str, holds: Callable[[Any], bool] = lambda _: True) -> list[str]:
    """Return the kinds of what comes until one of a kind holds."""
    seen: list[str] = []
    async with asyncio.timeout(HANG_SECONDS):
        async for event in events:
            of: Any = event
            seen.append(str(of.WhichOneof("event")))
            if seen[-1] == kind and holds(getattr(of, kind)):
                return seen
    raise AssertionError


async def test_a_users_rooms_are_told_anew_after_their_service_was_restarted(edge: Edge) -> None:
    async with _client(edge, "alice") as client, client.subscribe_user() as events:
        assert await _until(aiter(events), "caught_up") == ["opened", "room", "caught_up"]
        await edge.suite.make_room("attic", "bob", "alice")
        await _until(aiter(events), "added_to_room", lambda added: added.room.id == "attic")
        statuses: list[ConnectionStatus] = []
        events.connection.on_change(lambda state: statuses.append(state.status))
        await edge.suite.restart("rooms")
        assert await _until(aiter(events), "caught_up") == ["opened", "room", "room", "caught_up"]
        assert statuses[0] is ConnectionStatus.LOST
        assert statuses[-1] is ConnectionStatus.LIVE
        assert events.streams >= 2


async def test_who_is_there_is_told_and_one_is_there_oneself_while_it_is_followed(edge: Edge) -> None:
    def is_online(presence: Any) -> bool:
        return bool(presence.state == PresenceState.PRESENCE_STATE_ONLINE)

    async with _client(edge, "alice") as alice, alice.subscribe_presence(["bob"]) as events:
        assert await _until(aiter(events), "caught_up") == ["opened", "presence", "caught_up"]
        async with _client(edge, "bob") as bob, bob.subscribe_presence(online=True) as own:
            await _until(aiter(own), "caught_up")
            await _until(aiter(events), "presence_changed", is_online)
            await edge.suite.restart("users")
            await ready(edge.suite.servers["users"].address)
            await _until(aiter(own), "caught_up")
            assert "presence" in await _until(aiter(events), "caught_up")
