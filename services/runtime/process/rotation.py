"""`rotate-epoch`: after PostgreSQL's files were put back while nothing ran, positions of before are of another life."""

import sys
from collections.abc import Collection

from services.runtime.clock import Clock
from services.runtime.data.epoch import rotate
from services.runtime.process.main import Run
from services.runtime.settings import Settings


def rotating(schema: str) -> Run[Settings]:
    """Return the command of the service whose schema it is."""

    async def rotate_epoch(settings: Settings, _clock: Clock, _flags: Collection[str]) -> int:
        """Rotate the epoch, say which it is, and return the exit status."""
        epoch = rotate(settings.database_url.get_secret_value(), schema)
        told = "nothing was ever written: there is nothing to rotate" if epoch is None else f"the epoch is {epoch}"
        sys.stdout.write(f"{told}\n")
        return 0

    return rotate_epoch
