"""Rotating the epoch of each service whose positions others keep."""

import subprocess
import sys
from collections.abc import Mapping

from services.stack.trouble import Trouble


def rotated(service: str, environment: Mapping[str, str]) -> str:
    """Rotate the epoch of a service, and return what it says of it."""
    command = [sys.executable, "-m", f"services.{service}", "rotate-epoch"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise Trouble((ended.stderr.strip() or f"the epoch of {service} could not be rotated").splitlines()[-1])
    return ended.stdout.strip()
