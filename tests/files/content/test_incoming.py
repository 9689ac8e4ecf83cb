"""Content that clients put straight into the bucket: checked before anybody reads it, and nothing is left over."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import pytest
from chatkit.files.v1 import file_pb2
from chatkit.files.v1 import files_service_pb2 as pb2

from services.files.model import INCOMING, FileState, FileUid
from services.runtime.contract.errors import NotFound
from tests.files.library import PICTURE, Library, library, sha256
from tests.files.world import World
from tests.support.databases import TestDatabase
from tests.support.eventually import eventually
from tests.support.refusals import refused
from tests.support.s3 import S3, running_s3

OTHER = b"!" + PICTURE[1:]
DAY = 86_400.0


@dataclass
class Place:
    """The service, and the bucket."""

    shelf: Library
    s3: S3

    async def create(self, **fields: Any) -> pb2.CreateFileResponse:
        """Create a file whose content goes to the bucket."""
        created = await self.shelf.create(**fields)
        assert created.upload_url.startswith(self.s3.url)
        return created

    async def put(self, url: str, content: bytes = PICTURE) -> httpx.Response:
        """Send content as any client does that was told nothing but the URL."""
        return await self.shelf.put(url, content)

    def incoming(self) -> list[Path]:
        """List what nobody has looked at."""
        return [path for path in self.s3.objects() if f"/{INCOMING}/" in str(path)]


@pytest.fixture
async def place(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Place]:
    """Run both."""
    async with running_s3(tmp_path / "s3") as s3, library(database, tmp_path, **s3.settings) as shelf:
        yield Place(shelf, s3)


async def test_content_goes_to_the_bucket_and_the_file_is_ready_when_its_owner_looks(place: Place) -> None:
    created = await place.create()
    assert (await place.put(created.upload_url)).status_code == 200
    assert [path.read_bytes() for path in place.incoming()] == [PICTURE]
    await refused(place.shelf.get(created.file.id, "bob"), "FILE_NOT_FOUND")
    file = await place.shelf.get(created.file.id, "alice")
    assert (file.state, file.sha256) == (file_pb2.FILE_STATE_READY, sha256(PICTURE))
    await place.shelf.send(file.id)
    assert await place.shelf.download(file.id, "bob") == PICTURE
    fetched = await place.shelf.http.get(file.download_url)
    assert (fetched.content, fetched.headers["content-type"]) == (PICTURE, "image/png")
    assert (len(place.incoming()), len(place.s3.objects())) == (0, 1)
    assert place.shelf.database.count("files.uploads") == 0


async def test_a_message_takes_it_without_anybody_having_looked(place: Place) -> None:
    created, second, missing = [await place.create() for _ in range(3)]
    await place.put(created.upload_url)
    await place.put(second.upload_url)
    await refused(place.shelf.attach(created.file.id, missing.file.id), "FILE_NOT_READY")
    await refused(place.shelf.attach(second.file.id, as_user="bob"), "FILE_NOT_FOUND")
    await refused(place.shelf.attach(second.file.id, as_user="alice", room_id="attic"), "FILE_NOT_FOUND")
    assert len(place.incoming()) == 1
    attached = await place.shelf.attach(created.file.id, second.file.id)
    assert [file.sha256 for file in attached.files] == [sha256(PICTURE)] * 2


async def test_the_bucket_takes_nothing_but_the_declared_size_at_the_one_place(place: Place) -> None:
    created, other = await place.create(), await place.create()

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(4):
            yield PICTURE

    url = created.upload_url
    for content in (PICTURE + b"!", PICTURE[:-1], b"", endless()):
        assert (await place.shelf.http.put(url, content=content)).status_code == 403
    elsewhere = urlsplit(url)._replace(path=urlsplit(other.upload_url).path).geturl()
    for altered in (elsewhere, re.sub("X-Amz-Expires=[0-9]+", "X-Amz-Expires=9999", url), url.partition("?")[0]):
        assert (await place.put(altered)).status_code == 403
    assert (await place.shelf.http.get(url)).status_code == 403
    assert place.s3.objects() == []
    assert (await place.put(url)).status_code == 200


async def test_what_has_another_hash_is_thrown_away_and_the_next_attempt_counts(place: Place) -> None:
    created = await place.create(sha256=sha256(PICTURE))
    await place.put(created.upload_url, OTHER)
    await refused(place.shelf.get(created.file.id, "alice"), "FILE_CONTENT_MISMATCH")
    await eventually(lambda: place.s3.objects() == [])
    assert (await place.shelf.get(created.file.id, "alice")).state == file_pb2.FILE_STATE_PENDING
    await place.put(created.upload_url, OTHER)
    await refused(place.shelf.attach(created.file.id), "FILE_CONTENT_MISMATCH")
    await place.put(created.upload_url)
    await place.shelf.attach(created.file.id)
    assert await place.shelf.download(created.file.id) == PICTURE


async def test_what_is_put_there_later_changes_nothing(place: Place) -> None:
    created = await place.create()
    await place.put(created.upload_url)
    file = await place.shelf.get(created.file.id, "alice")
    assert (await place.put(created.upload_url, OTHER)).status_code == 200
    assert await place.shelf.download(file.id) == PICTURE
    assert (await place.shelf.get(file.id, "alice")).sha256 == sha256(PICTURE)
    await place.shelf.attach(file.id)
    place.shelf.references.used.add(file.id)
    place.shelf.clock.leap(DAY + 120)
    await place.shelf.collected(lambda: place.incoming() == [])
    assert await place.shelf.download(file.id) == PICTURE


async def test_of_those_who_ask_at_once_all_are_told_the_same(place: Place) -> None:
    created = await place.create()
    await place.put(created.upload_url)
    asked = [place.shelf.get(created.file.id, "alice") for _ in range(5)]
    attached = [place.shelf.attach(created.file.id) for _ in range(5)]
    uploaded = place.shelf.upload(created.file.id, [PICTURE])
    answers, _, _ = await asyncio.gather(asyncio.gather(*asked), asyncio.gather(*attached), uploaded)
    assert {file.sha256 for file in answers} == {sha256(PICTURE)}
    await eventually(lambda: len(place.s3.objects()) == 1)
    await eventually(lambda: place.shelf.database.count("files.uploads") == 0)


async def test_an_upload_of_another_kind_that_was_faster_wins(place: Place) -> None:
    created = await place.create()
    await place.put(created.upload_url, OTHER)
    await place.shelf.upload(created.file.id, [PICTURE])
    assert (await place.shelf.get(created.file.id, "alice")).sha256 == sha256(PICTURE)
    again = await place.shelf.create(request_id="request 1")
    # What is sent again is compared with what is there, which the bucket could not do.
    assert again.upload_url.startswith(f"http://{place.shelf.suite.servers['files'].http_address}")
    assert (await place.put(again.upload_url)).status_code == 200
    assert (await place.put(again.upload_url, OTHER)).json()["details"][0]["reason"] == "FILE_ALREADY_READY"


async def test_who_takes_it_over_too_late_finds_the_file_as_it_has_become(place: Place) -> None:
    created = await place.create()
    world = World(place.shelf, **place.s3.settings)
    try:
        pending = await world.store.find(FileUid(UUID(created.file.id)))
        assert pending is not None
        await place.put(created.upload_url, OTHER)
        await place.shelf.upload(created.file.id, [PICTURE])
        late = await world.incoming().take(pending)
        assert (late.state, late.sha256) == (FileState.READY, hashlib.sha256(PICTURE).digest())
        assert place.incoming() == []
        await place.shelf.delete(created.file.id)
        with pytest.raises(NotFound):
            await world.incoming().take(pending)
    finally:
        await world.database.close()


async def test_a_file_that_goes_takes_along_what_came_for_it_and_what_comes_later_goes_by_itself(place: Place) -> None:
    created = await place.create()
    await place.put(created.upload_url)
    await place.shelf.delete(created.file.id)
    assert place.s3.objects() == []
    await place.put(created.upload_url)
    forgotten = await place.create()
    await place.put(forgotten.upload_url)
    assert len(place.incoming()) == 2
    place.shelf.clock.leap(DAY - 600)
    await place.put((await place.create()).upload_url)
    await place.shelf.look()
    assert len(place.incoming()) == 3
    place.shelf.clock.leap(2 * DAY)
    await place.shelf.collected(lambda: place.s3.objects() == [] and place.shelf.database.count("files.files") == 0)


async def test_a_bucket_that_goes_away_is_told_and_what_came_is_still_there_afterwards(place: Place) -> None:
    created = await place.create()
    await place.put(created.upload_url)
    await place.s3.stop()
    await refused(place.shelf.get(created.file.id, "alice"), "FILE_STORE_UNAVAILABLE")
    assert len(place.incoming()) == 1


async def test_the_keys_may_be_those_that_the_machine_is_given(
    database: TestDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_s3(tmp_path / "s3") as s3:
        told = s3.settings
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", told.pop("s3_access_key_id"))
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", told.pop("s3_secret_access_key"))
        async with library(database, tmp_path, **told) as shelf:
            created = await shelf.create()
            assert (await shelf.put(created.upload_url, PICTURE)).status_code == 200
            file = await shelf.get(created.file.id, "alice")
            assert (await shelf.http.get(file.download_url)).content == PICTURE
