"""`python -m services.files reconcile`: compares what the store holds with what the tables say, prints, and repairs.

The collector leaves nothing for it to do; it is for what happens outside: a restored backup, a lost disk, a hand that
removed something. It may run while the service serves. No content is removed before messages has said that no message
refers to it, and with `--dry-run` nothing is changed at all.
"""

import sys
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass
from uuid import UUID

from services.files.collection.collector import STALE
from services.files.collection.needed import Needed
from services.files.collection.store import ReconcilerStore
from services.files.content.blobs import Blobs, StoredBlob, open_blobs
from services.files.model import INCOMING
from services.files.peers import MessagesClient
from services.files.settings import FilesSettings
from services.files.store import FileStore
from services.runtime import logs
from services.runtime.clock import Clock
from services.runtime.contract.errors import ChatkitError
from services.runtime.data.database import Database
from services.runtime.process.command import opened

_BATCH = 200
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found, and repaired where that is possible, unless nothing was to be changed."""

    blobs_removed: int
    usages_corrected: int
    # Files that say they have content which is not there: nothing can bring it back.
    contents_lost: int
    # Content that messages refer to and of which no file knows: the tables are older than the messages.
    files_lost: int = 0

    @property
    def has_losses(self) -> bool:
        """Whether there is something that only a backup can repair."""
        return bool(self.contents_lost or self.files_lost)


class Reconciler:
    """Compares, and repairs unless it is told to change nothing."""

    def __init__(
        self, database: Database, blobs: Blobs, messages: MessagesClient, say: Say, *, is_dry_run: bool = False
    ) -> None:
        # It creates nothing.
        self._files = FileStore(database)
        self._store = ReconcilerStore(database)
        self._blobs = blobs
        self._say = say
        self._needed = Needed(self._files, messages)
        self._is_dry_run = is_dry_run

    async def reconcile(self) -> Findings:
        """Compare everything once; SERVICE_UNAVAILABLE where messages must be asked and does not answer."""
        removed, files_lost = await self._remove_unknown()
        return Findings(
            blobs_removed=removed,
            files_lost=files_lost,
            usages_corrected=await self._correct_usages(),
            contents_lost=await self._report_lost(),
        )

    async def _remove_unknown(self) -> tuple[int, int]:
        """Return how much was removed, and how much was not because messages refer to it."""
        # What is young may be an upload's, whose row was written after the listing was made.
        oldest_of_interest = await self._files.now() - STALE
        removed = kept = 0
        async for batch in _batches(self._everything()):
            known = await self._store.known_keys([blob.key for blob in batch])
            unknown = [blob for blob in batch if blob.key not in known and blob.write_time < oldest_of_interest]
            needed = await self._needed.among([blob.key for blob in unknown])
            for blob in unknown:
                await self._judge(blob, needed)
            kept += sum(blob.key in needed for blob in unknown)
            removed += sum(blob.key not in needed for blob in unknown)
        return removed, kept

    async def _judge(self, blob: StoredBlob, needed: Collection[str]) -> None:
        what = f"{blob.key}: no file and no upload has this content ({blob.size_bytes} bytes)"
        if blob.key in needed:
            self._say(f"{what}, and a message refers to it: kept; bring back a newer backup of files")
            return
        self._say(f"{what}: {self._done('removed')}")
        if not self._is_dry_run:
            await self._blobs.remove(blob.key)

    def _done(self, what: str) -> str:
        return f"would be {what}" if self._is_dry_run else what

    async def _everything(self) -> AsyncIterator[StoredBlob]:
        async for blob in self._blobs.list():
            # What clients have put there is nobody's yet; the collector clears it by its age.
            if not blob.key.startswith(f"{INCOMING}/"):
                yield blob
        for leftover in self._blobs.leftovers():
            yield leftover

    async def _correct_usages(self) -> int:
        wrong = await self._store.wrong_usage()
        for owner_uid, (counted, real) in wrong.items():
            self._say(
                f"user {owner_uid}: {counted} bytes were counted, and the files have {real}: {self._done('corrected')}"
            )
            if not self._is_dry_run:
                await self._store.correct_usage(owner_uid)
        return len(wrong)

    async def _report_lost(self) -> int:
        lost, after = 0, UUID(int=0)
        while files := await self._store.with_content(after, _BATCH):
            for file in files:
                size = await self._blobs.size(file.blob_key)
                # A file goes before its content does.
                if size != file.size_bytes and await self._files.with_content_among([file.uid]):
                    what = "is missing" if size is None else f"has {size} bytes"
                    self._say(f"file {file.id}: its content of {file.size_bytes} bytes {what}: bring back a backup")
                    lost += 1
            after = files[-1].uid
        return lost


async def _batches(blobs: AsyncIterator[StoredBlob]) -> AsyncIterator[list[StoredBlob]]:
    batch: list[StoredBlob] = []
    async for blob in blobs:
        batch.append(blob)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


async def reconcile(settings: FilesSettings, clock: Clock, flags: Collection[str] = frozenset()) -> int:
    """Run once, print what was found, and return the exit status: 1 if something was lost."""
    is_dry_run = "dry-run" in flags
    try:
        async with opened("files", settings, clock) as tools:
            messages = MessagesClient(tools.peer("messages", settings.messages_address))
            reconciler = Reconciler(tools.database, open_blobs(settings), messages, _print, is_dry_run=is_dry_run)
            found = await reconciler.reconcile()
    except ChatkitError as error:
        logs.complain(f"files: {error.message}")
        return 2
    would = "would be " if is_dry_run else ""
    _print(
        f"{found.blobs_removed} blobs {would}removed, {found.usages_corrected} counts {would}corrected,"
        f" {found.contents_lost} contents lost, {found.files_lost} files lost"
    )
    return 1 if found.has_losses else 0


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
