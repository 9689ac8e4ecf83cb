"""The end of `./chatkit test`: what did not run and why, and one line that counts what did."""

from tests.checks.ledger import Ledger
from tests.checks.steps import Result


def not_run(results: list[Result], ledger: Ledger) -> list[str]:
    """List steps and tests that were not run, each with its reason."""
    steps = [f"{result.step.name}: {result.step.absent}" for result in results if result.status is None]
    tests = [f"{test}: {reason}" for reason, tests in sorted(ledger.skipped.items()) for test in tests]
    rest = {
        "the arguments did not select": ledger.deselected,
        "the run ended before": ledger.not_reached,
    }
    return [*steps, *tests, *(f"{why} {count} tests" for why, count in rest.items() if count)]


def closing_line(results: list[Result], ledger: Ledger) -> str:
    """Count tests and other steps together; a run of pytest that failed without a failed test counts as one."""
    steps = [result for result in results if not result.step.live]
    broken = any(result.step.live and result.status and not ledger.failed for result in results)
    passed = ledger.passed + sum(result.status == 0 for result in steps)
    failed = ledger.failed + sum(bool(result.status) for result in steps) + broken
    skipped = sum(map(len, ledger.skipped.values())) + sum(result.status is None for result in steps)
    return f"{passed} passed, {failed} failed, {skipped} skipped"
