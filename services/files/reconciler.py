"""`python -m services.files reconcile`: compares what the store holds with what the tables say, prints, and repairs.

The collector leaves nothing for it to do; it is for what happens outside: a restored backup, a lost disk, a hand that
removed something. It may run while the service serves.
"""

import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from uuid import UUID

from services.files.blobs import Blobs, StoredBlob, open_blobs
from services.files.collector import STALE
from services.files.model import INCOMING
from services.files.store import FileStore
from services.runtime import log
from services.runtime.clock import Clock
from services.runtime.database import Database, create_engine
from services.runtime.errors import ChatkitError
from services.runtime.settings import Settings

_BATCH = 200
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found, and repaired where that is possible."""

    blobs_removed: int
    usages_corrected: int
    # Files that say they have content which is not there: nothing can bring it back.
    contents_lost: int

    @property
    def is_clean(self) -> bool:
        """Whether there was nothing to repair."""
        return not (self.blobs_removed or self.usages_corrected or self.contents_lost)


class Reconciler:
    """Compares and repairs."""

    def __init__(self, store: FileStore, blobs: Blobs, say: Say) -> None:
        self._store = store
        self._blobs = blobs
        self._say = say

    async def reconcile(self) -> Findings:
        """Compare everything once."""
        return Findings(
            blobs_removed=await self._remove_unknown(),
            usages_corrected=await self._correct_usages(),
            contents_lost=await self._report_lost(),
        )

    async def _remove_unknown(self) -> int:
        # What is young may be an upload's, whose row was written after the listing was made.
        oldest_of_interest = await self._store.now() - STALE
        removed = 0
        async for batch in _batches(self._everything()):
            known = await self._store.known_keys([blob.key for blob in batch])
            for blob in batch:
                if blob.key not in known and blob.write_time < oldest_of_interest:
                    self._say(f"{blob.key}: no file and no upload has this content ({blob.size_bytes} bytes): removed")
                    await self._blobs.remove(blob.key)
                    removed += 1
        return removed

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
            self._say(f"user {owner_uid}: {counted} bytes were counted, and the files have {real}: corrected")
            await self._store.correct_usage(owner_uid)
        return len(wrong)

    async def _report_lost(self) -> int:
        lost, after = 0, UUID(int=0)
        while files := await self._store.with_content(after, _BATCH):
            for file in files:
                size = await self._blobs.size(file.blob_key)
                if size != file.size_bytes and await self._store.known_keys([file.blob_key]):
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


async def reconcile(settings: Settings, _clock: Clock) -> int:
    """Run once, print what was found, and return the exit status: 1 if content was lost."""
    database = Database(create_engine(settings.database_url.get_secret_value(), connections=1))
    store = FileStore(database, most_bytes=0)
    try:
        found = await Reconciler(store, open_blobs(settings), _print).reconcile()
    except ChatkitError as error:
        log.complain(f"files: {error.message}")
        return 2
    finally:
        await database.close()
    _print(
        f"{found.blobs_removed} blobs removed, {found.usages_corrected} counts corrected,"
        f" {found.contents_lost} contents lost"
    )
    return 1 if found.contents_lost else 0


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
