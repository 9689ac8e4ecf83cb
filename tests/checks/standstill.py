"""A test that failed while the machine stood still is run once more, and the run says which.

A machine that others share may stop for seconds. Then calls pass deadlines that belong to what is tested, and no test
can wait those out. A machine that is only busy gives this thread its turn within a fraction of that time.
"""

import threading
import time
from dataclasses import dataclass
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

PROPERTY = "chatkit_repeated"
LEAST_SECONDS = 2.0
_TICK_SECONDS = 0.1


@dataclass(slots=True)
class Watch:
    """The longest time for which this process got no turn, since it was last asked for."""

    longest: float = 0.0
    is_ended: bool = False

    def begin(self) -> None:
        """Look on from a thread of its own."""
        threading.Thread(target=self._look, name="standstill", daemon=True).start()

    def taken(self) -> float:
        """Return the longest time, and begin anew."""
        longest, self.longest = self.longest, 0.0
        return longest

    def _look(self) -> None:
        before = time.monotonic()
        while not self.is_ended:
            time.sleep(_TICK_SECONDS)
            now = time.monotonic()
            self.longest = max(self.longest, now - before - _TICK_SECONDS)
            before = now


class Repeater:
    """Runs tests, those a second time that failed while the machine stood still."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def pytest_sessionstart(self) -> None:
        """Begin to watch."""
        self._watch.begin()

    def pytest_sessionfinish(self) -> None:
        """Watch no more."""
        self._watch.is_ended = True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        """Run a test, and report the last time it was run."""
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        self._watch.taken()
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
        seconds = self._watch.taken()
        if seconds >= LEAST_SECONDS and (failed := [report for report in reports if report.failed]):
            told = f"the machine stood still for {seconds:.1f} s\n\n{failed[0].longreprtext}"
            item.user_properties.append((PROPERTY, told))
            reports = runtestprotocol(item, log=False, nextitem=nextitem)
        for report in reports:
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True


def first_failure(report: Any) -> str | None:
    """Return how a test failed that was run once more, with the time for which the machine stood still."""
    return next((told for name, told in report.user_properties if name == PROPERTY), None)
