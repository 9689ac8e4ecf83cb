"""Small file systems under the folders of a suite, which can be full and have room again.

They are in memory, and take no more of it than is written: a disk becomes full by being made as small as what is on it.
Only who may mount has them.
"""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from services.stack.home import Home
from services.stack.machine.blocking import to_its_end
from services.stack.machine.postgres import Postgres
from services.stack.trouble import Trouble

_MEGABYTE = 1024 * 1024
# PostgreSQL keeps up to a gigabyte of its log alone.
_SIZES = {"database": 4096 * _MEGABYTE, "logs": 512 * _MEGABYTE, "content": 512 * _MEGABYTE}

# What takes the rest, in a file of its own: no more of it than a disk that is not small yet can well lose.
_FILLER, _BLOCK, _MOST_BLOCKS, _LOOK_SECONDS = ".full", bytes(4096), 2_000, 0.1
# How often a disk is made small, and how much more room than was taken it has each time.
_TRIES, _ROOM = 50, 64 * 1024


@dataclass(frozen=True, slots=True)
class Disks:
    """The folders that are small file systems, by what lies there; none where this user may not mount."""

    folders: dict[str, Path]

    @asynccontextmanager
    async def full(self, name: str) -> AsyncIterator[None]:
        """Leave no room on a disk while the context is open: what becomes free there is taken at once."""
        folder = self.folders[name]
        filling = asyncio.create_task(_keep_full(folder / _FILLER))
        try:
            await _fill(folder)
            yield
        finally:
            filling.cancel()
            await asyncio.gather(filling, return_exceptions=True)
            (folder / _FILLER).unlink(missing_ok=True)
            await _mount("-o", f"remount,size={_SIZES[name]}", str(folder))


async def _keep_full(filler: Path) -> None:
    """Take what room there is on a disk that was made small, again and again, until cancelled."""
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        with suppress(OSError), filler.open("ab", buffering=0) as file:
            for _ in range(_MOST_BLOCKS):
                file.write(_BLOCK)


async def _fill(folder: Path) -> None:
    """Make a disk as small as what is on it; that grows meanwhile, and a size that is too small is refused."""
    for tried in range(_TRIES):
        found = os.statvfs(folder)
        used = (found.f_blocks - found.f_bfree) * found.f_frsize
        try:
            await _mount("-o", f"remount,size={used + max(tried, 1) * _ROOM}", str(folder))
        except Trouble:
            if tried == _TRIES - 1:
                raise
        else:
            return


@asynccontextmanager
async def small_disks(home: Home) -> AsyncIterator[Disks]:
    """Lend disks to a home while the context is open; what is on them is copied to where they were afterwards."""
    folders = {"database": home.data, "logs": home.logs, "content": home.blobs}
    if not await may_mount(home.folder):
        yield Disks({})
        return
    postgres = Postgres(home.data, home.logs / "postgres.log", password=home.passwords["postgres"])
    # One that a run has left when it was killed.
    await to_its_end(postgres.end_orphan)
    for folder in folders.values():
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.is_mount():
            await _take_off(folder)
    # Made before it lies on a disk, because its folder is put into its place by renaming it.
    await to_its_end(postgres.initialise)
    async with AsyncExitStack() as opened:
        for name, folder in folders.items():
            await opened.enter_async_context(_small(folder, _SIZES[name]))
        yield Disks(folders)


async def _take_off(folder: Path) -> None:
    """Take a disk off a folder, which keeps what is on it."""
    beside = await to_its_end(partial(_copied, folder))
    await _run("umount", "--lazy", str(folder))
    await to_its_end(partial(refill, folder, beside))
    await to_its_end(partial(shutil.rmtree, beside))


async def may_mount(folder: Path) -> bool:
    """Tell whether this user may mount file systems in memory here."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return False
    tried = folder / "tried"
    tried.mkdir(exist_ok=True)
    try:
        async with mounted(tried, "size=4k"):
            return True
    except Trouble:
        return False
    finally:
        tried.rmdir()


@asynccontextmanager
async def mounted(folder: Path, options: str) -> AsyncIterator[None]:
    """Lay a file system in memory over a folder while the context is open."""
    await _mount("-t", "tmpfs", "-o", options, "chatkit", str(folder))
    try:
        yield
    finally:
        # It goes with the last who has something open there.
        await _run("umount", "--lazy", str(folder))


@asynccontextmanager
async def _small(folder: Path, size: int) -> AsyncIterator[None]:
    beside = await to_its_end(partial(_copied, folder))
    try:
        async with mounted(folder, f"size={size},mode=0700"):
            await to_its_end(partial(refill, folder, beside))
            try:
                yield
            finally:
                await to_its_end(partial(refill, beside, folder))
    finally:
        await to_its_end(partial(refill, folder, beside))
        await to_its_end(partial(shutil.rmtree, beside))


def _copied(folder: Path) -> Path:
    """Copy a folder to beside it, in the place of what an interrupted run may have left there."""
    beside = folder.with_name(folder.name + ".beside")
    shutil.rmtree(beside, ignore_errors=True)
    shutil.copytree(folder, beside, symlinks=True)
    return beside


def refill(folder: Path, source: Path) -> None:
    """Let a folder hold what another one holds, and nothing else; the folder itself stays, as a mount does."""
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    shutil.copytree(source, folder, symlinks=True, dirs_exist_ok=True)


async def _mount(*arguments: str) -> None:
    await _run("mount", *arguments)


async def _run(*command: str) -> None:
    ended = await to_its_end(partial(subprocess.run, command, capture_output=True, text=True, check=False))
    if ended.returncode:
        raise Trouble(f"{' '.join(command)} failed: {ended.stderr.strip()}")
