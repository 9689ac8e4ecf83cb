"""A message that is deleted twice is deleted once, and both calls are answered with the place where that was."""

import pytest

from services.stack.proof.faults import Rule
from services.stack.proof.history import Entry, History, Kind, Outcome, Write
from services.stack.proof.verdict import judge

_ROOM = "lobby"


def _history(*deletions: Write) -> History:
    history = History()
    sends = [(1, 0.0), (3, 4.0)]
    history.writes += [
        Write(_ROOM, "bob", Kind.SEND, f"{seq}", at, at + 0.5, Outcome.ACKNOWLEDGED, seq, seq) for seq, at in sends
    ]
    history.writes += deletions
    history.logs[_ROOM] = [Entry(1, Kind.SEND, 1, ""), Entry(2, Kind.DELETE, 1, ""), Entry(3, Kind.SEND, 3, "3")]
    return history


def _deletion(began: float, outcome: Outcome, seq: int) -> Write:
    return Write(_ROOM, "bob", Kind.DELETE, "", began, began + 0.5, outcome, seq, 1)


@pytest.mark.parametrize("first", [(Outcome.ACKNOWLEDGED, 2), (Outcome.UNKNOWN, 0)], ids=["answered", "without answer"])
def test_a_deletion_that_is_repeated_later_is_as_old_as_the_first(first: tuple[Outcome, int]) -> None:
    history = _history(_deletion(1.0, *first), _deletion(9.0, Outcome.ACKNOWLEDGED, 2))
    assert judge(history, 0.1).faults == []


def test_two_places_of_one_deletion_are_one_too_many() -> None:
    history = _history(_deletion(1.0, Outcome.ACKNOWLEDGED, 2), _deletion(9.0, Outcome.ACKNOWLEDGED, 4))
    assert Rule.LOST in judge(history, 0.1).broken()
