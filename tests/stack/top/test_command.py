"""`./chatkit top`, against processes that are no more than their figures."""

import argparse
import asyncio
import json
import os
import pty
import signal
import sys
from collections.abc import Iterator
from dataclasses import asdict

import pytest

from services.stack.argument_types import seconds
from services.stack.cli import main
from services.stack.home import Home, State
from services.stack.machine.recorded import process_of
from services.stack.top.interval import EdgeRow, Interval, MethodRow, ProcessRow
from tests.support.databases import ROOT
from tests.support.eventually import HANG_SECONDS
from tests.support.serving import serving

Captured = pytest.CaptureFixture[str]
_QUICK = ("--every", "0.2")
_LOOKS = 3
_CALLS = 'grpc_server_handled_total{grpc_service="chatkit.users.v1.UsersService",grpc_method="GetUser",grpc_code="OK"}'


class _Counting(dict[str, str]):
    """Tells of a call more whenever it is asked."""

    calls = 0

    def get(self, path: str, default: object = None) -> str | None:  # type: ignore[override]
        if path != "/metrics":
            return "ready"
        self.calls += 1
        return f'chatkit_build_info{{version="1"}} 1\n{_CALLS} {self.calls}\n'


class _Ending(_Counting):
    """Ends the suite when it is asked for the third time."""

    def __init__(self, home: Home) -> None:
        super().__init__()
        self._home = home

    def get(self, path: str, default: object = None) -> str | None:  # type: ignore[override]
        told = super().get(path, default)
        if path == "/metrics" and self.calls == _LOOKS:
            self._home.record(State())
        return told


@pytest.fixture
def running_home(home: Home) -> Iterator[Home]:
    """Lend a home in which an `up` seems to run: users answers, rooms is silent, and files has ended."""
    with home.lock(), serving(_Counting()) as address:
        running = [process_of("users", os.getpid(), address), process_of("rooms", os.getpid(), "127.0.0.1:1")]
        told = {"users": address, "rooms": "127.0.0.1:1", "files": "127.0.0.1:1"}
        home.record(State("127.0.0.1:1", running, metrics=told))
        yield home


def test_once_is_one_table_in_which_those_that_do_not_answer_stand(running_home: Home, capsys: Captured) -> None:
    assert main(["top", "--once", *_QUICK, "--home", str(running_home.folder)]) == 0
    printed = capsys.readouterr()
    lines = [line.split()[:2] for line in printed.out.splitlines()]
    assert lines[2:6] == [["process", "state"], ["users", "up"], ["rooms", "silent"], ["files", "down"]]
    assert lines[-1][0] == "Users/GetUser"
    assert printed.err == ""


def test_json_is_one_object_with_the_names_of_all_figures(running_home: Home, capsys: Captured) -> None:
    assert main(["top", "--json", *_QUICK, "--home", str(running_home.folder)]) == 0
    told = json.loads(capsys.readouterr().out)
    empty = Interval(
        0.0,
        [ProcessRow("", "")],
        [MethodRow("", "", 0.0, 0.0, 0.0, 0.0, None, None, 0)],
        EdgeRow(0.0, 0.0, 0.0, 0, 0),
    )
    assert told.keys() == asdict(empty).keys()
    assert told["processes"][0].keys() == asdict(empty.processes[0]).keys()
    assert told["methods"][0].keys() == asdict(empty.methods[0]).keys()
    assert told["edge"] is None
    assert told["methods"][0]["rate"] > 0


def test_it_goes_on_until_nothing_runs_any_more(home: Home, capsys: Captured) -> None:
    with serving(_Ending(home)) as address, home.lock():
        running = [process_of("users", os.getpid(), address)]
        home.record(State("127.0.0.1:1", running, metrics={"users": address}))
        assert main(["top", *_QUICK, "--home", str(home.folder)]) == 1
    printed = capsys.readouterr()
    assert printed.err == f"chatkit: nothing runs in {home.folder}: start it with ./chatkit up\n"
    assert printed.out.count("process ") == _LOOKS - 1


async def test_on_a_terminal_it_is_drawn_until_ctrl_c_which_says_nothing(running_home: Home) -> None:
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.stack", "top", *_QUICK, "--home", str(running_home.folder)),
        stdin=theirs,
        stdout=theirs,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24"},
        cwd=ROOT,
    )
    os.close(theirs)
    async with asyncio.timeout(HANG_SECONDS):
        shown = await asyncio.to_thread(_read_until, ours, b"Users/GetUser")
        process.send_signal(signal.SIGINT)
        rest, (_, err) = await asyncio.gather(asyncio.to_thread(_read_until, ours, None), process.communicate())
    os.close(ours)
    assert (process.returncode, err) == (130, b"")
    assert b"\x1b[?1049h" in shown, "it has the screen to itself"
    assert b"\x1b[?1049l" in rest, "and gives it back"


def _read_until(terminal: int, wanted: bytes | None) -> bytes:
    """Read what a terminal shows, up to some text or to the end."""
    shown = b""
    while wanted is None or wanted not in shown:
        try:
            more = os.read(terminal, 4096)
        except OSError:
            more = b""
        if not more:
            return shown
        shown += more
    return shown


@pytest.mark.parametrize("typed", ["0", "-1", "nan", "inf", "soon", "", "3601"])
def test_an_interval_that_is_none_is_one_sentence(typed: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=f"^'{typed}' is not a number of seconds: 0.2 to 3600$"):
        seconds(typed)
    assert seconds("0.5") == 0.5
