"""A suite that is disturbed keeps its promises, by the record of its clients; `./chatkit check` is the long form."""

import asyncio
import json
import sys
import tempfile
from pathlib import Path

import pytest

from services.stack.chaos.kinds import parse_kinds
from services.stack.chaos.suite import Suite, disturbed
from services.stack.commands.proving.check import REPLICAS, connecting
from services.stack.commands.proving.disturbing import disturbing
from services.stack.proof.history import Kind
from services.stack.proof.rounds import Course, checked
from services.stack.proof.telling import lines

pytestmark = pytest.mark.slow
_KINDS = "kill,pause,backends,partition,drop,roll,put-back,fail-over"
_SEED = 7
# While rooms can't be reached, who was removed may hear for so long.
_LEAK_SECONDS = 30.0


async def test_every_promise_is_kept_while_a_suite_is_disturbed() -> None:
    with tempfile.TemporaryDirectory(prefix="stack-") as folder:
        async with disturbed(Path(folder), REPLICAS, print, on_small_disks=False) as suite:
            faults = disturbing(suite, parse_kinds(_KINDS), _SEED)
            course = Course("proof", _SEED, 50.0, 50.0, _LEAK_SECONDS, people=4, rooms=2)
            verdict = await checked(course, connecting(suite.home, suite.stack.address), faults, print)
            assert not verdict.faults, "\n".join(lines(verdict))
            assert verdict.is_sound
            assert all(verdict.acknowledged[kind] for kind in Kind)
            assert min(verdict.resumed, verdict.pages, verdict.cursors, verdict.standings, verdict.erasures) > 0
            assert faults.survived
            await _check_from_outside(suite)


async def _check_from_outside(suite: Suite) -> None:
    """Let the command check the suite as any deployment, with nothing but its address and its keys."""
    command = (sys.executable, "-m", "services.stack", "check", "--json", "--minutes", "0.05", "--seed", "1")
    home = suite.home
    told = ("--against", suite.stack.address, "--keys", str(home.keys_file), "--instance", home.instance)
    process = await asyncio.create_subprocess_exec(*command, *told, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    answer = json.loads(out)
    assert (process.returncode, answer["is_sound"], answer["seed"]) == (0, True, 1)
    assert answer["acknowledged"]["send"] > 0
