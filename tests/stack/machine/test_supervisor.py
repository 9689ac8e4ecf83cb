"""Children: started again when they crash, ended when they are told to, and heard when they cannot start."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.stack.machine.health import Health
from services.stack.machine.processes import Program
from services.stack.machine.supervisor import Child, run_once
from services.stack.trouble import Trouble
from tests.support.eventually import HANG_SECONDS, eventually

# A shell that runs the tests in the background lets them ignore the signal, and with them their children.
_FOR_EVER = "import signal; signal.signal(signal.SIGINT, signal.SIG_DFL); print('up', flush=True); signal.pause()"
_STUBBORN = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); print('up', flush=True); signal.pause()"


def _program(code: str) -> Program:
    return Program("child", (sys.executable, "-c", code), dict(os.environ), "")


class _Log:
    """What a child has printed, and what was said about it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "child.log"
        self.said: list[str] = []

    def starts(self) -> int:
        return self.path.read_text().count("up") if self.path.exists() else 0


@asynccontextmanager
async def _alive(child: Child) -> AsyncIterator[None]:
    await child.start()
    keeping = asyncio.create_task(child.keep_alive())
    try:
        yield
    finally:
        await child.stop(1.0)
        await keeping


async def test_a_killed_child_is_reported_and_started_again(tmp_path: Path) -> None:
    log = _Log(tmp_path)
    child = Child(_program(_FOR_EVER), log.path, log.said.append, lambda: None)
    async with _alive(child):
        await eventually(lambda: log.starts() == 1)
        assert child.process is not None
        child.process.kill()
        await eventually(lambda: log.starts() == 2)
    assert log.said == [f"child ended (signal 9) and is started again; its log: {log.path}"]


async def test_a_stopped_child_stays_stopped_and_a_stubborn_one_is_killed(tmp_path: Path) -> None:
    log = _Log(tmp_path)
    child = Child(_program(_STUBBORN), log.path, log.said.append, lambda: None)
    async with _alive(child):
        await eventually(lambda: log.starts() == 1)
        await child.stop(0.1)
    assert child.process is not None
    assert child.process.returncode == -9
    assert log.starts() == 1
    assert "is killed" in log.said[0]


async def test_nobody_starts_a_child_that_is_kept_down_and_the_next_is_told_what_was_added(tmp_path: Path) -> None:
    log = _Log(tmp_path)
    telling = _program(f"import os; print(os.environ.get('NEW')); {_FOR_EVER}")
    child = Child(telling, log.path, log.said.append, lambda: None)
    async with _alive(child):
        await eventually(lambda: log.starts() == 1)
        first = child.process
        child.told["NEW"] = "told"
        async with child.down(signal.SIGTERM, HANG_SECONDS):
            assert first is not None
            assert first.returncode == -signal.SIGTERM
            assert child.process is first
        await eventually(lambda: log.starts() == 2)
    # It was not taken for a crash.
    assert log.said == []
    assert log.path.read_text().split() == ["None", "up", "told", "up"]


async def test_a_child_that_does_not_end_is_trouble(tmp_path: Path) -> None:
    log = _Log(tmp_path)
    child = Child(_program(_STUBBORN), log.path, log.said.append, lambda: None)
    async with _alive(child):
        await eventually(lambda: log.starts() == 1)
        with pytest.raises(Trouble, match="child did not end within 0 s of signal 2"):
            async with child.down(signal.SIGINT, 0.1):
                pass
        assert log.starts() == 1


class _Never(Health):
    async def __call__(self, address: str) -> bool:
        return False


async def test_a_child_that_ends_while_it_is_waited_for_is_trouble_with_its_last_words(tmp_path: Path) -> None:
    child = Child(_program("raise SystemExit('no such setting')"), tmp_path / "log", lambda _: None, lambda: None)
    await child.start()
    with pytest.raises(Trouble, match="no such setting"):
        await child.wait_until(_Never(), deadline=float("inf"))


async def test_a_child_that_never_becomes_healthy_is_trouble(tmp_path: Path) -> None:
    child = Child(_program(_FOR_EVER), tmp_path / "log", lambda _: None, lambda: None)
    async with _alive(child):
        with pytest.raises(Trouble, match="does not become healthy"):
            await child.wait_until(_Never(), deadline=0)


async def test_a_migration_that_fails_is_trouble_with_its_last_words(tmp_path: Path) -> None:
    await run_once(_program("print('fine')"), tmp_path / "log")
    with pytest.raises(Trouble, match=r"child failed \(exit status 3\):\n.*\nbroken"):
        await run_once(_program("print('broken'); raise SystemExit(3)"), tmp_path / "log")
