"""`python -m services.messages serve` and `… migrate`."""

import sys
from pathlib import Path

from services.messages.app import build
from services.runtime.process import main

if __name__ == "__main__":
    sys.exit(main("messages", build, Path(__file__).parent / "migrations"))
