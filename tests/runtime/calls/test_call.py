"""What is told of one call."""

from typing import Any, cast

import pytest

from services.runtime.calls.call import deadline_of
from services.runtime.deadline import NEVER
from tests.support.clock import ManualClock, deadlines_by


class _Context:
    """The part of a call's context that says how long its caller waits."""

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds

    def time_remaining(self) -> float | None:
        return self._seconds


@pytest.mark.parametrize(("caller", "most", "left"), [(None, 10.0, 10.0), (20.0, 10.0, 10.0), (7.0, 10.0, 7.0)])
def test_a_callers_deadline_is_the_earlier_of_its_own_and_the_policys(
    caller: float | None, most: float, left: float
) -> None:
    with deadlines_by(ManualClock()):
        assert deadline_of(cast("Any", _Context(caller)), most).left() == left


def test_a_stream_has_no_deadline_but_its_clients() -> None:
    with deadlines_by(ManualClock()):
        assert deadline_of(cast("Any", _Context(None))) == NEVER
        assert deadline_of(cast("Any", _Context(7.0))).left() == 7.0
