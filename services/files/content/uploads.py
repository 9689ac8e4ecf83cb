"""The one writer of content, wherever it comes from: everything is checked while it arrives.

Each attempt writes to a place of its own, which has a row before it has a byte. Of several attempts the first to finish
gives the file its content, and content never changes.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

import structlog

from services.files.content.blobs import Blobs, BlobWriter
from services.files.content.places import Bounds, Place, Places
from services.files.content.serving import stored_attributes
from services.files.model import File, FileState, blob_key
from services.files.refusals import mismatch, not_found
from services.files.store import FileStore
from services.runtime.clock import Clock
from services.runtime.contract.errors import (
    AlreadyExists,
    ChatkitError,
    ResourceExhausted,
    Unavailable,
    Violation,
)

_AFTER_OVERLOAD = timedelta(seconds=1)
# Between attempts to tell the database that content is there, or has gone.
_PAUSES = (0.2, 0.5, 1.0, 2.0)
_log = structlog.get_logger()


class Uploads:
    """The uploads that are under way in this process."""

    def __init__(
        self,
        store: FileStore,
        blobs: Blobs,
        clock: Clock,
        *,
        new_uid: Callable[[], UUID],
        unattached_for: timedelta,
        bounds: Bounds,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._clock = clock
        self._new_uid = new_uid
        self._unattached_for = unattached_for
        self.places = Places("uploads", clock, bounds, _too_many_of_user)
        self._discards: set[asyncio.Task[None]] = set()

    async def take(self, file: File, chunks: AsyncIterator[bytes]) -> File:
        """Take a file's content and return the file with it; the same content again is as good.

        Raises FILE_CONTENT_MISMATCH, FILE_ALREADY_READY, FILE_NOT_FOUND when the file has gone, OVERLOADED also when
        the place is given to somebody else, DEADLINE_EXCEEDED for less than the pace, and what stores raise.
        """
        with self.places.held(file.owner_uid) as place:
            content = _Content(file, place)
            if file.state is not FileState.PENDING:
                async for _ in content.checked(chunks):
                    pass
                return self._same(file, content.sha256)
            return await self._write(file, content, chunks)

    async def close(self) -> None:
        """Wait until what was interrupted has been cleared away."""
        await asyncio.gather(*self._discards, return_exceptions=True)

    async def _write(self, file: File, content: "_Content", chunks: AsyncIterator[bytes]) -> File:
        key = blob_key(file.uid, self._new_uid())
        await self._store.begin_upload(key, file.uid)
        try:
            async with self._blobs.writing(key, stored_attributes(file)) as writer:
                await _copy(content.checked(chunks), writer)
        except BaseException:
            self._discard_later(key)
            raise
        # Where this fails, or is cancelled, nobody knows whether the file has its content: the collector finds out.
        ready = await self._finish(key, file, content.sha256)
        if ready is not None:
            return ready
        now_there = await self._store.find(file.uid)
        if now_there is not None and now_there.blob_key == key:
            # An earlier attempt to finish has succeeded without anybody hearing of it.
            return now_there
        self._discard_later(key)
        if now_there is None or not now_there.has_content:
            raise not_found(file.id)
        return self._same(now_there, content.sha256)

    async def _finish(self, key: str, file: File, sha256: bytes) -> File | None:
        """Give the file its content; a database that is away for a moment shall not cost the client a whole upload."""
        for pause in _PAUSES:
            with suppress(Unavailable):
                return await self._store.finish_upload(key, file.uid, sha256, self._unattached_for)
            await self._clock.sleep(pause)
        return await self._store.finish_upload(key, file.uid, sha256, self._unattached_for)

    def _same(self, file: File, sha256: bytes) -> File:
        if file.sha256 != sha256 or not file.has_content:
            raise AlreadyExists(
                "FILE_ALREADY_READY", "the file has other content already", metadata={"file_id": file.id}
            )
        return file

    def _discard_later(self, key: str) -> None:
        """Clear an attempt away while its caller, who may have gone, does not wait; the rest is the collector's."""
        task = asyncio.create_task(self._discard(key))
        self._discards.add(task)
        task.add_done_callback(self._discards.discard)

    async def _discard(self, key: str) -> None:
        for pause in _PAUSES:
            with suppress(ChatkitError):
                await self._blobs.remove(key)
                await self._store.end_upload(key)
                return
            await self._clock.sleep(pause)
        _log.warning("upload_not_cleared", key=key)


class _Content:
    """What arrives, compared with what was declared."""

    def __init__(self, file: File, place: Place) -> None:
        self._file = file
        self._place = place
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> bytes:
        """The hash of everything that has arrived."""
        return self._digest.digest()

    async def checked(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield what arrives; one byte too many, or the end too early or with another hash, raises."""
        declared, arrived = self._file.size_bytes, 0
        async for chunk in _paced(chunks, self._place):
            arrived += len(chunk)
            if arrived > declared:
                raise mismatch("size_bytes", declared, f"{arrived} or more")
            self._digest.update(chunk)
            yield chunk
        if arrived < declared:
            raise mismatch("size_bytes", declared, arrived)
        if self._file.state is FileState.PENDING and self._file.sha256 not in {None, self.sha256}:
            raise mismatch("sha256", (self._file.sha256 or b"").hex(), self.sha256.hex())


async def _copy(chunks: AsyncIterator[bytes], writer: BlobWriter) -> None:
    async for chunk in chunks:
        await writer.write(chunk)


async def _paced(chunks: AsyncIterator[bytes], place: Place) -> AsyncIterator[bytes]:
    """Yield chunks as long as they come fast enough: whoever stalls holds a place that others need."""
    while True:
        with place.waiting():
            chunk = await anext(chunks, None)
        if chunk is None:
            return
        place.moved(len(chunk))
        if chunk:
            yield chunk


def _too_many_of_user(most: int) -> ResourceExhausted:
    description = f"a user has at most {most} uploads at once at one process, and this would make {most + 1}"
    return ResourceExhausted(
        "QUOTA_EXCEEDED",
        description,
        metadata={"limit": "UPLOADS_PER_USER", "maximum": str(most), "actual": str(most + 1)},
        quota=[Violation("UPLOADS_PER_USER", description)],
        retry_after=_AFTER_OVERLOAD,
    )
