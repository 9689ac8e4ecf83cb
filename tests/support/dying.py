"""A service that kills itself at a step: `python -m tests.support.dying SERVICE STEP`.

A step is what lies before or after something that the service does to its database, its store or a peer. The signal is
SIGKILL, so nothing is cleaned up. SIGUSR1 lets two days pass.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import wraps
from typing import Any

import uvloop

from services.files import app as files_app
from services.files.content.blobs import Blobs
from services.files.store import FileStore
from services.messages import app as messages_app
from services.messages.attachments.store import ReferenceStore
from services.messages.log.committer import Committer
from services.messages.peers import FilesClient
from services.runtime import logs
from services.runtime.process.main import Build
from services.runtime.release import Release
from services.runtime.settings import read_settings_of
from tests.support.clock import LeapingClock
from tests.support.settings import SETTINGS

LEAP_SECONDS = 2 * 86_400.0
_METHODS: dict[str, dict[type, tuple[str, ...]]] = {
    "files": {
        FileStore: (
            *("create", "begin_upload", "finish_upload", "end_upload", "attach"),
            *("claim_due", "keep", "condemn", "remove"),
        ),
        Blobs: ("remove", "size"),
    },
    "messages": {FilesClient: ("attach",), ReferenceStore: ("note", "referenced"), Committer: ("send",)},
}
_BUILDS: dict[str, Build[Any]] = {"files": files_app.build, "messages": messages_app.build}


class _Steps:
    def __init__(self, last: int) -> None:
        self._left = last

    def step(self) -> None:
        self._left -= 1
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        async def counted(*arguments: Any, **named: Any) -> Any:
            self.step()
            result = await method(*arguments, **named)
            self.step()
            return result

        return counted

    def around_writing(self, writing: Callable[..., Any]) -> Callable[..., Any]:
        @asynccontextmanager
        async def counted(*arguments: Any) -> AsyncIterator[Any]:
            self.step()
            async with writing(*arguments) as writer:
                self.step()
                yield writer
                self.step()
            self.step()

        return counted


async def _serve(service: str, last_step: int) -> None:
    steps = _Steps(last_step)
    for kind, names in _METHODS[service].items():
        for name in names:
            setattr(kind, name, steps.around(getattr(kind, name)))
    if service == "files":
        Blobs.writing = steps.around_writing(Blobs.writing)  # type: ignore[method-assign]
    clock = LeapingClock()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, clock.leap, LEAP_SECONDS)
    settings = read_settings_of(SETTINGS[service])
    logs.configure(settings.log_format, service, Release())
    async with _BUILDS[service](settings, clock):
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1], int(sys.argv[2])))
