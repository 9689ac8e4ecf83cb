"""The static steps of `./chatkit test` alone, `./chatkit lint`: lint, types and contract, in under a minute."""

import argparse
import sys

from tests.checks.steps import TOTAL_SECONDS, run_all, static_steps


def main() -> int:
    """Run them, and return the exit status."""
    argparse.ArgumentParser(prog="chatkit lint", description="Run lint, types and contract checks alone.").parse_args()
    try:
        return max(result.status or 0 for result in run_all(static_steps(), TOTAL_SECONDS))
    except KeyboardInterrupt:
        print("interrupted")
        return 130


if __name__ == "__main__":
    sys.exit(main())
