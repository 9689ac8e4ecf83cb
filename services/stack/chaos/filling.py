"""Disks that are full, and content that is away."""

import os
import random
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import psycopg

from services.stack.chaos.disks import mounted
from services.stack.chaos.links import POSTGRES
from services.stack.chaos.steps import Disturbance, Losses
from services.stack.chaos.suite import Suite
from services.stack.machine.blocking import to_its_end
from services.stack.trouble import Trouble

# PostgreSQL keeps a gigabyte of its log at the most, in files of 16 megabytes.
_MOST_RESERVED = 100
_NO_DISKS = "only root may mount the small file systems that are filled, and only on Linux"


def without_disks(suite: Suite) -> str:
    """Say why no disk can be full, where the suite is on none of its own."""
    return "" if suite.disks is not None and suite.disks.folders else _NO_DISKS


def without_folder(_suite: Suite) -> str:
    """Say why the content can't be away, where it is somewhere else."""
    return "its content is not in the home: CHATKIT_BLOB_DIR is set" if "CHATKIT_BLOB_DIR" in os.environ else ""


def database(chance: random.Random, _replicas: Mapping[str, int]) -> Disturbance:
    """Fill the disk of the database."""
    return replace(_filling("database", POSTGRES, chance), happening=_without_room)


def logs(chance: random.Random, _replicas: Mapping[str, int]) -> Disturbance:
    """Fill the disk of the logs."""
    return _filling("logs", "logs", chance)


def content(chance: random.Random, _replicas: Mapping[str, int]) -> Disturbance:
    """Fill the disk of files' content."""
    return _filling("content", "content", chance)


def away(chance: random.Random, _replicas: Mapping[str, int]) -> Disturbance:
    """Take the folder of files' content away."""
    return Disturbance("the folder of files' content is away", frozenset({"content"}), chance.uniform(1, 5), _away)


def _filling(disk: str, touched: str, chance: random.Random) -> Disturbance:
    name = f"the disk of the {disk} is full"
    return Disturbance(name, frozenset({touched}), chance.uniform(2, 6), partial(_full, disk))


def _full(disk: str, suite: Suite, _losses: Losses) -> AbstractAsyncContextManager[None]:
    if suite.disks is None or disk not in suite.disks.folders:
        raise Trouble(_NO_DISKS)
    return suite.disks.full(disk)


@asynccontextmanager
async def _without_room(suite: Suite, losses: Losses) -> AsyncIterator[None]:
    async with _full("database", suite, losses):
        await to_its_end(partial(_use_up, suite.stack.postgres.superuser_dsn))
        yield


def _use_up(dsn: str) -> None:
    """Write into PostgreSQL's log until it has used up the files that it keeps: nothing can be written then."""
    with suppress(psycopg.Error), psycopg.connect(dsn, autocommit=True) as connection:
        for _ in range(_MOST_RESERVED):
            connection.execute("SELECT pg_logical_emit_message(true, 'filler', 'x')")
            connection.execute("SELECT pg_switch_wal()")


def _away(suite: Suite, _losses: Losses) -> AbstractAsyncContextManager[None]:
    folder = suite.home.blobs
    # A mount can't be moved: an empty file system, on which nothing can be written, is laid over it.
    return mounted(folder, "ro,size=4k") if folder.is_mount() else _without(folder)


@asynccontextmanager
async def _without(folder: Path) -> AsyncIterator[None]:
    with _moved(folder):
        yield


@contextmanager
def _moved(folder: Path) -> Iterator[None]:
    """Put a file in its place, so that nobody makes it anew."""
    aside = folder.with_name(folder.name + ".away")
    folder.mkdir(exist_ok=True)
    folder.rename(aside)
    folder.touch()
    try:
        yield
    finally:
        folder.unlink()
        aside.rename(folder)
