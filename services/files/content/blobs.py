"""Content, by key, in a folder or in a bucket that speaks S3; both through obstore.

obstore's folders are not durable by themselves: what `write` has finished is, here, the file and the folders above it.
A blob is there as a whole or not at all.
"""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

import obstore
import structlog
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore

from services.files.content.bucket import Bucket
from services.files.content.urls import Window
from services.files.settings import FilesSettings
from services.runtime.contract.errors import ChatkitError, ResourceExhausted, Unavailable

# As much is held for each download that nobody reads.
READ_BYTES = 64 * 1024
_KIB, _MIB = 1024, 1024 * 1024
# S3 takes parts of 5 MiB and more; what is smaller is sent at once.
_BUCKET_BUFFER_BYTES, _FOLDER_BUFFER_BYTES = 5 * _MIB, 256 * _KIB
_RETRY_AFTER = timedelta(seconds=1)
_FULL = (errno.ENOSPC, errno.EDQUOT)
_log = structlog.get_logger()


class BlobMissingError(Exception):
    """There is nothing under the key."""


class BlobWriter(Protocol):
    """A blob that is being written."""

    async def write(self, chunk: bytes, /) -> int:
        """Take the next piece."""


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """What a listing says of a blob."""

    key: str
    size_bytes: int
    write_time: datetime


class Blobs:
    """The content of all files."""

    def __init__(self, store: ObjectStore, folder: Path | None = None, bucket: Bucket | None = None) -> None:
        self._store = store
        self._folder = folder
        self._bucket = bucket

    @property
    def takes_uploads(self) -> bool:
        """Whether clients can send content to the store itself."""
        return self._bucket is not None

    @asynccontextmanager
    async def writing(self, key: str, attributes: Mapping[str, str]) -> AsyncIterator[BlobWriter]:
        """Write a blob: it is there, and on disk, when the context has ended without an error, else it is not there."""
        with _translated():
            opened = obstore.open_writer_async(
                self._store,
                key,
                # A folder has no place for them: there our own listener says all this.
                attributes=dict(attributes) if self._folder is None else None,
                buffer_size=_FOLDER_BUFFER_BYTES if self._folder is not None else _BUCKET_BUFFER_BYTES,
                max_concurrency=1,
            )
            # On an error it gives up what it has written so far, and the place that this has taken.
            async with opened as writer:
                yield writer
            if self._folder is not None:
                await asyncio.to_thread(_sync, self._folder, self._folder / key)

    async def read(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Yield the bytes from `start` up to `end`, which must lie within the blob.

        Raises BlobMissingError when there is none.
        """
        if start >= end:
            return
        with _translated():
            if self._folder is not None:
                # Much faster than the stream that obstore makes of a file.
                for offset in range(start, end, READ_BYTES):
                    piece = await obstore.get_range_async(
                        self._store, key, start=offset, end=min(offset + READ_BYTES, end)
                    )
                    yield piece.to_bytes()
                return
            found = await obstore.get_async(self._store, key, options={"range": (start, end)})
            async for chunk in found.stream(min_chunk_size=READ_BYTES):
                yield bytes(chunk)

    async def remove(self, key: str) -> None:
        """Remove a blob, and what an interrupted attempt to write it has left; nothing there is as good."""
        with _translated():
            with suppress(FileNotFoundError):
                await obstore.delete_async(self._store, key)
            if self._folder is not None:
                with suppress(FileNotFoundError):
                    await asyncio.to_thread(_remove_leftovers, self._folder / key)

    async def list(self, folder: str | None = None) -> AsyncIterator[StoredBlob]:
        """Yield every blob, or those in one folder."""
        with _translated():
            async for found in obstore.list(self._store, prefix=folder):
                for meta in found:
                    yield StoredBlob(meta["path"], meta["size"], meta["last_modified"])

    def leftovers(self) -> Iterator[StoredBlob]:
        """Yield what attempts that were interrupted have left in the folder; it is no blob yet, and takes up space."""
        if self._folder is not None:
            for path in self._folder.glob("??/*#*"):
                with suppress(FileNotFoundError):
                    stat = path.stat()
                    key = path.relative_to(self._folder).as_posix().partition("#")[0]
                    yield StoredBlob(key, stat.st_size, datetime.fromtimestamp(stat.st_mtime).astimezone())

    async def size(self, key: str) -> int | None:
        """Return a blob's size; None if there is none."""
        with _translated():
            try:
                return int((await obstore.head_async(self._store, key))["size"])
            except FileNotFoundError:
                return None

    async def download_url(self, key: str, window: Window, disposition: str = "") -> str | None:
        """Return a URL at which the store itself answers with the blob; None for a folder.

        The answer has the disposition that the blob is stored with, unless another one is given.
        """
        if self._bucket is None:
            return None
        with _translated():
            return await self._bucket.download_url(key, window, disposition)

    async def upload_url(self, key: str, size_bytes: int, lifetime: timedelta) -> str | None:
        """Return a URL at which the store itself takes a blob of exactly this size; None for a folder."""
        if self._bucket is None:
            return None
        with _translated():
            return await self._bucket.upload_url(key, size_bytes, lifetime)

    async def check(self) -> None:
        """Raise FILE_STORE_UNAVAILABLE unless the store can be read."""
        with _translated():
            async for _ in obstore.list(self._store, prefix="none", chunk_size=1):
                return


def open_blobs(settings: FilesSettings) -> Blobs:
    """Open the store that the settings name. Raises a ValueError for a folder that can't be made."""
    if settings.s3_bucket:
        bucket = Bucket(settings)
        return Blobs(bucket.store, bucket=bucket)
    folder = settings.blob_dir.absolute()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"CHATKIT_BLOB_DIR: the folder {folder} can't be made: {error.strerror}") from None
    return Blobs(LocalStore(str(folder)), folder)


def _sync(folder: Path, path: Path) -> None:
    """Make a file survive a power failure, with its name and the folder that it is in."""
    for each in (path, path.parent, folder):
        _sync_one(each)


def _sync_one(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_leftovers(path: Path) -> None:
    for leftover in path.parent.glob(f"{path.name}#*"):
        leftover.unlink(missing_ok=True)
    # Before the row goes that knows of the blob.
    _sync_one(path.parent)


@contextmanager
def _translated() -> Iterator[None]:
    """Turn the store's errors into the suite's; its words go to the log and no further."""
    try:
        yield
    except ChatkitError:
        raise
    except FileNotFoundError as error:
        raise BlobMissingError from error
    except (BaseError, OSError, ValueError) as error:
        _log.warning("store_failed", problem=f"{type(error).__name__}: {error}"[:500])
        if _is_full(error):
            raise ResourceExhausted(
                "FILE_STORE_FULL", "the store of files is full", retry_after=timedelta(minutes=1)
            ) from error
        raise Unavailable(
            "FILE_STORE_UNAVAILABLE", "the store of files can't be reached", retry_after=_RETRY_AFTER
        ) from error


def _is_full(error: Exception) -> bool:
    if isinstance(error, OSError) and error.errno in _FULL:
        return True
    return any(os.strerror(number) in str(error) or f"code: {number}," in str(error) for number in _FULL)
