"""Bad input of every kind is sent to the whole suite, and nothing of it does any harm."""

import pytest

from services.stack.fuzz.report import shown
from services.stack.fuzz.session import Plan, fuzz

# What `./chatkit test` spends on it; longer runs are `./chatkit fuzz --minutes N`.
_SECONDS = 120.0
# Always the same: whether a change lands must not depend on luck.
_SEED = 1


@pytest.mark.slow
async def test_no_input_ends_hangs_or_slows_the_suite_or_is_refused_without_a_reason() -> None:
    report = await fuzz(Plan(_SEED, _SECONDS), print)
    assert not report.findings, shown(report)
    assert report.let_in.total() * 4 > report.calls
    # Every face had its part.
    assert all(counter.total() for counter in report.answers.values())
