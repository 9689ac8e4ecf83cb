"""Messages on a real database, with stand-ins for rooms and users."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.messages.chat import Chat
from tests.support.databases import TestDatabase
from tests.support.peers import Peers, serve
from tests.support.suite import running


@pytest.fixture
async def chat(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Chat]:
    """Run the service, with alice and bob in the room lobby and carol outside."""
    peers = Peers(members={"lobby": {"alice", "bob"}}, users={"alice", "bob", "carol"})
    async with (
        serve(peers),
        running(database, tmp_path, "messages", rooms_address=peers.address, users_address=peers.address) as suite,
    ):
        yield Chat(suite, peers)
