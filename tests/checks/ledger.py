"""A pytest plugin that writes down what ran and what did not, for the summary at the end of `./chatkit test`.

It runs in pytest's process (`-p tests.checks.ledger --ledger FILE`); the summary reads the file in its own. Where
pytest has workers, they report to it, and only it writes.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.checks.deaths import DeadWorkers, Witness, folder_of
from tests.checks.standstill import Repeater, Watch, first_failure

FAILURES = "failures.txt"
_DESELECTED = "chatkit_deselected"


@dataclass(slots=True)
class Ledger:
    """The outcome of a run of pytest; a test's last failure counts, whichever phase it was in."""

    passed: int = 0
    failed: int = 0
    failures: list[str] = field(default_factory=list)  # the tests that failed
    dead_workers: list[str] = field(default_factory=list)  # a file for each, with the tests that it began
    skipped: dict[str, list[str]] = field(default_factory=dict)  # the tests, by the reason
    repeated: list[str] = field(default_factory=list)  # the tests that failed while the machine stood still
    deselected: int = 0
    not_reached: int = 0

    @classmethod
    def read(cls, path: Path) -> "Ledger | None":
        """Read what `write` wrote, or return None if pytest did not get that far."""
        return cls(**json.loads(path.read_text())) if path.exists() else None

    def write(self, path: Path) -> None:
        """Write it for `read`."""
        path.write_text(json.dumps(asdict(self)))


class Recorder:
    """Collects the outcomes of one session and writes them at its end, also when it is interrupted.

    What fails is told at once, in a line, and written to FAILURES beside the ledger: nobody waits for the end to begin.
    """

    def __init__(self, path: Path, dead_workers: DeadWorkers, plugins: Any) -> None:
        self._path = path
        self._dead_workers = dead_workers
        self._plugins = plugins
        self._outcomes: dict[str, str] = {}
        self._reasons: dict[str, str] = {}
        self._repeated: dict[str, str] = {}
        self._deselected = 0

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note modules that can't be imported or skip themselves."""
        if report.outcome != "passed":
            self._note(report)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a phase of a test."""
        if (told := first_failure(report)) and report.nodeid not in self._repeated:
            self._repeated[report.nodeid] = told.partition("\n")[0]
            self._write(report.nodeid, told)
        if report.when == "call" or report.outcome != "passed":
            self._note(report)

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Count what -k, -m and the like left out."""
        self._deselected += len(items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Count what the workers left out: each of them has selected from all tests."""
        self._deselected = max(self._deselected, getattr(node, "workeroutput", {}).get(_DESELECTED, 0))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the file."""
        started = sum("::" in test for test in self._outcomes)
        ledger = Ledger(
            passed=self._count("passed"),
            failed=self._count("failed"),
            failures=[test for test, outcome in self._outcomes.items() if outcome == "failed"],
            dead_workers=[str(tests) for tests in self._dead_workers.tests],
            repeated=[f"{test}: {why}" for test, why in self._repeated.items()],
            deselected=self._deselected,
            not_reached=max(0, session.testscollected - started),
        )
        for test, reason in self._reasons.items():
            if self._outcomes[test] == "skipped":
                ledger.skipped.setdefault(reason, []).append(test)
        ledger.write(self._path)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if self._outcomes.get(report.nodeid) == "failed":
            return
        self._outcomes[report.nodeid] = report.outcome
        if report.outcome == "skipped":
            self._reasons[report.nodeid] = _reason(report)
        elif report.outcome == "failed":
            self._tell(report)

    def _tell(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        self._write(report.nodeid, report.longreprtext)
        self._plugins.get_plugin("terminalreporter").write(f"\nFAILED {report.nodeid}\n", red=True)

    def _write(self, test: str, told: str) -> None:
        with (self._path.parent / FAILURES).open("a") as failures:
            failures.write(f"{test}\n\n{told}\n\n\n")

    def _count(self, outcome: str) -> int:
        return sum(found == outcome for found in self._outcomes.values())


class Worker:
    """Tells the session that a worker of pytest-xdist works for what nothing else tells it."""

    def __init__(self, output: dict[str, object]) -> None:
        self._output = output
        self._deselected = 0

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Count what -k, -m and the like left out."""
        self._deselected += len(items)

    def pytest_sessionfinish(self) -> None:
        """Tell it."""
        self._output[_DESELECTED] = self._deselected


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --ledger."""
    parser.addoption("--ledger", type=Path, help="write what ran and what did not to this file, as JSON")


def pytest_configure(config: pytest.Config) -> None:
    """Record the session if it was asked for."""
    path = config.getoption("--ledger")
    output = getattr(config, "workeroutput", None)
    if output is not None or path:
        config.pluginmanager.register(Repeater(Watch()))
    if output is not None:
        config.pluginmanager.register(Worker(output))
        if folder := folder_of(getattr(config, "workerinput", {})):
            config.pluginmanager.register(Witness(config, folder))
    elif path:
        dead_workers = DeadWorkers(path.parent)
        config.pluginmanager.register(dead_workers)
        config.pluginmanager.register(Recorder(path, dead_workers, config.pluginmanager))


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    expected_failure = getattr(report, "wasxfail", None)
    if expected_failure is not None:
        return f"fails, as is known: {expected_failure.removeprefix('reason: ')}"
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    return str(report.longrepr)
