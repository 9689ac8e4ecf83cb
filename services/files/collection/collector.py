"""Removes what nobody needs: files that no message refers to, and what interrupted uploads have left.

A file is removed only when nobody could attach it any more, and messages has said after that that none refers to it.
While messages does not answer, nothing is removed.
"""

from collections.abc import Sequence
from datetime import timedelta

import structlog

from services.files.collection.needed import Needed
from services.files.content.blobs import Blobs
from services.files.content.incoming import Incoming
from services.files.model import File, FileState
from services.files.peers import MessagesClient
from services.files.service import LEASE, Files
from services.files.store import FileStore
from services.runtime.clock import Clock
from services.runtime.contract.errors import ChatkitError
from services.runtime.metrics.rounds import Rounds

# Longer than any upload may take.
STALE = timedelta(hours=1)
_log = structlog.get_logger()


class Collector:
    """One of them runs in each process; what one works on, others leave alone for a while."""

    def __init__(
        self,
        files: Files,
        store: FileStore,
        blobs: Blobs,
        incoming: Incoming,
        messages: MessagesClient,
        clock: Clock,
        *,
        interval: float,
        unattached_for: timedelta,
        batch: int,
    ) -> None:
        self._files = files
        self._store = store
        self._blobs = blobs
        self._incoming = incoming
        self._messages = messages
        self._needed = Needed(store, messages)
        self._clock = clock
        self._interval = interval
        self._unattached_for = unattached_for
        self._batch = batch
        self.rounds = Rounds(clock)
        self.removed = self.bytes_removed = self.uploads_cleared = 0

    async def run(self) -> None:
        """Collect for ever."""
        while True:
            await self._clock.sleep(self._interval)
            try:
                await self.collect()
            except ChatkitError as error:
                self.rounds.fail()
                _log.warning("collecting_waits", problem=error.message)

    async def collect(self) -> int:
        """Remove everything that is due, and return how many files that were."""
        await self._clear_stale()
        await self._incoming.sweep()
        removed = 0
        while True:
            due = await self._store.claim_due(LEASE, self._batch)
            removed += await self._remove_unused(due)
            if len(due) < self._batch:
                self.rounds.succeed()
                return removed

    async def _clear_stale(self) -> None:
        while stale := await self._store.revoke_stale(STALE, self._batch):
            needed = await self._needed.among(stale)
            for key in stale:
                if key in needed:
                    # It was finished after the backup that the tables are of: the reconciler tells of it.
                    _log.warning("content_without_file_kept", key=key)
                else:
                    await self._blobs.remove(key)
                    self.uploads_cleared += 1
                await self._store.end_upload(key)

    async def _remove_unused(self, due: Sequence[File]) -> int:
        # Asked once before, so that a file in use can be attached all the time.
        condemned = [await self._condemn(file) for file in await self._unused(due)]
        doomed = await self._unused([file for file in condemned if file is not None])
        removed = [file for file in doomed if await self._files.remove(file)]
        if removed:
            self.removed += len(removed)
            self.bytes_removed += sum(file.size_bytes for file in removed if file.has_content)
            _log.info("files_collected", count=len(removed))
        return len(removed)

    async def _unused(self, files: Sequence[File]) -> list[File]:
        """Return those that no message refers to, and let the others be for a while."""
        used = await self._messages.referenced([file.id for file in files if file.has_content])
        kept = [file.uid for file in files if file.id in used]
        if kept:
            await self._store.keep(kept, self._unattached_for)
        return [file for file in files if file.id not in used]

    async def _condemn(self, file: File) -> File | None:
        if file.state is FileState.DELETING:
            return file
        return await self._store.condemn(file, LEASE, self._unattached_for)
