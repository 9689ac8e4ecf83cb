"""`python -m services.rooms serve` and `… migrate`."""

import sys
from pathlib import Path

from services.rooms.app import build
from services.runtime.process import main

if __name__ == "__main__":
    sys.exit(main("rooms", build, Path(__file__).parent / "migrations"))
