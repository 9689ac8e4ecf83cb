"""`python -m services.messages serve`, `… migrate` and `… rotate-epoch`."""

import sys
from pathlib import Path

from services.messages.app import build
from services.messages.epoch import rotate
from services.runtime.process import main
from services.runtime.settings import Settings


def _rotate_epoch(settings: Settings) -> str:
    epoch = rotate(settings.database_url.get_secret_value())
    return f"the epoch is {epoch}" if epoch is not None else "no log was ever written: there is nothing to rotate"


if __name__ == "__main__":
    sys.exit(main("messages", build, Path(__file__).parent / "migrations", {"rotate-epoch": _rotate_epoch}))
