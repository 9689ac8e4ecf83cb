"""A test that failed while the machine stood still is run once more, and no other."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.checks.ledger import FAILURES, Ledger
from tests.checks.steps import ROOT
from tests.checks.summary import closing_line, run_twice

_TESTS = """
import os, pathlib, subprocess

import tests.checks.standstill

tests.checks.standstill.LEAST_SECONDS = {least}
runs = pathlib.Path("runs")

def count():
    runs.write_text(runs.read_text() + "x" if runs.exists() else "x")
    return len(runs.read_text())

def test_sample():
    us = os.getpid()
    subprocess.run(["sh", "-c", f"kill -STOP {{us}}; sleep 0.5; kill -CONT {{us}}"])
    {ending}
"""
_STANDS_STILL = 0.2


def _run(folder: Path, least: float, ending: str, *arguments: str) -> tuple[Ledger, int]:
    (folder / "test_sample.py").write_text(_TESTS.format(least=least, ending=ending))
    ledger = folder / "ledger.json"
    plugins = ("-p", "tests.checks.ledger", "-p", "no:cacheprovider", f"--ledger={ledger}")
    command = (sys.executable, "-m", "pytest", *plugins, "--rootdir=.", *arguments, "test_sample.py")
    told = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    done = subprocess.run(
        command, cwd=folder, env={**told, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    read = Ledger.read(ledger)
    assert read is not None, done.stdout + done.stderr
    return read, len((folder / "runs").read_text())


@pytest.mark.parametrize("arguments", [(), ("--numprocesses=1",)], ids=["alone", "in a worker"])
def test_what_failed_while_the_machine_stood_still_is_run_again(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    ledger, runs = _run(tmp_path, _STANDS_STILL, "assert count() == 2, 'too late'", *arguments)
    assert runs == 2
    assert closing_line([], ledger) == "1 passed, 0 failed, 0 skipped"
    [_, told] = run_twice(ledger)
    assert "test_sample.py::test_sample: the machine stood still for" in told
    assert "too late" in (tmp_path / FAILURES).read_text()


def test_what_fails_again_has_failed(tmp_path: Path) -> None:
    ledger, runs = _run(tmp_path, _STANDS_STILL, "assert count() > 2")
    assert (ledger.failures, runs) == (["test_sample.py::test_sample"], 2)


@pytest.mark.parametrize(
    ("least", "ending"),
    [(float("1e9"), "assert count() == 2"), (_STANDS_STILL, "count()")],
    ids=["the machine went on", "nothing failed"],
)
def test_nothing_else_is_run_again(tmp_path: Path, least: float, ending: str) -> None:
    ledger, runs = _run(tmp_path, least, ending)
    assert (ledger.repeated, runs) == ([], 1)
