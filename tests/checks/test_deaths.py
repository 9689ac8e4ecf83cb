"""A worker that dies is reported with its test, its signal and its last lines, and the run says how to repeat it."""

import os
import subprocess
import sys
from pathlib import Path

from tests.checks.ledger import FAILURES, Ledger
from tests.checks.steps import ROOT
from tests.checks.summary import repeating

_TESTS = """
import os, signal, sys

def test_before():
    print("read by pytest, and of no interest")

def test_that_dies():
    os.write(2, b"a native thread says this\\n")
    os.kill(os.getpid(), signal.{name})

def test_after():
    pass

def test_that_fails():
    assert False, "as every day"
"""


def _run(folder: Path, name: str) -> tuple[str, Ledger]:
    (folder / "test_sample.py").write_text(_TESTS.format(name=name))
    ledger = folder / "ledger.json"
    plugins = ("-p", "tests.checks.ledger", "-p", "no:cacheprovider", f"--ledger={ledger}")
    command = (sys.executable, "-m", "pytest", *plugins, "--numprocesses=1", "--rootdir=.", "test_sample.py")
    told = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    done = subprocess.run(
        command, cwd=folder, env={**told, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    read = Ledger.read(ledger)
    assert read is not None, done.stdout + done.stderr
    return done.stdout, read


def test_what_killed_a_worker_is_in_the_report_of_its_test(tmp_path: Path) -> None:
    shown, ledger = _run(tmp_path, "SIGSEGV")
    assert "worker gw0 was killed by SIGSEGV in test_sample.py::test_that_dies" in shown
    last_lines = shown.partition("The last lines of its process")[2]
    assert "a native thread says this" in last_lines
    # Python's fault handler, with the line that did it.
    assert 'test_sample.py", line 9 in test_that_dies' in last_lines
    assert "of no interest" not in last_lines
    assert (ledger.passed, ledger.failed) == (2, 2)


def test_the_run_says_how_to_repeat_what_failed(tmp_path: Path) -> None:
    _, ledger = _run(tmp_path, "SIGKILL")
    both = ["test_sample.py::test_that_dies", "test_sample.py::test_that_fails"]
    assert sorted(ledger.failures) == both
    [failed, died] = repeating(ledger, tmp_path)
    assert all(test in failed for test in both)
    tests = Path(died.partition("@")[2].partition("  #")[0])
    assert tests.read_text().splitlines() == ["test_sample.py::test_before", "test_sample.py::test_that_dies"]


def test_what_fails_is_told_at_once_and_written_down(tmp_path: Path) -> None:
    shown, _ = _run(tmp_path, "SIGKILL")
    at_once = shown.partition(" FAILURES ")[0]
    assert "\nFAILED test_sample.py::test_that_fails\n" in at_once
    assert "\nFAILED test_sample.py::test_that_dies\n" in at_once
    assert "AssertionError: as every day" in (tmp_path / FAILURES).read_text()


def test_many_failures_are_named_in_a_file(tmp_path: Path) -> None:
    names = [f"tests/a.py::test_{number}[x y]" for number in range(6)]
    [command] = repeating(Ledger(failed=6, failures=names), tmp_path)
    assert Path(command.partition("@")[2]).read_text().splitlines() == names
    assert repeating(Ledger(failed=1, failures=names[:1]), tmp_path) == ["./chatkit test 'tests/a.py::test_0[x y]'"]
