"""What a suite holds may go up and down; what goes on growing is told."""

from collections.abc import Callable
from typing import Any

import pytest

from services.stack.commands.proving.growth import Growth, Held, Sample


def _growth(count: int, megabytes: Callable[[int], float], threads: Callable[[int], int] = lambda _: 8) -> Growth:
    nowhere: Any = None
    held = (Held(megabytes(number), 40, threads(number)) for number in range(count))
    return Growth(
        nowhere, samples=[Sample(number * 10.0, {"rooms": one}, 90.0, 500) for number, one in enumerate(held)]
    )


@pytest.mark.parametrize(
    "megabytes",
    [lambda _: 100.0, lambda number: 100.0 + number % 20, lambda number: min(100.0 + 2 * number, 150.0)],
    ids=["the same", "up and down", "until it is full"],
)
def test_what_does_not_go_on_growing_is_not_told(megabytes: Callable[[int], float]) -> None:
    assert _growth(90, megabytes).grown() == []


def test_memory_and_threads_that_go_on_growing_are_told() -> None:
    growth = _growth(90, lambda number: 100.0 + 3 * number, lambda number: 8 + number)
    assert growth.grown() == ["rooms, MB: 277, and then 367", "rooms, threads: 67, and then 97"]
    assert [line for line in growth.told() if line.startswith("rooms, MB")] == ["rooms, MB: 187, 277, 367"]


def test_a_short_run_tells_nothing_of_growth() -> None:
    assert _growth(20, lambda number: 100.0 * (number + 1)).grown() == []
