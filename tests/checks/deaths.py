"""What is known of a worker that died, for the report of its test and for repeating what it did.

A worker writes the tests that it begins, and what is captured of its standard error, to files in the folder of the
ledger, which outlive the process.
"""

import faulthandler
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

_FOLDER = "chatkit_folder"
_LAST_LINES = 60
_WAIT_SECONDS = 10.0


class Witness:
    """In a worker: keeps the names of its tests, and what is captured of its standard error."""

    def __init__(self, config: pytest.Config, folder: Path) -> None:
        name = os.environ["PYTEST_XDIST_WORKER"]
        self._tests = _tests_of(folder, name)
        self._capture = config.pluginmanager.getplugin("capturemanager")
        self._log = _log_of(folder, name)

    def pytest_sessionstart(self) -> None:
        """Capture into a file that has a name, and let Python's fault handler write there."""
        capturing = self._capture._global_capturing  # pytest has no other way to its files
        if capturing is None:
            return
        # Not for appending: pytest empties the file after each phase of a test, and writes on from its beginning.
        with self._log.open("w+b") as log:
            os.dup2(log.fileno(), capturing.err.tmpfile.fileno())
        faulthandler.enable(os.dup(capturing.err.tmpfile.fileno()))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Note a test that begins."""
        with self._tests.open("a") as tests:
            tests.write(f"{nodeid}\n")


class DeadWorkers:
    """In the process that has the workers: reports those that die."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # The tests that each has begun, the last of which it died of, in a file.
        self.tests: list[Path] = []

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker where to leave things."""
        node.workerinput[_FOLDER] = str(self._folder)

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str, report: Any) -> None:
        """Say in the report of the test what is known."""
        worker = report.node.gateway.id
        self.tests.append(_tests_of(self._folder, worker))
        lines = _read(_log_of(self._folder, worker)).splitlines()[-_LAST_LINES:]
        report.longrepr = "\n".join(
            [
                f"worker {worker} {_ending(report.node)} in {crashitem}",
                f"The last lines of its process ({_log_of(self._folder, worker)}):",
                *(f"  {line}" for line in lines or ["(none)"]),
            ]
        )


def folder_of(worker_input: dict[str, Any]) -> Path | None:
    """Return the folder that a worker was told, if it was."""
    return Path(worker_input[_FOLDER]) if _FOLDER in worker_input else None


def _ending(node: Any) -> str:
    """Say how a worker's process ended."""
    process = node.gateway._io.popen  # xdist and execnet keep the process to themselves
    try:
        status = process.wait(_WAIT_SECONDS)
    except subprocess.TimeoutExpired:
        return "stopped answering"
    if status >= 0:
        return f"ended with status {status}"
    return f"was killed by {signal.Signals(-status).name}"


def _tests_of(folder: Path, worker: str) -> Path:
    return folder / f"{worker}.tests"


def _log_of(folder: Path, worker: str) -> Path:
    return folder / f"{worker}.log"


def _read(path: Path) -> str:
    return path.read_bytes().decode(errors="replace").replace("\0", "") if path.exists() else ""
