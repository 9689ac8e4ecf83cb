"""`rotate-epoch`: after a restore, positions of before are of another log."""

import sys
from collections.abc import Collection

from services.runtime.clock import Clock
from services.runtime.data.epoch import rotate
from services.runtime.settings import Settings


async def rotate_epoch(settings: Settings, _clock: Clock, _flags: Collection[str]) -> int:
    """Rotate the epoch, say which it is, and return the exit status."""
    epoch = rotate(settings.database_url.get_secret_value(), "messages")
    told = "no log was ever written: there is nothing to rotate" if epoch is None else f"the epoch is {epoch}"
    sys.stdout.write(f"{told}\n")
    return 0
