"""Processes that an `up` left behind when it was killed: they are ended before the next one starts its own."""

from collections.abc import Callable
from contextlib import suppress

import psutil

from services.stack.home import Home
from services.stack.machine.recorded import find

_GRACE_SECONDS = 5.0


def end_leftovers(home: Home, say: Callable[[str], None]) -> None:
    """End what the last `up` recorded and what still runs; a pid that is another process's by now is left alone."""
    found = [(running, find(running)) for running in home.state().processes]
    alive = [(running, process) for running, process in found if process is not None and running.name != "postgres"]
    if not alive:
        return
    say(f"ending what an earlier run left behind: {', '.join(running.name for running, _ in alive)}")
    processes = [process for _, process in alive]
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, stubborn = psutil.wait_procs(processes, timeout=_GRACE_SECONDS)
    for process in stubborn:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(stubborn, timeout=_GRACE_SECONDS)
