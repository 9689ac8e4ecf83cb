"""Keys that are rotated while everything runs, in the steps of docs/keys.md."""

import asyncio
import json
import random
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from services.stack.chaos.steps import Disturbance, Losses
from services.stack.chaos.suite import Suite
from services.stack.home import write_whole
from services.stack.machine.replicas import process_names

_SECRET_BYTES = 32
# Processes look every two seconds. One that was started meanwhile has read the file, and does not say so.
_PATIENCE_SECONDS = 10.0
_POLL_SECONDS = 0.1

_OF_USERS, _OF_SERVICES = "keys.json", "service_keys.json"
_Key = dict[str, Any]


def users_keys(chance: random.Random, _replicas: Mapping[str, int]) -> Disturbance:
    """Put another key in the place of those that sign users' tokens."""
    return _rotation("the key of users' tokens is rotated", _OF_USERS, chance.uniform(1, 3))


def services_keys(chance: random.Random, _replicas: Mapping[str, int]) -> Disturbance:
    """Put another key in the place of those that sign services' tokens."""
    return _rotation("the key of services' tokens is rotated", _OF_SERVICES, chance.uniform(1, 3))


def _rotation(name: str, file: str, seconds: float) -> Disturbance:
    return Disturbance(name, frozenset({file}), seconds, partial(_rotated, file))


@asynccontextmanager
async def _rotated(name: str, suite: Suite, _losses: Losses) -> AsyncIterator[None]:
    file = suite.home.keys_file.with_name(name)
    before: list[_Key] = json.loads(file.read_text())["keys"]
    new = {"id": f"of {secrets.token_hex(4)}", "secret": secrets.token_urlsafe(_SECRET_BYTES)}
    watch = _Watch(suite, new["id"])
    # At any time the file has a key that all processes know, so that it may stay as it is when this is cancelled.
    await watch.until_read(file, [*before, new])
    await watch.until_read(file, [new, *before])
    yield
    if name == _OF_USERS:
        if suite.token_seconds is None:
            return
        await asyncio.sleep(suite.token_seconds)
    await watch.until_read(file, [new])


class _Watch:
    """The logs of the services, where each process says which keys it has read."""

    def __init__(self, suite: Suite, key_id: str) -> None:
        self._key_id = key_id
        self._logs = [suite.home.logs / f"{name}.log" for name in process_names(suite.replicas)]
        self._written = 0

    async def until_read(self, file: Path, keys: list[_Key]) -> None:
        """Write keys into a file, and return when all processes have read them."""
        write_whole(file, {"keys": keys})
        self._written += 1
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not all(map(self._is_read, self._logs)):
            if time.monotonic() > deadline:
                return
            await asyncio.sleep(_POLL_SECONDS)

    def _is_read(self, log: Path) -> bool:
        lines = log.read_text(errors="replace").splitlines()
        return sum("keys_changed" in line and self._key_id in line for line in lines) >= self._written
