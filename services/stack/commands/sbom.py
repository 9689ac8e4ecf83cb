"""`chatkit sbom`: what an image has that others made, as CycloneDX."""

import argparse
import json
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from services.stack.cli import ROOT
from services.stack.commit import commit
from services.stack.home import Home
from services.stack.shipped.cyclonedx import document
from services.stack.trouble import Trouble

_EPOCH = "SOURCE_DATE_EPOCH"
_COMMITTED_AT = ("git", "log", "-1", "--format=%ct")


def run(_home: Home, arguments: argparse.Namespace) -> int:
    """Print it, or write it into a file."""
    shown = json.dumps(document(arguments.image, commit(), _made_at()), indent=2) + "\n"
    if arguments.output is None:
        print(shown, end="")
        return 0
    try:
        Path(arguments.output).write_text(shown, encoding="utf-8")
    except OSError as error:
        raise Trouble(f"{arguments.output} can't be written: {error.strerror}") from None
    return 0


def _made_at() -> datetime | None:
    """Return the time that the environment tells reproducible builds, or else the commit's, if there is one."""
    told = os.environ.get(_EPOCH) or (_git() if commit() else "")
    if not told:
        return None
    try:
        return datetime.fromtimestamp(int(told), UTC)
    except (ValueError, OverflowError, OSError):
        raise Trouble(f"{_EPOCH} must be seconds since 1970, and is {told!r}") from None


def _git() -> str:
    return subprocess.run(_COMMITTED_AT, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
