"""Every quickstart that can run here runs as it is printed: it says Hello, and shows each message once."""

import json
from pathlib import Path

import pytest
from chatkit.messages.v1 import messages_service_pb2 as pb2

from tests.clients.quickstarts.programs import QUICKSTARTS, command, goes_on, running, say
from tests.support.edge import Edge
from tests.support.tokens import token, user

# Those that take the address as a URL.
_BY_URL = {"node", "react"}


@pytest.mark.parametrize("language", ["python", "node", "react", "go", "java"])
async def test_it_shows_each_message_once_whatever_is_killed(edge: Edge, tmp_path: Path, language: str) -> None:
    address = f"http://{edge.address}" if language in _BY_URL else edge.address
    async with running(*await command(language, tmp_path), address, token("alice")) as program:
        await goes_on(program.shown, edge)


async def test_curl_shows_each_message_and_goes_on_after_a_position(edge: Edge, tmp_path: Path) -> None:
    script = await command("curl", tmp_path)
    arguments = (f"http://{edge.address}", token("alice"))
    async with running(*script, *arguments) as program:
        await program.shown.becomes("Hello")
        await say(edge, "again")
        await program.shown.becomes("Hello", "again")
    from_the_first = {"roomId": "lobby", "after": {"epoch": await _epoch(edge), "seq": "1"}}
    asked, written = '{"roomId": "lobby"}', (QUICKSTARTS / "lobby.sh").read_text()
    assert asked in written
    resuming = tmp_path / "resuming.sh"
    resuming.write_text(written.replace(asked, json.dumps(from_the_first)))
    async with running("sh", resuming, *arguments) as program:
        await program.shown.becomes("again", "Hello")


async def _epoch(edge: Edge) -> str:
    """Return the epoch that `opened` tells."""
    call = edge.suite.messages.SubscribeRoom(pb2.SubscribeRoomRequest(room_id="lobby"), metadata=user("bob"))
    frame: pb2.SubscribeRoomResponse = await call.read()
    call.cancel()
    return frame.events[0].opened.position.epoch
