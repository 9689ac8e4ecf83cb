"""What lies in a folder that others write to meanwhile."""

import os
from pathlib import Path


def files_in(folder: Path) -> list[Path]:
    """List the files in a folder and in those below it.

    Path.rglob would raise when somebody removes a folder that it is about to look into.
    """
    return [Path(parent) / name for parent, _, names in os.walk(folder) for name in names]
