"""ejabberd where it is installed: what is sent there is archived, read, and gone afterwards."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmarks.load.process import in_own_process
from benchmarks.load.timing import Window
from benchmarks.load.xmpp import chats, history
from benchmarks.load.xmpp.client import enter
from benchmarks.load.xmpp.jobs import ChatsJob, HistoryJob
from benchmarks.load.xmpp.rooms import Member, RoomLog
from benchmarks.peers.ejabberd import running
from benchmarks.peers.installed import find
from services.stack.trouble import Trouble
from tests.benchmarks.command import SECONDS, left_behind, start
from tests.support.eventually import eventually

_NUMBER = "0000000000000001"
_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"


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


@needs_ejabberd
async def test_nobody_is_given_a_message_before_it_is_in_the_archive(
    short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(short_path))
    with running(find()) as peer, peer.connect() as connection:
        (room,) = peer.rooms("pair", 1, 2)
        log = RoomLog(Window({}), counts_sends=True)
        sender, _ = [Member(log, await enter(peer.address, user, room)) for user in room.users]
        connection.execute("BEGIN")
        connection.execute("LOCK TABLE archive IN EXCLUSIVE MODE")
        said = f"<message to='{room.id}' type='groupchat' id='b{_NUMBER}'><body>x</body></message>"
        sender.send(_NUMBER.encode(), said.encode(), 0.0, lambda: None)
        await eventually(lambda: connection.execute(_WAITING).fetchone() == (1,))
        assert (log.delivered, len(log.acknowledged)) == (0, 0)
        connection.execute("COMMIT")
        await eventually(lambda: log.is_complete and len(log.acknowledged) == 1)
        assert (log.delivered, await peer.stored([room])) == (2, 1)


@needs_ejabberd
@pytest.mark.slow
async def test_a_quick_run_beside_ejabberd_prints_json_whose_counts_add_up(short_path: Path) -> None:
    process = await start(short_path, "--peers", "--quick", "--seconds", "0.3", "--json")
    async with asyncio.timeout(5 * SECONDS):
        out, _ = await process.communicate()
    assert process.returncode == 0, (short_path / "err").read_text()
    found: dict[str, Any] = json.loads(out)
    sends = {(figure["case"], figure["via"]): figure["details"] for figure in found["figures"]}
    assert len(sends) == len(found["figures"]) == 5 + 3 * 3 + 3
    for (_, via), details in sends.items():
        assert len(details["by_round"]) == 1
        assert ("of_peer" in details) == (via != "ejabberd")
        assert (details.get("lost", 0), details.get("doubled", 0), details.get("refused", 0)) == (0, 0, 0)
    # Of W4 there is none where so short a time has passed without a page.
    assert [bar["name"].partition(",")[0] for bar in found["bars"]][:5] == ["W1", "W1", "W2", "W2", "W2"]
    assert found["bars_reference"].startswith("ejabberd ")
    assert left_behind(short_path) == []
