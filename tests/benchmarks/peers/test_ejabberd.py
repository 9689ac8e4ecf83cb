"""ejabberd where it is installed: what is sent there is archived, read, and gone afterwards."""

import os
from pathlib import Path

import psutil
import pytest

from benchmarks.load.process import in_own_process
from benchmarks.load.xmpp import chats, history
from benchmarks.load.xmpp.jobs import ChatsJob, HistoryJob
from benchmarks.peers.ejabberd import running
from benchmarks.peers.installed import find
from services.stack.trouble import Trouble


def _is_installed() -> bool:
    try:
        find()
    except Trouble:
        return False
    return True


needs_ejabberd = pytest.mark.skipif(
    not _is_installed(), reason="ejabberd is not installed (apt-get install ejabberd erlang-p1-pgsql)"
)


@needs_ejabberd
async def test_what_is_acknowledged_is_in_the_archive(short_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(short_path))
    with running(find()) as peer:
        rooms = peer.rooms("pairs", 3, 2)
        sent = await in_own_process(
            chats.run, ChatsJob(peer.address, rooms, peer.groups, 0.5, 0.0, 1, 200, counts_sends=True)
        )
        assert await peer.stored(rooms) == sent["acknowledged"] > 0
        assert (sent["delivered"], sent["lost"], sent["doubled"]) == (sent["expected"], 0, 0)
        assert sent["cpu_seconds"].keys() == {"service", "database", "generator"}
        await peer.fill(rooms[0], 150)
        assert await peer.stored(rooms[:1]) == 150
        read = await in_own_process(history.run, HistoryJob(peer.address, rooms[0], 100, peer.groups, 0.3, 0.0))
        assert read["answered_in_all"] > 0
        pid = peer.groups["service"]
        # No other machine can reach it, and no node of Erlang either.
        listening = {one.laddr[0] for one in psutil.Process(pid).net_connections() if one.status == "LISTEN"}
        assert listening == {"127.0.0.1"}
    assert not psutil.pid_exists(pid)
    assert os.listdir(short_path) == []  # noqa: PTH208 - names alone
