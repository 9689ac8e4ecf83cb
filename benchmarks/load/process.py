"""The generator's own process: made anew for each job, so that what it uses is told apart from what it measures."""

import asyncio
import multiprocessing
import os
import resource
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

import uvloop

_OF_SESSION = Path("/proc/self/autogroup")
_Job = TypeVar("_Job")
Work = Callable[[_Job], Awaitable[dict[str, Any]]]
Answer = Callable[[str], Awaitable[dict[str, Any]]]
Serve = Callable[[_Job], AbstractAsyncContextManager[Answer]]


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


class Companion:
    """A process that goes on with its job, and answers what it is asked meanwhile."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def ask(self, question: str) -> dict[str, Any]:
        """Ask something and return the answer; raises LoadFailed when the process could not go on."""
        with suppress(BrokenPipeError):
            self._connection.send(question)
        found = await asyncio.to_thread(_receive, self._connection)
        if isinstance(found, str):
            raise LoadFailed(found)
        return found


@asynccontextmanager
async def companion(serve: Serve[_Job], job: _Job, niceness: int = 0) -> AsyncIterator[Companion]:
    """Let a process do a job for as long as the context is open; the nicer it is, the more it gives way to others."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(serve, job, niceness, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        yield Companion(ours)
    finally:
        # Whoever waits for an answer is told that the process has ended.
        process.kill()
        process.join()


def _receive(connection: Connection) -> dict[str, Any] | str:
    try:
        found: dict[str, Any] | str = connection.recv()
    except EOFError:
        return "the load generator ended without a result"
    return found


def _run(work: Work[_Job], job: _Job, connection: Connection) -> None:
    _prepare()
    try:
        found: dict[str, Any] | str = _loop_run(work, job)
    except Exception as error:  # noqa: BLE001 - the command tells it
        found = f"{type(error).__name__}: {error}"
    connection.send(found)


def _loop_run(work: Work[_Job], job: _Job) -> dict[str, Any]:
    async def run() -> dict[str, Any]:
        return await work(job)

    return uvloop.run(run())


def _serve(serve: Serve[_Job], job: _Job, niceness: int, connection: Connection) -> None:
    _prepare()
    if niceness:
        _give_way(niceness)
    try:
        uvloop.run(_answer(serve, job, connection))
    except Exception as error:  # noqa: BLE001 - the command tells it
        connection.send(f"{type(error).__name__}: {error}")


async def _answer(serve: Serve[_Job], job: _Job, connection: Connection) -> None:
    async with serve(job) as answer:
        while True:
            connection.send(await answer(await asyncio.to_thread(connection.recv)))


def _prepare() -> None:
    # A terminal's Ctrl-C is for the command alone, which ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _allow_many_files()


def _give_way(niceness: int) -> None:
    # Linux shares CPU out among sessions first, each with a niceness of its own, and then within them.
    os.setsid()
    with suppress(OSError):
        _OF_SESSION.write_text(str(niceness))
    os.nice(niceness)


def _allow_many_files() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
