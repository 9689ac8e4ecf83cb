"""`python -m services.users serve` and `… migrate`."""

import sys
from pathlib import Path

from services.runtime.process import main
from services.users.app import build

if __name__ == "__main__":
    sys.exit(main("users", build, Path(__file__).parent / "migrations"))
