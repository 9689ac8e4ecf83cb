"""The whole check of the repository, `./chatkit test`: lint, types, contract and tests, one named step after the other.

With arguments it runs pytest alone, in one process, and hands them on (`-n 2` makes it two workers); paths among them
are relative to the root of the repository.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from tests.checks.ledger import Ledger
from tests.checks.steps import TOTAL_SECONDS, pytest_step, run_all, static_steps
from tests.checks.summary import closing_line, not_run, repeating, run_twice

INTERRUPTED = 130


def main(arguments: list[str]) -> int:
    """Run the steps, print what did not run and the count of what did, and return the exit status."""
    scratch = Path(tempfile.mkdtemp(prefix="chatkit-"))
    ledger_file = scratch / "ledger.json"
    static, tests = static_steps(), pytest_step(scratch, ledger_file, arguments)
    try:
        results = run_all([tests] if arguments else [*static, tests], TOTAL_SECONDS)
    except KeyboardInterrupt:
        print("interrupted")
        return INTERRUPTED
    left_out = [step.left_out("pytest alone was asked for") for step in static] if arguments else []
    ledger = Ledger.read(ledger_file) or Ledger()
    ok = not any(result.status for result in results)
    print("\nNot run:", *(not_run([*left_out, *results], ledger) or ["nothing was left out"]), sep="\n  ")
    print(*run_twice(ledger), sep="\n", end="")
    if ok:
        shutil.rmtree(scratch)
    else:
        print(f"\nThe files of the failed tests are in {scratch}")
        print(*(f"To repeat them: {command}" for command in repeating(ledger, scratch)), sep="\n")
    print(f"\n{closing_line(results, ledger)}")
    return 0 if ok else results[-1].status or 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
