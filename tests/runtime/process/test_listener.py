"""A listener that serves no more ends its process."""

import asyncio
import sys
from pathlib import Path

from services.stack.fuzz.inputs import Face, Input
from services.stack.fuzz.making import heads
from services.stack.fuzz.wires import http2
from services.stack.machine.ports import Port
from tests.support.databases import TestDatabase
from tests.support.eventually import HANG_SECONDS
from tests.support.own_process import own_process
from tests.support.peers import Peers, serve
from tests.support.suite import ready, settings

_SERVE = (sys.executable, "-m", "services.users", "serve")


async def _call(address: str, path: bytes) -> None:
    """Call a path that may be no text; nobody has to answer."""
    head = tuple((name, path if name == b":path" else value) for name, value in heads.of_call(Face.SERVICES, "", 0))
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    sent = Input(0, 0, Face.SERVICES, "users", "", "", "nobody", head, b"", is_ended=False)
    await http2.call(reader, writer, sent)
    writer.close()


async def test_a_process_ends_when_a_path_that_is_no_utf_8_has_ended_its_server(
    database: TestDatabase, tmp_path: Path
) -> None:
    log, peers, port = tmp_path / "log", Peers(), Port("127.0.0.1")
    async with serve(peers):
        told = settings(database, tmp_path, "users", listen=port.address, rooms_address=peers.address)
        async with own_process(_SERVE, told, log) as process:
            await _call(port.address, "/é".encode())
            await ready(port.address)
            await _call(port.address, b"/\xff")
            async with asyncio.timeout(HANG_SECONDS):
                assert await process.wait() == 1
    port.release()
    assert "task_failed" in log.read_text()
    assert "listener" in log.read_text()
