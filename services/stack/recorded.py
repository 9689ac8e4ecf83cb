"""The processes that a home has recorded, as the machine knows them."""

import psutil

from services.stack.home import Running


def process_of(name: str, pid: int, address: str) -> Running:
    """Record a process that runs now."""
    return Running(name, pid, psutil.Process(pid).create_time(), address)


def find(running: Running) -> psutil.Process | None:
    """Return a recorded process if it is still the one that was recorded."""
    try:
        process = psutil.Process(running.pid)
        same = abs(process.create_time() - running.start_time) < 1.0 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return None
    return process if same else None
