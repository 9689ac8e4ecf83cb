"""Mutants are made as they say, what tests do not notice is told, and the source stays as it is."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.checks.mutants import mutants
from tests.checks.mutate import CanNotJudge, target_of
from tests.checks.steps import ROOT

_MODULE = """\
def is_adult(age):
    return age >= 18


def twice(number):
    return number + number
"""
# Whoever is exactly eighteen is not asked about; nothing else is left out.
_TESTS = """\
from sample import is_adult, twice

def test_it():
    assert is_adult(30) is True
    assert is_adult(17) is False
    assert twice(4) == 8
"""
_ENDLESS = """\
def one():
    return 1


def known(name):
    while not name:
        pass
    return name
"""
_ENDLESS_TESTS = """\
from sample import known, one

def test_it():
    assert one() == 1
    assert known(3) == 3
"""
_SURVIVORS = [(2, "age >= 18", "age > 18"), (2, "18", "19")]


def _changes(source: str) -> set[tuple[str, str]]:
    return {(mutant.before, mutant.after) for mutant in mutants(source, "sample.py")}


@pytest.mark.parametrize(
    ("source", "changes"),
    [
        ("x = a < b", {("a < b", "a <= b")}),
        ("x = a == b is c", {("a == b is c", "a != b is c"), ("a == b is c", "a == b is not c")}),
        ("x = a and b", {("a and b", "a or b")}),
        ("x = not a", {("not a", "a")}),
        ("x = a - b", {("a - b", "a + b")}),
        ("x = 3", {("3", "4"), ("3", "2")}),
        ("x = True", {("True", "False")}),
        ("a()", {("a()", "pass")}),
        ("a.b = c", {("a.b = c", "pass")}),
        ("x += y", {("x += y", "pass"), ("x += y", "x -= y")}),
        ("raise E", {("raise E", "pass")}),
        ("def f():\n    return a", {("return a", "return None")}),
        ("def f() -> X:\n    return None", set()),
        ('"""A text."""\nx: list[3] = "a"\nf = a', set()),
    ],
)
def test_a_mutant_is_one_small_change(source: str, changes: set[tuple[str, str]]) -> None:
    assert _changes(source) == changes


def test_a_mutant_does_what_it_says_and_leaves_the_others_as_they_are() -> None:
    values = []
    for mutant in mutants("x = 1 + 2", "sample.py"):
        names: dict[str, Any] = {}
        exec(mutant.code, names)  # noqa: S102 - it is a sum
        values.append((mutant.after, names["x"]))
    assert sorted(values) == [("0", 2), ("1", 2), ("1 - 2", -1), ("2", 4), ("3", 4)]


def test_the_tests_of_a_module_are_at_the_mirrored_path() -> None:
    target = target_of("services/messages/fanout/hub.py", ["tests/messages/fanout/test_replicas.py"])
    assert target == target_of("services.messages.fanout.hub", ["tests/messages/fanout/test_replicas.py"])
    folder = ROOT / "tests/messages/fanout"
    assert target.tests == (folder / "test_hub.py", folder / "test_replicas.py")
    target = target_of("clients/python/chatkit_client/tokens.py", [])
    assert target == target_of("chatkit_client.tokens", [])
    assert target.tests == (ROOT / "tests/clients/test_tokens.py",)
    for module, tests in (("services/none.py", []), ("services/runtime/clock.py", []), ("tests/conftest.py", ["none"])):
        with pytest.raises(CanNotJudge):
            target_of(module, tests)


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """Write a module and its tests."""
    (tmp_path / "sample.py").write_text(_MODULE)
    (tmp_path / "test_sample.py").write_text(_TESTS)
    return tmp_path


def _command(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    named = (str(folder / "sample.py"), "--tests", str(folder / "test_sample.py"))
    return subprocess.Popen(
        [sys.executable, "-m", "tests.checks.mutate", *named, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_what_the_tests_do_not_notice_is_told_and_fails(sample: Path) -> None:
    with _command(sample, "--json") as command:
        told = json.loads(command.communicate()[0])
    assert (command.returncode, told["mutants"], told["killed"], told["not_tried"]) == (1, 6, 4, 0)
    assert [tuple(one.values()) for one in told["survived"]] == _SURVIVORS
    assert (sample / "sample.py").read_text() == _MODULE


def test_tests_that_notice_everything_pass(sample: Path) -> None:
    (sample / "test_sample.py").write_text(_TESTS + "    assert is_adult(18) is True\n")
    with _command(sample) as command:
        told, progress = command.communicate()
    assert (command.returncode, told) == (0, "sample: 6 mutants, 6 killed, 0 survived\n")
    assert "[6/6] line    6  number + number  ->  number - number: killed" in progress


def _make_endless(folder: Path) -> None:
    """Let the sample be one of which a mutant never ends."""
    (folder / "sample.py").write_text(_ENDLESS)
    (folder / "test_sample.py").write_text(_ENDLESS_TESTS)


def test_a_mutant_that_goes_on_for_ever_is_killed(sample: Path) -> None:
    _make_endless(sample)
    with _command(sample, "--json") as command:
        told = json.loads(command.communicate()[0])
    assert (command.returncode, told["killed"], told["survived"]) == (0, 5, [])


def test_tests_that_fail_as_it_is_can_not_judge(sample: Path) -> None:
    (sample / "test_sample.py").write_text("def test_it():\n    assert 1 == 2\n")
    with _command(sample) as command:
        _, told = command.communicate()
    assert command.returncode == 2
    assert "the tests fail without any mutant" in told


def test_an_interrupted_run_tells_what_it_knows(sample: Path) -> None:
    _make_endless(sample)
    with _command(sample) as command:
        assert command.stderr is not None
        for line in command.stderr:
            if line.startswith("[1/"):
                command.send_signal(signal.SIGINT)
                break
        told, _ = command.communicate()
    assert command.returncode == 130
    assert "not tried" in told
    assert (sample / "sample.py").read_text() == _ENDLESS
