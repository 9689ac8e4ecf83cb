"""What was acknowledged after a copy was taken may be gone when that is put back; everything else is judged as ever."""

import pytest

from services.stack.proof.faults import Rule
from services.stack.proof.forgetting import forget
from services.stack.proof.history import History
from services.stack.proof.verdict import judge
from tests.stack.proof.model import Chat

_STEPS, _MORE_STEPS = 100, 200


def _put_back(seed: int) -> tuple[History, float]:
    """Return what clients recorded of a chat that at the end is what it was long before, and when that was."""
    before, history = Chat(seed).run(_STEPS), Chat(seed).run(_MORE_STEPS)
    history.logs, history.standings = before.logs, before.standings
    return history, max(one.ended for one in before.writes)


@pytest.mark.parametrize("seed", range(10))
def test_what_came_later_is_not_missed(seed: int) -> None:
    history, since = _put_back(seed)
    assert Rule.LOST in judge(history, 0.1).broken()
    forget(history, since, float("inf"))
    assert judge(history, 0.1).faults == []


@pytest.mark.parametrize("seed", range(3))
def test_what_came_before_is(seed: int) -> None:
    history, since = _put_back(seed)
    forget(history, since, float("inf"))
    for log in history.logs.values():
        del log[-1]
    assert judge(history, 0.1).faults
