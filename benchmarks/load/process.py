"""The generator's own process: made anew for each job, so that what it uses is told apart from what it measures."""

import asyncio
import multiprocessing
import resource
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, TypeVar

import uvloop

_Job = TypeVar("_Job")
Work = Callable[[_Job], Awaitable[dict[str, Any]]]


class LoadFailed(Exception):
    """The generator could not do its job."""


async def in_own_process(work: Work[_Job], job: _Job) -> dict[str, Any]:
    """Do a job in a process of its own and return what it found; a cancellation ends the process."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(work, job, theirs), daemon=True)
    process.start()
    theirs.close()
    # The thread ends with the process, whose end of the pipe is the last one.
    answer = asyncio.ensure_future(asyncio.to_thread(_receive, ours))
    try:
        found = await asyncio.shield(answer)
    finally:
        process.kill()
        with suppress(Exception):
            await answer
        process.join()
    if isinstance(found, str):
        raise LoadFailed(found)
    return found


def _receive(connection: Connection) -> dict[str, Any] | str:
    try:
        found: dict[str, Any] | str = connection.recv()
    except EOFError:
        return "the load generator ended without a result"
    return found


def _run(work: Work[_Job], job: _Job, connection: Connection) -> None:
    # A terminal's Ctrl-C is for the command alone, which ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _allow_many_files()
    try:
        found: dict[str, Any] | str = _loop_run(work, job)
    except Exception as error:  # noqa: BLE001 - the command tells it
        found = f"{type(error).__name__}: {error}"
    connection.send(found)


def _loop_run(work: Work[_Job], job: _Job) -> dict[str, Any]:
    async def run() -> dict[str, Any]:
        return await work(job)

    return uvloop.run(run())


def _allow_many_files() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
