"""A history of a sound chat that is broken on purpose, and what the verdict finds then."""

import json
from collections.abc import Callable

from services.stack.proof.faults import Rule
from services.stack.proof.history import History
from services.stack.proof.telling import lines
from services.stack.proof.verdict import Verdict, judge
from tests.stack.proof.model import Chat


def broken(change: Callable[[History], None], rule: Rule, seed: int, leak_seconds: float, most: int) -> Verdict:
    """Break a history, and return the verdict, which names the rule and shows it by at most so many records."""
    history = Chat(seed).run(300)
    change(history)
    verdict = judge(history, leak_seconds)
    found = [fault for fault in verdict.faults if fault.rule is rule]
    assert found, lines(verdict)
    assert 0 < len(found[0].shown_by) <= most
    json.dumps(verdict.told())
    return verdict
