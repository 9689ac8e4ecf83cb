"""A store that is full: a folder on a small file system of its own, in a namespace that any user may make."""

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.files.http.reading import refusal
from tests.files.library import PICTURE, library
from tests.support.databases import TestDatabase
from tests.support.eventually import eventually
from tests.support.refusals import refused

_NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")
_LARGE = bytes(1_000_000)


def _small_store(folder: Path) -> tuple[str, ...]:
    """Return what runs a command with a folder of half a megabyte."""
    folder.mkdir()
    return (*_NAMESPACE, f'mount -t tmpfs -o size=512k tmpfs "{folder}" && exec "$@"', "sh")


def _works(prefix: tuple[str, ...]) -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0


async def test_a_full_store_is_a_clear_error_and_what_fits_is_taken(database: TestDatabase, tmp_path: Path) -> None:
    prefix = _small_store(tmp_path / "blobs")
    if not await asyncio.to_thread(_works, prefix):
        pytest.skip("this machine gives no namespace to mount a small file system in")
    command = (*prefix, sys.executable, "-m", "services.files", "serve")
    async with library(database, tmp_path, command) as shelf:
        kept = await shelf.add()
        created = await shelf.create(_LARGE)
        answer = await shelf.put(created.upload_url, _LARGE)
        refusal(answer, "FILE_STORE_FULL", 507)
        assert answer.headers["retry-after"] == "60"
        chunks = [_LARGE[start : start + 100_000] for start in range(0, len(_LARGE), 100_000)]
        await refused(shelf.upload(created.file.id, chunks), "FILE_STORE_FULL")
        await eventually(lambda: database.count("files.uploads") == 0)
        assert await shelf.download(kept.id) == PICTURE
        # Nothing of what did not fit has stayed in its way.
        for _ in range(3):
            assert (await shelf.add()).size_bytes == len(PICTURE)
