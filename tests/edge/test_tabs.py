"""Two tabs of one browser, which opens six connections of HTTP/1.1 to one host and no more."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace

import httpx
import pytest
from chatkit.messages.v1 import messages_service_pb2 as messages_pb2
from chatkit.sync.v1 import presence_part_pb2, sync_event_pb2, user_part_pb2
from chatkit.sync.v1 import sync_service_pb2 as pb2

from tests.messages.chat import text
from tests.support import tokens
from tests.support.edge import Edge
from tests.support.eventually import HANG_SECONDS
from tests.support.faces import frames
from tests.support.tokens import user

_PATH = "/chatkit.sync.v1.SyncService/Subscribe"
_MOST_CONNECTIONS = 6
_CALLS = 20
_EVERYTHING = pb2.SubscribeRequest(
    follow_memberships=True,
    include_cursors=True,
    include_read_states=True,
    user=user_part_pb2.UserPart(),
    presence=presence_part_pb2.PresencePart(online=True, watch_user_ids=["bob"]),
)


@pytest.mark.parametrize("face", ["grpc-web", "sse"])
async def test_both_tabs_stay_live_and_call_beside_their_streams(edge: Edge, face: str) -> None:
    limits = httpx.Limits(max_connections=_MOST_CONNECTIONS)
    async with (
        httpx.AsyncClient(base_url=f"http://{edge.address}", limits=limits, timeout=HANG_SECONDS) as browser,
        AsyncExitStack() as tabs,
        asyncio.timeout(HANG_SECONDS),
    ):
        shared = replace(edge, http=browser)
        streams = []
        for _ in range(2):
            tab = frames(face, shared, _PATH, _EVERYTHING, pb2.SubscribeResponse, tokens.token("alice"))
            streams.append(await tabs.enter_async_context(aclosing(tab)))
            await _until(tab, lambda event: event.HasField("caught_up"))
        for number in range(2):
            answers = [shared.json(*_list_messages(), tokens.token("alice")) for _ in range(_CALLS)]
            assert {answer.status_code for answer in await asyncio.gather(*answers)} == {200}
            await edge.suite.messages.SendMessage(text(f"{number}", f"{number}"), metadata=user("bob"))
            for tab in streams:
                event = await _until(tab, lambda event: event.room.HasField("message_created"))
                assert event.room.message_created.parts[0].content == f"{number}"


def _list_messages() -> tuple[str, dict[str, str]]:
    service = messages_pb2.DESCRIPTOR.services_by_name["MessagesService"]
    return f"/{service.full_name}/ListMessages", {"roomId": "lobby"}


async def _until(
    tab: AsyncIterator[pb2.SubscribeResponse], is_it: Callable[[sync_event_pb2.SyncEvent], bool]
) -> sync_event_pb2.SyncEvent:
    """Return the first event of which something holds."""
    async for frame in tab:
        for event in frame.events:
            if is_it(event):
                return event
    raise AssertionError("the stream has ended")
