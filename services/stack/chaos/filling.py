"""Disks that are full, and content that is away."""

import os
import random
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

from services.stack.chaos.disks import mounted
from services.stack.chaos.links import POSTGRES
from services.stack.chaos.steps import Disturbance, Losses
from services.stack.chaos.suite import Suite
from services.stack.trouble import Trouble

_NO_DISKS = "only root may mount the small file systems that are filled, and only on Linux"


def without_disks(suite: Suite) -> str:
    """Say why no disk can be full, where the suite is on none of its own."""
    return "" if suite.disks is not None and suite.disks.folders else _NO_DISKS


def without_folder(_suite: Suite) -> str:
    """Say why the content can't be away, where it is somewhere else."""
    return "its content is not in the home: CHATKIT_BLOB_DIR is set" if "CHATKIT_BLOB_DIR" in os.environ else ""


def database(chance: random.Random, _replicas: Mapping[str, int]) -> Disturbance:
    """Fill the disk of the database."""
    return _filling("database", POSTGRES, chance)


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
