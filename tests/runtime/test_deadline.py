"""Deadlines: a moment that comes nearer while steps are taken."""

import math

import pytest

from services.runtime.deadline import NEVER, Deadline
from tests.support.clock import ManualClock, deadlines_by


def test_what_is_left_becomes_less_and_never_less_than_nothing() -> None:
    clock = ManualClock()
    with deadlines_by(clock):
        deadline = Deadline.after(4.0)
        assert deadline.left() == 4.0
        clock.jump(3.0)
        assert deadline.left() == 1.0
        clock.jump(3.0)
        assert deadline.left() == 0.0


def test_a_deadline_leaves_time_for_what_follows() -> None:
    with deadlines_by(ManualClock()):
        deadline = Deadline.after(4.0)
        assert deadline.less(0.5).left() == 3.5
        # However short the time is, most of it is for the step itself.
        assert deadline.less(5.0).left() == pytest.approx(3.2)
        assert Deadline.after(0.1).less(0.2).left() == pytest.approx(0.08)
        assert min(deadline, Deadline.after(2.0)).left() == 2.0


def test_who_waits_for_ever_has_no_less_time_after_each_step() -> None:
    assert NEVER.left() == math.inf
    assert NEVER.less(1.0) == NEVER
    assert min(NEVER, deadline := Deadline.after(1.0)) is deadline
