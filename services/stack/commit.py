"""The commit of the sources that `up` runs, so that their processes can say it."""

import subprocess
from functools import cache
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_GIT = ("git", "describe", "--always", "--exclude=*", "--abbrev=40", "--dirty")


@cache
def commit() -> str:
    """Return it, with `-dirty` where files were changed; empty where there is no repository, or no git."""
    if not (_ROOT / ".git").exists():
        return ""
    try:
        done = subprocess.run(_GIT, cwd=_ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()
