"""What fails because something was taken away by intent is no fault of the suite, also before that is told."""

import asyncio
import random
from typing import Any, cast

import pytest

from services.stack.proof.clients.work import Work
from services.stack.proof.recording import Recording


@pytest.mark.parametrize("is_lost", [True, False])
async def test_whether_it_is_excused_is_known_when_the_disturbance_has_ended(is_lost: bool) -> None:
    nobody = cast("Any", None)
    recording = Recording([], nobody, "run", 1, 1)
    work: Work = recording._work
    with recording.disturbed():
        asked = asyncio.create_task(work.is_excused(work.losses))
        await asyncio.sleep(0)
        assert not asked.done()
        if is_lost:
            recording.lose(0, 1)
    assert await asked is is_lost


async def test_while_nothing_is_disturbed_nothing_is_excused() -> None:
    work = Work([], cast("Any", None), "run", ["lobby"], random.Random(1))
    assert not await work.is_excused(0)
