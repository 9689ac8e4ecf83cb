"""PostgreSQL that is restarted, fails over to a standby, or comes back as it was some time ago."""

import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

from services.stack.chaos.disks import refill
from services.stack.chaos.links import POSTGRES
from services.stack.chaos.standby import standing_by
from services.stack.chaos.steps import Disturbance, Losses
from services.stack.chaos.suite import Suite
from services.stack.machine.blocking import to_its_end
from services.stack.machine.cluster import DATABASE
from services.stack.machine.epochs import rotated
from services.stack.machine.replicas import names, process_names
from services.stack.roles import EPOCHS, role_names

END_SECONDS = 60.0


def restart(chance: random.Random, _replicas: Mapping[str, int]) -> Disturbance:
    """Stop PostgreSQL in order, and start it again after a while."""
    return Disturbance("PostgreSQL is restarted", frozenset({POSTGRES}), chance.uniform(0, 3), _restarted)


def fail_over(chance: random.Random, _replicas: Mapping[str, int]) -> Disturbance:
    """Kill PostgreSQL when a synchronous standby has followed it for a while, which takes its place."""
    name = "PostgreSQL fails over to a synchronous standby"
    return Disturbance(name, frozenset({POSTGRES}), chance.uniform(1, 4), _failed_over)


def put_back(chance: random.Random, replicas: Mapping[str, int]) -> Disturbance:
    """Put PostgreSQL's files back as they were a while ago, while no service runs, and rotate the epoch."""
    name = "PostgreSQL's files are put back as they were and the epoch is rotated"
    touched = frozenset({POSTGRES, *process_names(replicas)})
    return Disturbance(name, touched, chance.uniform(2, 5), _put_back)


@asynccontextmanager
async def _restarted(suite: Suite, _losses: Losses) -> AsyncIterator[None]:
    async with suite.stack.postgres_down():
        yield


@asynccontextmanager
async def _failed_over(suite: Suite, losses: Losses) -> AsyncIterator[None]:
    # The standby's files take the place of the primary's: so it is found where services know it.
    with tempfile.TemporaryDirectory(prefix="chatkit-") as folder:
        async with standing_by(suite.stack.postgres, Path(folder)) as standby:
            yield
            async with suite.stack.postgres_down(is_killed=True):
                await to_its_end(standby.promote)
                losses.is_new_epoch = True
                await to_its_end(partial(refill, suite.home.data, standby.server.data))


@asynccontextmanager
async def _put_back(suite: Suite, losses: Losses) -> AsyncIterator[None]:
    data = suite.home.data
    with tempfile.TemporaryDirectory(prefix="chatkit-") as folder:
        kept = Path(folder) / "kept"
        async with suite.stack.postgres_down():
            taken = time.monotonic()
            await to_its_end(partial(shutil.copytree, data, kept, symlinks=True))
        yield
        async with _without_services(suite):
            losses.since, losses.is_new_epoch = taken, True
            async with suite.stack.postgres_down():
                await to_its_end(partial(refill, data, kept))
            await to_its_end(partial(_rotate_epochs, suite))


@asynccontextmanager
async def _without_services(suite: Suite) -> AsyncIterator[None]:
    async with AsyncExitStack() as down:
        for name in process_names(suite.replicas):
            await down.enter_async_context(suite.child(name).down(signal.SIGINT, END_SECONDS))
        yield


def _rotate_epochs(suite: Suite) -> None:
    for service in EPOCHS:
        role = role_names(service)[0]
        first = names(service, suite.replicas[service])[0]
        # Directly: whatever happens to links, an operator is at the server.
        url = suite.stack.postgres.dsn(role, suite.home.passwords[role], DATABASE)
        rotated(service, {**os.environ, **suite.child(first).program.environment, "CHATKIT_DATABASE_URL": url})
