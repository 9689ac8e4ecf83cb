"""Content in a bucket: the same service in front of a server that speaks S3, which answers downloads by itself."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import grpc
import pytest

from services.files.content.blobs import open_blobs
from services.runtime.contract.errors import Unavailable
from tests.files.library import PICTURE, library, sha256
from tests.support.databases import TestDatabase
from tests.support.eventually import eventually
from tests.support.refusals import check, refused
from tests.support.s3 import running_s3
from tests.support.suite import settings

LARGE = bytes(range(256)) * 24 * 1024  # six MiB, which S3 is sent in parts


async def test_content_lies_in_the_bucket_and_is_fetched_from_the_store_itself(
    database: TestDatabase, tmp_path: Path
) -> None:
    async with (
        running_s3(tmp_path / "s3") as s3,
        library(database, tmp_path, limit_overrides={"FILE_BYTES": len(LARGE)}, **s3.settings) as shelf,
    ):
        file = await shelf.add(name="é.png")
        large = await shelf.add(LARGE, content_type="text/html")
        assert sorted(path.stat().st_size for path in s3.objects()) == [len(PICTURE), len(LARGE)]
        assert not (tmp_path / "blobs").exists()
        assert await shelf.download(file.id) == PICTURE
        assert await shelf.download(large.id, offset_bytes=5) == LARGE[5:]
        assert file.download_url.startswith(s3.url)
        fetched = await shelf.http.get(file.download_url, headers={"range": "bytes=5-9"})
        assert (fetched.status_code, fetched.content) == (206, PICTURE[5:10])
        assert fetched.headers["content-type"] == "image/png"
        assert fetched.headers["content-disposition"] == "inline; filename=\"_.png\"; filename*=UTF-8''%C3%A9.png"
        page = await shelf.http.get(large.download_url)
        assert (page.content, page.headers["content-type"]) == (LARGE, "application/octet-stream")
        assert page.headers["content-disposition"].startswith("attachment")
        altered = urlsplit(file.download_url)._replace(path=urlsplit(large.download_url).path).geturl()
        assert (await shelf.http.get(altered)).status_code == 403
        assert file.download_expire_time.seconds - shelf.clock.now().timestamp() > 3500


async def test_a_url_of_the_store_is_the_same_for_some_minutes_and_saves_on_request(
    database: TestDatabase, tmp_path: Path
) -> None:
    async with running_s3(tmp_path / "s3") as s3, library(database, tmp_path, **s3.settings) as shelf:
        shelf.clock.stop()
        file = await shelf.add(name="日本.png")
        assert (await shelf.get(file.id)).download_url == file.download_url
        query = parse_qs(urlsplit(file.download_url).query)
        signed = datetime.strptime(query["X-Amz-Date"][0], "%Y%m%dT%H%M%S%z")
        ends = signed + timedelta(seconds=int(query["X-Amz-Expires"][0]))
        assert file.download_expire_time.ToDatetime(UTC) == ends
        assert timedelta(hours=1) <= ends - shelf.clock.now() <= timedelta(minutes=65)
        saving = (await shelf.get(file.id, attachment=True)).download_url
        saved = await shelf.http.get(saving)
        assert (saved.content, saved.headers["content-type"]) == (PICTURE, "image/png")
        name = "filename=\"__.png\"; filename*=UTF-8''%E6%97%A5%E6%9C%AC.png"
        # The tests' bucket knows no such word, and holds the signature over it.
        assert parse_qs(urlsplit(saving).query)["response-content-disposition"] == [f"attachment; {name}"]
        assert (await shelf.http.get(saving.replace("attachment", "inline"))).status_code == 403
        shown = await shelf.http.get(file.download_url)
        assert shown.headers["content-disposition"] == f"inline; {name}"
        shelf.clock.leap(300)
        assert (await shelf.get(file.id)).download_url != file.download_url


async def test_what_is_wrong_leaves_nothing_in_the_bucket_and_deletion_removes(
    database: TestDatabase, tmp_path: Path
) -> None:
    async with running_s3(tmp_path / "s3") as s3, library(database, tmp_path, **s3.settings) as shelf:
        created = await shelf.create(sha256=sha256(PICTURE))
        await refused(shelf.upload(created.file.id, [b"!" + PICTURE[1:]]), "FILE_CONTENT_MISMATCH")
        await refused(shelf.upload(created.file.id, [PICTURE, b"!"]), "FILE_CONTENT_MISMATCH")
        await eventually(lambda: shelf.database.count("files.uploads") == 0)
        assert s3.objects() == []
        answers = await asyncio.gather(*(shelf.upload(created.file.id, [PICTURE]) for _ in range(2)))
        assert answers[0].sha256 == answers[1].sha256 == sha256(PICTURE)
        await eventually(lambda: len(s3.objects()) == 1)
        await shelf.delete(created.file.id)
        assert s3.objects() == []


async def test_a_store_that_goes_away_is_a_clear_error_and_descriptions_are_still_read(
    database: TestDatabase, tmp_path: Path
) -> None:
    async with running_s3(tmp_path / "s3") as s3, library(database, tmp_path, **s3.settings) as shelf:
        file, created = await shelf.add(), await shelf.create()
        await s3.stop()
        await refused(shelf.upload(created.file.id, [PICTURE]), "FILE_STORE_UNAVAILABLE")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await shelf.download(file.id)
        check(caught.value, "FILE_STORE_UNAVAILABLE")
        assert (await shelf.get(file.id)).name == file.name
        # What could not be cleared away is the collector's.
        assert shelf.database.count("files.uploads") == 1


async def test_a_service_whose_key_is_wrong_is_not_ready(database: TestDatabase, tmp_path: Path) -> None:
    async with running_s3(tmp_path / "s3") as s3:
        told = {**s3.settings, "s3_secret_access_key": "another"}
        blobs = open_blobs(settings(database, tmp_path, "files", **told))
        with pytest.raises(Unavailable) as caught:
            await blobs.check()
        assert caught.value.reason == "FILE_STORE_UNAVAILABLE"
