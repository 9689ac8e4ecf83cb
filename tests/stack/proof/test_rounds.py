"""A check lasts as long as it was told, however long its rounds take."""

import pytest

from services.stack.proof.rounds import Course


@pytest.mark.parametrize(
    ("seconds", "elapsed", "goes_on"), [(120, 60, True), (120, 90, True), (120, 91, False), (120, 240, False)]
)
def test_a_round_begins_while_there_is_time_for_most_of_it(seconds: float, elapsed: float, goes_on: bool) -> None:
    course = Course("check", 1, seconds, 60.0, 1.0)
    assert course.goes_on(elapsed) is goes_on
