"""The end of `./chatkit test`: what did not run and why, how to repeat what failed, and one line that counts."""

import shlex
from pathlib import Path

from tests.checks.ledger import Ledger
from tests.checks.steps import Result

_MOST_NAMED = 5  # tests on one command line


def not_run(results: list[Result], ledger: Ledger) -> list[str]:
    """List steps and tests that were not run, each with its reason."""
    steps = [f"{result.step.name}: {result.step.absent}" for result in results if result.status is None]
    tests = [f"{test}: {reason}" for reason, tests in sorted(ledger.skipped.items()) for test in tests]
    rest = {
        "the arguments did not select": ledger.deselected,
        "the run ended before": ledger.not_reached,
    }
    return [*steps, *tests, *(f"{why} {count} tests" for why, count in rest.items() if count)]


def run_twice(ledger: Ledger) -> list[str]:
    """List the tests that were run once more, each with the reason, under a line that says so."""
    return ["\nRun once more after a failure:", *(f"  {test}" for test in ledger.repeated)] if ledger.repeated else []


def repeating(ledger: Ledger, folder: Path) -> list[str]:
    """List the commands that run again what failed; long lists of tests are written into the folder."""
    commands = []
    if ledger.failures:
        told = shlex.join(ledger.failures)
        if len(ledger.failures) > _MOST_NAMED:
            listed = folder / "failed.tests"
            listed.write_text("".join(f"{test}\n" for test in ledger.failures))
            told = f"@{listed}"
        commands.append(f"./chatkit test {told}")
    commands += [f"./chatkit test @{tests}  # all that a worker did until it died" for tests in ledger.dead_workers]
    return commands


def closing_line(results: list[Result], ledger: Ledger) -> str:
    """Count tests and other steps together; a run of pytest that failed without a failed test counts as one."""
    steps = [result for result in results if not result.step.live]
    broken = any(result.step.live and result.status and not ledger.failed for result in results)
    passed = ledger.passed + sum(result.status == 0 for result in steps)
    failed = ledger.failed + sum(bool(result.status) for result in steps) + broken
    skipped = sum(map(len, ledger.skipped.values())) + sum(result.status is None for result in steps)
    return f"{passed} passed, {failed} failed, {skipped} skipped"
