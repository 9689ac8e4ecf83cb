"""How many downloads go on at once: whoever does not read holds memory, and there is so much of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from services.files.content.places import TICK_SECONDS, Bounds
from services.files.http.transfers import FilesHttp
from services.runtime.contract.errors import DeadlineExceeded
from tests.files.http.reading import Reader
from tests.files.library import PICTURE, Library
from tests.files.world import World
from tests.support.eventually import eventually

_PATIENCE = 200


@asynccontextmanager
async def _routes(
    shelf: Library, most_downloads: int, most_of_file: int = 9, bytes_per_second: int = 1
) -> AsyncIterator[FilesHttp]:
    world = World(shelf)
    http = world.http(Bounds(most_downloads, most_of_file, _PATIENCE, bytes_per_second))
    ticking = asyncio.create_task(http.downloads.run())
    try:
        yield http
    finally:
        ticking.cancel()
        with suppress(asyncio.CancelledError):
            await ticking
        await world.database.close()


async def test_so_many_downloads_go_on_at_once_and_each_that_ends_makes_room(shelf: Library) -> None:
    url = (await shelf.add()).download_url
    async with _routes(shelf, most_downloads=2) as http:
        first, second = Reader(http, url), Reader(http, url)
        await asyncio.gather(first.is_told.wait(), second.is_told.wait())
        refused = Reader(http, url)
        await refused.done
        assert (refused.status, b"OVERLOADED" in refused.body) == (503, True)
        first.may_read.set()
        await first.done
        assert first.body == PICTURE
        third = Reader(http, url)
        await third.is_told.wait()
        assert third.status == 200
        for reader in (second, third):
            reader.may_read.set()
            await reader.done
            assert reader.body == PICTURE


async def test_one_url_that_is_opened_many_times_takes_no_place_from_other_files(shelf: Library) -> None:
    url, other = (await shelf.add()).download_url, (await shelf.add(name="other")).download_url
    async with _routes(shelf, most_downloads=3, most_of_file=1) as http:
        first = Reader(http, url)
        await first.is_told.wait()
        for _ in range(3):
            refused = Reader(http, url)
            await refused.done
            assert (refused.status, b"OVERLOADED" in refused.body) == (503, True)
        second = Reader(http, other)
        await second.is_told.wait()
        assert second.status == 200
        for reader in (first, second):
            reader.may_read.set()
            await reader.done
        again = Reader(http, url)
        again.may_read.set()
        await again.done
        assert again.status == 200


async def test_content_that_is_not_there_and_a_reader_who_is_given_up_hold_no_place(shelf: Library) -> None:
    file, lost = await shelf.add(), await shelf.add()
    path = next(path for path in shelf.stored() if lost.id.replace("-", "") in path.name)
    path.unlink()
    async with _routes(shelf, most_downloads=1) as http:
        missing = Reader(http, lost.download_url)
        missing.may_read.set()
        await missing.done
        assert missing.status == 404
        stalled = Reader(http, file.download_url)
        await stalled.is_told.wait()

        def given_up() -> bool:
            shelf.clock.leap(TICK_SECONDS)
            return stalled.done.done()

        await eventually(given_up)
        assert isinstance(stalled.done.exception(), DeadlineExceeded)
        assert http.downloads.count == 0
        last = Reader(http, file.download_url)
        last.may_read.set()
        await last.done
        assert (last.status, last.body) == (200, PICTURE)
