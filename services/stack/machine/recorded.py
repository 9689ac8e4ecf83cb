"""The processes that a home has recorded, as the machine knows them."""

from collections.abc import Mapping

import psutil

from services.stack.home import Home, Running
from services.stack.trouble import Trouble


def process_of(name: str, pid: int, address: str) -> Running:
    """Record a process that runs now; one that has ended is a ProcessLookupError."""
    try:
        return Running(name, pid, psutil.Process(pid).create_time(), address)
    except psutil.NoSuchProcess:
        raise ProcessLookupError(f"{name} has ended") from None


def find(running: Running) -> psutil.Process | None:
    """Return a recorded process if it is still the one that was recorded."""
    try:
        process = psutil.Process(running.pid)
        same = abs(process.create_time() - running.start_time) < 1.0 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return None
    return process if same else None


def environment(home: Home, service: str) -> Mapping[str, str]:
    """Return what a process of a service that runs was told."""
    for running in home.state().processes:
        process = find(running)
        if running.name.startswith(service) and process is not None:
            return process.environ()
    raise Trouble("the suite is starting or stopping: try again in a moment")
