"""The steps of `./chatkit test` and how one is run: quietly unless it fails, within what is left of the time.

The tools are those of the environment that runs this, never others on the PATH.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LANDED = "protos/landed.binpb"
TOTAL_SECONDS = 82 * 60
CLEAN_UP_SECONDS = 180
# Who sets it wants no files beside the sources. Tests start processes by the hundred, each of which would compile the
# services anew: a seventh of its start, and most of what pytest's workers do before their first test.
_NOT_TOLD = "PYTHONDONTWRITEBYTECODE"
MOST_WORKERS = 4  # each has a PostgreSQL, and of the tests that are left at the end some are long


@dataclass(frozen=True, slots=True)
class Step:
    """A named command; `live` ones print as they go, the others only if they fail."""

    name: str
    command: tuple[str, ...]
    live: bool = False
    absent: str = ""  # why it is not run, if it is not

    def left_out(self, reason: str) -> "Result":
        """Return the result of not running it."""
        return Result(replace(self, absent=reason), None)


@dataclass(frozen=True, slots=True)
class Result:
    """How a step ended: exit status 0 is success, None that it was not run."""

    step: Step
    status: int | None
    seconds: float = 0.0

    @property
    def verdict(self) -> str:
        """Say it in a few words."""
        if self.status is None:
            return f"not run: {self.step.absent}"
        return f"{f'FAILED, status {self.status}' if self.status else 'ok'} ({self.seconds:.1f} s)"


def static_steps() -> list[Step]:
    """List what is checked without running the code."""
    no_landed = "" if (ROOT / LANDED).exists() else f"there is no {LANDED} yet: no contract has landed"
    return [
        Step("ruff check", (_tool("ruff"), "check")),
        Step("ruff format", (_tool("ruff"), "format", "--check")),
        Step("mypy", (sys.executable, "-m", "mypy")),
        Step("buf lint", (_tool("buf"), "lint", "protos")),
        Step("buf build", (_tool("buf"), "build", "protos")),
        Step("buf breaking", (_tool("buf"), "breaking", "protos", "--against", LANDED), absent=no_landed),
        Step("stub drift", (sys.executable, "protos/generate.py", "--check")),
    ]


def pytest_step(scratch: Path, ledger: Path, arguments: list[str]) -> Step:
    """Run pytest with its files in `scratch`: a fixed place under /tmp would be shared with other users and clones.

    Without arguments the whole suite is run by several workers; with some it is the one process that --pdb needs.
    """
    command = (sys.executable, "-m", "pytest", "-p", "tests.checks.ledger")
    told = (f"--ledger={ledger}", f"--basetemp={scratch / 't'}", *(arguments or _several_workers()))
    return Step("pytest", (*command, *told), live=True)


def _several_workers() -> list[str]:
    # Of two workers on two cores one waits a quarter of its time, for processes to start and for time to pass.
    workers = min((os.cpu_count() or 1) + 1, MOST_WORKERS)
    # Tests stay in their order, whose neighbours need the same, until a worker has none left and takes of another's.
    return [f"--numprocesses={workers}", "--dist=worksteal", "--override-ini=console_output_style=count"]


def run(step: Step, seconds: float) -> Result:
    """Run a step, which may take that many seconds."""
    if step.absent:
        return Result(step, None)
    began = time.monotonic()
    status = _run_live(step, seconds) if step.live else _run_quietly(step, seconds)
    return Result(step, status, time.monotonic() - began)


def run_all(steps: Sequence[Step], seconds: float) -> list[Result]:
    """Run steps one after the other, and print how each ended; all together may take that many seconds."""
    deadline = time.monotonic() + seconds
    results = []
    for number, step in enumerate(steps, start=1):
        label = f"[{number}/{len(steps)}] {step.name}"
        print(label, end=":\n" if step.live else " … ", flush=True)
        result = run(step, max(1.0, deadline - time.monotonic()))
        results.append(result)
        print(f"{label} {result.verdict}" if step.live else result.verdict, flush=True)
    return results


def _run_quietly(step: Step, seconds: float) -> int:
    try:
        done = subprocess.run(
            step.command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        print(f"\nstopped after {seconds:.0f} s")
        return 1
    if done.returncode:
        print(f"\n{done.stdout.decode(errors='replace')}", end="")
    return done.returncode


def _run_live(step: Step, seconds: float) -> int:
    """Let the tests end in their own way when time is up or somebody stops the run: they have processes to end."""
    told = {name: value for name, value in os.environ.items() if name != _NOT_TOLD}
    with subprocess.Popen(step.command, cwd=ROOT, env=told) as process:
        signal.signal(signal.SIGTERM, lambda *_: process.send_signal(signal.SIGINT))
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            print(f"\nstopping after {seconds:.0f} s", flush=True)
            process.send_signal(signal.SIGINT)
        except KeyboardInterrupt:  # the terminal has told pytest as well
            pass
        return _clean_up(process)


def _clean_up(process: subprocess.Popen[bytes]) -> int:
    try:
        process.wait(CLEAN_UP_SECONDS)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.kill()
    return process.wait() or 1


def _tool(name: str) -> str:
    return os.fspath(Path(sys.executable).parent / name)
