"""Mutation tests of one module, `./chatkit mutate MODULE`: it tells which small changes its tests do not notice.

A library was no help: cosmic-ray changes the source in place and starts a process for each mutant, and mutmut wants a
layout of its own. Here each mutant lives in the memory of a forked child, which has imported the rest before.
"""

import argparse
import importlib
import importlib.abc
import importlib.machinery
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import pytest
from hypothesis.internal.conjecture import engine

from tests.checks.mutants import Mutant, mutants
from tests.checks.steps import ROOT
from tests.contract.sources import imports

USAGE, INTERRUPTED = 2, 130
_PATIENCE, _LEAST_SECONDS = 5.0, 5.0
_POLL_SECONDS = 0.005
_IMPORTED_BEFORE = ("-W", "ignore::pytest.PytestAssertRewriteWarning")
_OURS = ("benchmarks", "chatkit_client", "services", "tests")
# From where they are imported.
_ROOTS = (ROOT / "clients" / "python", ROOT)
# Where the tests are, by a module's first name.
_MIRRORED = {"services": "tests", "chatkit_client": "tests/clients"}


class CanNotJudge(Exception):
    """Why nothing can be said about a module's tests."""


@dataclass(frozen=True, slots=True)
class Target:
    """A module, and the tests that belong to it."""

    name: str
    path: Path
    tests: tuple[Path, ...]


@dataclass(slots=True)
class Report:
    """What became of the mutants so far."""

    target: Target
    mutants: int
    killed: int = 0
    survivors: list[Mutant] = field(default_factory=list)

    @property
    def judged(self) -> int:
        """How many were tried."""
        return self.killed + len(self.survivors)

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "module": self.target.name,
            "tests": [_shown(path) for path in self.target.tests],
            "mutants": self.mutants,
            "killed": self.killed,
            "survived": [{"line": one.line, "before": one.before, "after": one.after} for one in self.survivors],
            "not_tried": self.mutants - self.judged,
        }

    def as_text(self) -> str:
        """Return it for people."""
        counts = f"{self.mutants} mutants, {self.killed} killed, {len(self.survivors)} survived"
        rest = self.mutants - self.judged
        head = f"{self.target.name}: {counts}" + (f", {rest} not tried" if rest else "")
        return "\n".join([head, *(f"  {one}" for one in self.survivors)])


def target_of(module: str, tests: Sequence[str]) -> Target:
    """Find a module and its tests, or raise CanNotJudge; a file outside the repository is imported by its stem."""
    path = (ROOT / module).resolve() if module.endswith(".py") else _source_of(module)
    if path is None or not path.is_file():
        raise CanNotJudge(f"there is no {path or module}")
    inside = next((path.relative_to(root) for root in _ROOTS if path.is_relative_to(root)), None)
    named = [(ROOT / test).resolve() for test in tests]
    if inside is not None and inside.parts[0] in _MIRRORED:
        mirrored = ROOT.joinpath(_MIRRORED[inside.parts[0]], *inside.parts[1:-1], f"test_{path.name}")
        named = [mirrored, *named] if mirrored.exists() else named
    if not named:
        raise CanNotJudge("no tests belong to it by their path: name some with --tests")
    if missing := [test for test in named if not test.exists()]:
        raise CanNotJudge(f"there is no {missing[0]}")
    name = path.stem if inside is None else ".".join(inside.with_suffix("").parts)
    return Target(name, path, tuple(named))


class _InMemory(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Lets one module be what a code says; whoever imports it is none the wiser."""

    def __init__(self, target: Target, code: CodeType) -> None:
        self._target = target
        self._code = code

    def find_spec(self, fullname: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        """Find the one module."""
        if fullname != self._target.name:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, origin=str(self._target.path))

    def exec_module(self, module: ModuleType) -> None:
        """Make the module what the code says."""
        module.__file__ = str(self._target.path)
        exec(self._code, module.__dict__)  # noqa: S102 - the module's own code


class _Stop:
    """Notes that somebody wants an end: an exception would get lost where it comes in the midst of a fork."""

    def __init__(self) -> None:
        self._is_wanted = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)

    def _note(self, *_: object) -> None:
        self._is_wanted = True

    def check(self) -> None:
        """Raise KeyboardInterrupt if so."""
        if self._is_wanted:
            raise KeyboardInterrupt


class Judge:
    """Runs the tests against a mutant, in a child of its own; `scratch` is for what they write."""

    def __init__(self, target: Target, scratch: Path) -> None:
        self._stop = _Stop()
        self._target = target
        self._scratch = scratch
        self._original = compile(target.path.read_text(), str(target.path), "exec")
        self._loaded = scratch / "loaded.json"
        self._seconds: float | None = None

    def prepare(self) -> float:
        """Import what takes long, and measure the tests; raises CanNotJudge when they fail as it is."""
        if self.kills(self._original):
            self._run(self._original, shows=True)
            raise CanNotJudge("the tests fail without any mutant, see above")
        loaded = json.loads(self._loaded.read_text())
        dependents = _dependents(self._target.name, loaded)
        for name in loaded:
            if name not in dependents:
                # What can't be imported from here is imported by the tests themselves.
                with suppress(Exception):
                    importlib.import_module(name)
        began = time.monotonic()
        if self.kills(self._original):
            self._run(self._original, shows=True)
            raise CanNotJudge("the tests fail without any mutant once all is imported, see above")
        took = time.monotonic() - began
        self._seconds = max(_PATIENCE * took, _LEAST_SECONDS)
        return took

    def kills(self, code: CodeType) -> bool:
        """Tell whether the tests notice; a mutant that goes on for ever is noticed."""
        return self._run(code) != 0

    def _run(self, code: CodeType, *, shows: bool = False) -> int | None:
        child = os.fork()
        if not child:
            self._be_child(code, shows=shows)
        # By both, so that it is so before either goes on: Ctrl-C in a terminal is for the parent alone.
        with suppress(PermissionError):
            os.setpgid(child, child)
        deadline = None if self._seconds is None else time.monotonic() + self._seconds
        try:
            return self._status(child, deadline)
        finally:
            # Whatever it has started goes with it.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(child, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(child, 0)

    def _status(self, child: int, deadline: float | None) -> int | None:
        """Wait for a child; None if it takes too long."""
        while True:
            self._stop.check()
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            if deadline is not None and time.monotonic() > deadline:
                return None
            time.sleep(_POLL_SECONDS)

    def _be_child(self, code: CodeType, *, shows: bool) -> None:
        status: int = 3
        try:
            os.setpgid(0, 0)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            if not shows:
                nowhere = os.open(os.devnull, os.O_RDWR)
                for stream in range(3):
                    os.dup2(nowhere, stream)
            sys.dont_write_bytecode = True
            sys.meta_path.insert(0, _InMemory(self._target, code))
            # What is found need not be made smaller.
            engine.MAX_SHRINKING_SECONDS = 0
            status = int(pytest.main(self._arguments()))
            # In their order: some can't be imported before those that import them.
            self._loaded.write_text(json.dumps(list(sys.modules)))
        except BaseException:  # noqa: BLE001 - a child of the fork must not go on as its parent does
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def _arguments(self) -> list[str]:
        own = ["-x", "-q", "-p", "no:cacheprovider", "--hypothesis-seed=0", *_IMPORTED_BEFORE]
        return [*own, f"--config-file={ROOT / 'pyproject.toml'}", f"--basetemp={self._scratch / 't'}", *self._tests()]

    def _tests(self) -> list[str]:
        return [str(path) for path in self._target.tests]


def _dependents(name: str, loaded: Iterable[str]) -> set[str]:
    """Return which of our modules import one, directly or by others, and all tests, which pytest imports."""
    ours = {one: _source_of(one) for one in loaded if one.partition(".")[0] in _OURS}
    arrows = {one: set(imports(path)) if path else set() for one, path in ours.items()}
    found = {name}
    while True:
        more = {one for one, others in arrows.items() if one not in found and _touches(others, found)}
        if not more:
            break
        found |= more
    return found | {one for one in loaded if one.rpartition(".")[2].startswith(("test_", "conftest", "__"))}


def _touches(imported: set[str], found: set[str]) -> bool:
    return bool(imported & found) or any(one.rpartition(".")[0] in found for one in imported)


def _source_of(name: str) -> Path | None:
    paths = [root.joinpath(*name.split(".")) for root in _ROOTS]
    candidates = (found for path in paths for found in (path.with_suffix(".py"), path / "__init__.py"))
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def examine(report: Report, found: Sequence[Mutant], judge: Judge, *, is_quiet: bool) -> None:
    """Try each mutant, and say how it goes on."""
    for number, mutant in enumerate(found, 1):
        began = time.monotonic()
        is_killed = judge.kills(mutant.code)
        if is_killed:
            report.killed += 1
        else:
            report.survivors.append(mutant)
        if not is_quiet:
            verdict = "killed" if is_killed else "SURVIVED"
            took = time.monotonic() - began
            say(f"[{number}/{len(found)}] {mutant}: {verdict} ({took:.1f} s)")


def say(text: str) -> None:
    """Tell how it goes on; standard output belongs to the result."""
    print(text, file=sys.stderr, flush=True)


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="chatkit mutate",
        description="Change a module in small ways, one at a time, and tell which changes its tests do not notice.",
        epilog="The source stays as it is. The status is 0 when all were noticed, 1 when some were not, 2 when the "
        "tests can't judge, and 130 after Ctrl-C. Meant for modules without a database: each mutant runs the tests.",
    )
    parser.add_argument("module", help="a file or a module, such as services/messages/fanout/hub.py")
    parser.add_argument(
        "--tests",
        nargs="+",
        default=[],
        metavar="PATH",
        help="tests beside those at the mirrored path, such as tests/messages/fanout/test_hub.py",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON, and no progress")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run it, print the result, and return the exit status."""
    told = _parser().parse_args(arguments)
    scratch = Path(tempfile.mkdtemp(prefix="chatkit-mutate-"))
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(scratch / "hypothesis")
    try:
        return _judged(target_of(told.module, told.tests), scratch, is_json=told.json)
    except CanNotJudge as reason:
        say(f"chatkit mutate: {reason}")
        return USAGE
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _judged(target: Target, scratch: Path, *, is_json: bool) -> int:
    found = mutants(target.path.read_text(), str(target.path))
    judge, report = Judge(target, scratch), Report(target, len(found))
    took = judge.prepare()
    if not is_json:
        say(f"{target.name}: {len(found)} mutants; the tests take {took:.1f} s without any")
    is_interrupted = False
    try:
        examine(report, found, judge, is_quiet=is_json)
    except KeyboardInterrupt:
        is_interrupted = True
    print(json.dumps(report.as_json(), indent=2) if is_json else report.as_text())
    if is_interrupted:
        return INTERRUPTED
    return 1 if report.survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
