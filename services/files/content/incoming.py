"""Content that clients have put straight into the bucket: taken over, and checked, when somebody first wants the file.

A client can put there what it likes, of the right size, for as long as its URL works. So what lies there is nobody's
content yet: it is copied through the one writer of all uploads, and only the copy is ever read.
"""

import asyncio
from contextlib import suppress
from datetime import timedelta

from services.files.content.blobs import BlobMissingError, Blobs
from services.files.content.uploads import Uploads
from services.files.model import INCOMING, File, FileState, incoming_key
from services.files.refusals import not_found
from services.files.store import FileStore
from services.runtime.contract.errors import AlreadyExists, ChatkitError, InvalidArgument


class Incoming:
    """What lies in the bucket for files that are still PENDING."""

    def __init__(self, store: FileStore, blobs: Blobs, uploads: Uploads, *, unattached_for: timedelta) -> None:
        self._store = store
        self._blobs = blobs
        self._uploads = uploads
        self._unattached_for = unattached_for
        self._under_way: dict[str, asyncio.Task[File]] = {}

    async def take(self, file: File) -> File:
        """Return the file, with its content if that has come.

        What is not what was declared is thrown away and raises FILE_CONTENT_MISMATCH. Whoever stops waiting leaves the
        work to those who ask next.
        """
        if file.state is not FileState.PENDING or not self._blobs.takes_uploads:
            return file
        key = incoming_key(file.uid)
        task = self._under_way.get(key)
        if task is None:
            task = self._under_way[key] = asyncio.create_task(self._take(key, file))
            task.add_done_callback(lambda ended: self._ended(key, ended))
        return await asyncio.shield(task)

    async def discard(self, file: File) -> None:
        """Throw away what may have come for a file that goes without ever having had content."""
        if self._blobs.takes_uploads and not file.has_content:
            await self._blobs.remove(incoming_key(file.uid))

    async def sweep(self) -> None:
        """Throw away what came for files that have gone, or have other content: no file waits longer than this."""
        if self._blobs.takes_uploads:
            oldest = await self._store.now() - self._unattached_for
            async for blob in self._blobs.list(INCOMING):
                if blob.write_time < oldest:
                    await self._blobs.remove(blob.key)

    async def close(self) -> None:
        """Wait for what is under way."""
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    async def _take(self, key: str, file: File) -> File:
        size = await self._blobs.size(key)
        if size is None:
            return await self._now(file)
        try:
            file = await self._uploads.take(file, self._blobs.read(key, 0, size))
        except InvalidArgument:
            await self._blobs.remove(key)
            raise
        except (AlreadyExists, BlobMissingError):
            # Somebody else was faster, here or with an upload of another kind.
            file = await self._now(file)
        with suppress(ChatkitError):
            await self._blobs.remove(key)
        return file

    async def _now(self, file: File) -> File:
        found = await self._store.find(file.uid)
        if found is None:
            raise not_found(file.id)
        return found

    def _ended(self, key: str, task: asyncio.Task[File]) -> None:
        del self._under_way[key]
        if not task.cancelled():
            # Nobody may be left who wants to hear of it.
            task.exception()
