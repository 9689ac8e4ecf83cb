"""The stream of a device beside rooms and users of the release before, which have no feeds."""

from pathlib import Path
from typing import Any

from chatkit.sync.v1 import sync_event_pb2
from chatkit.sync.v1 import sync_service_pb2 as pb2

from tests.messages.chat import Chat, text
from tests.suite.devices import following, presence, room
from tests.suite.devices import user as user_part
from tests.support.databases import TestDatabase
from tests.support.peers import Peers, serve
from tests.support.suite import running
from tests.support.tokens import user


async def test_parts_whose_service_has_no_feed_are_behind_and_the_rooms_go_on(
    database: TestDatabase, tmp_path: Path
) -> None:
    peers = Peers(members={"lobby": {"alice", "bob"}}, users={"alice", "bob"})
    async with serve(peers):
        addresses: dict[str, Any] = {"rooms_address": peers.address, "users_address": peers.address}
        async with running(database, tmp_path, "messages", **addresses, heartbeat_interval_seconds=0.1) as suite:
            await _follow(Chat(suite, peers))


async def _follow(chat: Chat) -> None:
    request = pb2.SubscribeRequest(rooms=[room("lobby")], user=user_part(), presence=presence("alice"))
    async with following(chat.suite.sync, request, user("bob")) as device:
        await device.until("room.caught_up")
        beat = (await device.until("heartbeat"))[-1].heartbeat
        assert beat.behind == [sync_event_pb2.SYNC_PART_USER, sync_event_pb2.SYNC_PART_PRESENCE]
        await chat.send(text("goes on", "1"))
        await device.until("room.message_created")
