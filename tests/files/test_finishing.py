"""The moment in which content becomes a file's: the database may be away, or not say what it did."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

from services.files.model import File, FileUid
from services.files.store import FileStore
from services.runtime.contract.errors import Unavailable, unknown_outcome
from tests.files.library import PICTURE, Library, sha256
from tests.files.world import World
from tests.support.eventually import eventually


class _Away(FileStore):
    """A database that is away when an upload is to be finished, for a while."""

    times = 2

    async def finish_upload(self, key: str, uid: FileUid, sha256: bytes, check_after: timedelta) -> File | None:
        self.times -= 1
        if self.times >= 0:
            raise Unavailable("DATABASE_UNAVAILABLE", "the database can't be reached")
        return await super().finish_upload(key, uid, sha256, check_after)


class _Silent(FileStore):
    """A database that does what it is told, and does not say so."""

    was_asked = False

    async def finish_upload(self, key: str, uid: FileUid, sha256: bytes, check_after: timedelta) -> File | None:
        finished = await super().finish_upload(key, uid, sha256, check_after)
        if not self.was_asked:
            self.was_asked = True
            raise unknown_outcome()
        return finished


async def _content() -> AsyncIterator[bytes]:
    yield PICTURE


async def _taken(shelf: Library, kind: type[FileStore]) -> File:
    world = World(shelf)
    file = await world.store.find(FileUid(UUID((await shelf.create()).file.id)))
    assert file is not None
    uploads = world.uploads(kind(world.database))
    try:
        return await uploads.take(file, _content())
    finally:
        await uploads.close()
        await world.database.close()


async def test_a_database_that_is_away_for_a_moment_costs_nobody_an_upload(shelf: Library) -> None:
    file = await _taken(shelf, _Away)
    assert (file.sha256 or b"").hex() == sha256(PICTURE)
    assert await shelf.download(file.id) == PICTURE


async def test_an_upload_whose_end_nobody_heard_of_has_happened_and_keeps_its_content(shelf: Library) -> None:
    file = await _taken(shelf, _Silent)
    assert await shelf.download(file.id) == PICTURE
    await eventually(lambda: shelf.database.count("files.uploads") == 0)
    assert len(shelf.stored()) == 1
