"""Content over HTTP: what a browser, a player and curl do, and what somebody does who means harm."""

import asyncio
import json
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import pytest

from services.files.content.urls import FileUrls, Purpose
from services.files.http.listener import tls_context
from services.files.model import FileUid
from services.runtime.settings import TlsFiles
from tests.files.http.reading import refusal
from tests.files.library import PICTURE, Library, library, sha256
from tests.support import tokens
from tests.support.certificates import Authority
from tests.support.clock import ManualClock
from tests.support.databases import TestDatabase
from tests.support.eventually import HANG_SECONDS, eventually, until
from tests.support.refusals import refused


async def test_a_put_that_is_repeated_is_harmless_and_one_with_other_bytes_changes_nothing(shelf: Library) -> None:
    created = await shelf.create()
    first = await shelf.put(created.upload_url, PICTURE, **{"content-type": "image/png"})
    again = await shelf.put(created.upload_url, PICTURE)
    assert first.status_code == again.status_code == 200
    assert first.headers["etag"] == again.headers["etag"] == f'"{sha256(PICTURE)}"'
    assert first.json()["file"]["sha256"] == sha256(PICTURE)
    other = bytes(reversed(PICTURE))
    assert refusal(await shelf.put(created.upload_url, other), "FILE_ALREADY_READY", 409) == {
        "fileId": created.file.id
    } or {"file_id": created.file.id}
    await refused(shelf.upload(created.file.id, [other]), "FILE_ALREADY_READY")
    assert (await shelf.upload(created.file.id, [PICTURE])).sha256 == sha256(PICTURE)
    assert await shelf.download(created.file.id) == PICTURE
    await eventually(lambda: len(shelf.stored()) == 1)
    assert shelf.database.count("files.uploads") == 0


async def test_of_several_puts_at_once_one_gives_the_content_and_nothing_of_the_others_stays(shelf: Library) -> None:
    created = await shelf.create()
    contents = [PICTURE, bytes(reversed(PICTURE)), PICTURE]
    answers = await asyncio.gather(*(shelf.put(created.upload_url, content) for content in contents))
    fetched = await shelf.download(created.file.id)
    assert {answer.status_code for answer, content in zip(answers, contents, strict=True) if content == fetched} == {
        200
    }
    assert {answer.status_code for answer, content in zip(answers, contents, strict=True) if content != fetched} == {
        409
    }
    await eventually(lambda: len(shelf.stored()) == 1)
    await eventually(lambda: shelf.database.count("files.uploads") == 0)


async def test_what_is_not_what_was_declared_is_refused_and_leaves_nothing(shelf: Library) -> None:
    created = await shelf.create(sha256=sha256(PICTURE))

    async def unannounced(content: bytes) -> AsyncIterator[bytes]:
        yield content

    wrong: list[tuple[object, dict[str, str], str]] = [
        (PICTURE[:-1], {}, "sizeBytes"),
        (PICTURE + b"!", {}, "sizeBytes"),
        (unannounced(PICTURE[:-1]), {}, "sizeBytes"),
        (unannounced(PICTURE + b"!"), {}, "sizeBytes"),
        (b"!" + PICTURE[1:], {}, "sha256"),
        (PICTURE, {"content-type": "text/html"}, "contentType"),
    ]
    for content, headers, field in wrong:
        answer = await shelf.http.put(created.upload_url, content=content, headers=headers)  # type: ignore[arg-type]
        assert refusal(answer, "FILE_CONTENT_MISMATCH", 400)["field"] == field
        assert answer.json()["message"].startswith(f"{field}: ")
        (told,) = next(detail for detail in answer.json()["details"] if "fieldViolations" in detail)["fieldViolations"]
        assert told["field"] == field
    for chunks in ([PICTURE[:-1]], [PICTURE, b"!"], [b"!", PICTURE[1:]]):
        await refused(shelf.upload(created.file.id, chunks), "FILE_CONTENT_MISMATCH")
    await eventually(lambda: shelf.stored() == [])
    await eventually(lambda: shelf.database.count("files.uploads") == 0)
    # And it may be tried again.
    assert (await shelf.put(created.upload_url, PICTURE)).status_code == 200


async def test_a_part_of_the_content_can_not_be_put(shelf: Library) -> None:
    created = await shelf.create()
    for told in (f"bytes 0-{len(PICTURE) - 1}/{len(PICTURE)}", "nothing"):
        answer = await shelf.put(created.upload_url, PICTURE, **{"content-range": told})
        refusal(answer, "REQUEST_MALFORMED", 400)
    assert (shelf.stored(), shelf.database.count("files.uploads")) == ([], 0)
    assert (await shelf.put(created.upload_url, PICTURE)).status_code == 200


async def test_a_byte_too_many_ends_an_upload_at_once(shelf: Library) -> None:
    created = await shelf.create(b"x" * 10)
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b"x" * 64 * 1024

    async with asyncio.timeout(HANG_SECONDS):
        try:
            answer = await shelf.http.put(created.upload_url, content=endless())
            refusal(answer, "FILE_CONTENT_MISMATCH", 400)
        except httpx.TransportError:
            # The connection may be gone before all was sent that the client had begun to send.
            assert sent
    await eventually(lambda: shelf.stored() == [])


async def test_ranges_are_what_players_and_downloads_that_go_on_ask_for(shelf: Library) -> None:
    file = await shelf.add()
    size, tag = len(PICTURE), f'"{sha256(PICTURE)}"'
    for header, part in {
        "bytes=0-99": slice(0, 100),
        "bytes=100-": slice(100, None),
        "bytes=-7": slice(size - 7, None),
        f"bytes=-{size + 5}": slice(0, None),
        f"bytes={size - 1}-{size + 500}": slice(size - 1, None),
        "Bytes=0-1": slice(0, 2),
        "BYTES=0-" + "9" * 40: slice(0, None),
        "bytes=-" + "9" * 40: slice(0, None),
    }.items():
        answer = await shelf.http.get(file.download_url, headers={"range": header})
        start, end, _ = part.indices(size)
        assert (answer.status_code, answer.content) == (206, PICTURE[part]), header
        assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
        assert int(answer.headers["content-length"]) == end - start
    for header in ("bytes=9-3", "bytes=-", "items=0-1", "bytes=0-1,5-6", "bytes=0-1x", "bytes=" + "9" * 5000 + "-"):
        answer = await shelf.http.get(file.download_url, headers={"range": header})
        assert (answer.status_code, answer.content) == (200, PICTURE), header
    for header in (f"bytes={size}-", "bytes=-0", "bytes=9999999999999999-", "bytes=" + "9" * 40 + "-"):
        answer = await shelf.http.get(file.download_url, headers={"range": header})
        assert (answer.status_code, answer.headers["content-range"]) == (416, f"bytes */{size}"), header
        assert refusal(answer, "FIELD_INVALID", 416) == {"field": "range"}
    same = {"range": "bytes=0-1", "if-range": tag}
    assert (await shelf.http.get(file.download_url, headers=same)).status_code == 206
    other = {"range": "bytes=0-1", "if-range": '"other"'}
    assert (await shelf.http.get(file.download_url, headers=other)).status_code == 200
    known = await shelf.http.get(file.download_url, headers={"if-none-match": f'"x", W/{tag}'})
    assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", tag)


async def test_head_says_what_get_would(shelf: Library) -> None:
    file = await shelf.add()
    for headers in ({}, {"range": "bytes=5-9"}):
        head = await shelf.http.head(file.download_url, headers=headers)
        get = await shelf.http.get(file.download_url, headers=headers)
        assert (head.content, head.headers["accept-ranges"]) == (b"", "bytes")
        assert head.status_code == get.status_code
        assert {key: value for key, value in head.headers.items() if key != "date"} == {
            key: value for key, value in get.headers.items() if key != "date"
        }


async def test_what_a_browser_would_run_is_offered_for_saving_only(shelf: Library) -> None:
    shown = {"image/png": "image/png", "VIDEO/MP4; codecs=avc1": "video/mp4", "text/plain": "text/plain; charset=utf-8"}
    saved = ("text/html", "image/svg+xml", "text/xml", "application/xhtml+xml", "text/javascript", "application/pdf")
    for content_type in (*shown, *saved):
        file = await shelf.add(b"<script>alert(1)</script>", content_type=content_type)
        answer = await shelf.http.get(file.download_url)
        assert answer.headers["content-type"] == shown.get(content_type, "application/octet-stream")
        kind = answer.headers["content-disposition"].partition(";")[0]
        assert kind == ("inline" if content_type in shown else "attachment")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in answer.headers["content-security-policy"]
        # What was declared is what is told to those who ask the API.
        assert file.content_type == content_type


async def test_a_name_of_any_unicode_reaches_whoever_saves_the_content(shelf: Library) -> None:
    file = await shelf.add(name='日本 "é".png')
    told = (await shelf.http.get(file.download_url)).headers["content-disposition"]
    assert told == "inline; filename=\"__ ___.png\"; filename*=UTF-8''%E6%97%A5%E6%9C%AC%20%22%C3%A9%22.png"


async def test_what_a_browser_would_show_is_offered_for_saving_on_request(shelf: Library) -> None:
    shelf.clock.stop()
    file = await shelf.add(name='日本 "é"%;/.png')
    saving = (await shelf.get(file.id, attachment=True)).download_url
    assert saving == f"{file.download_url}&attachment=true"
    shown, saved = await shelf.http.get(file.download_url), await shelf.http.get(saving)
    name = "%E6%97%A5%E6%9C%AC%20%22%C3%A9%22%25%3B%2F.png"
    assert shown.headers["content-disposition"].startswith("inline; ")
    assert saved.headers["content-disposition"] == f"attachment; filename=\"__ ______.png\"; filename*=UTF-8''{name}"
    assert (saved.content, saved.headers["content-type"]) == (PICTURE, "image/png")
    assert (await shelf.http.head(saving)).headers["content-disposition"].startswith("attachment; ")
    for other in ("&attachment=false", "&attachment", "&attachments=true"):
        answer = await shelf.http.get(file.download_url + other)
        assert answer.headers["content-disposition"].startswith("inline; "), other
    page = await shelf.add(b"<p>", content_type="text/html")
    answer = await shelf.http.get(f"{page.download_url}&attachment=false")
    assert answer.headers["content-disposition"].startswith("attachment; ")


async def test_an_altered_url_and_one_for_something_else_are_refused(shelf: Library) -> None:
    file, other = await shelf.add(), await shelf.add(as_user="bob")
    created = await shelf.create()
    url = file.download_url
    query = urlsplit(url).query
    expires = query.partition("=")[2].partition("&")[0]
    for altered in (
        url[:-1] + ("A" if url[-1] != "A" else "B"),
        url.replace(expires, str(int(expires) + 1)),
        url.replace(expires, f"0{expires}"),
        url.replace(expires, expires * 1_000),
        url.replace(expires, "٣"),
        url.replace(file.id, other.id),
        url.partition("?")[0],
        url.partition("&")[0],
        f"{created.upload_url}",
    ):
        refusal(await shelf.http.get(altered), "FILE_URL_INVALID", 403)
    refusal(await shelf.put(created.upload_url.replace(created.file.id, file.id), PICTURE), "FILE_URL_INVALID", 403)
    refusal(await shelf.put(url, PICTURE), "FILE_URL_INVALID", 403)
    refusal(await shelf.http.get(url.replace(file.id, file.id.upper())), "FILE_NOT_FOUND", 404)
    for verb in ("DELETE", "PATCH", "POST", "OPTIONS", "TRACE"):
        refusal(await shelf.http.request(verb, url), "METHOD_NOT_FOUND", 404)
    base = url.partition("/files/")[0]
    for path in ("/", "/files/", "/files/../etc/passwd", "/files/%2e%2e%2fetc", f"/files/{file.id}/x", "/blobs"):
        refusal(await shelf.http.get(base + path), "METHOD_NOT_FOUND", 404)


async def test_urls_hold_for_an_hour_and_getfile_renews_them(shelf: Library) -> None:
    shelf.clock.stop()
    file, created = await shelf.add(request_id="ready"), await shelf.create(request_id="pending")
    shelf.clock.leap(3595)
    assert (await shelf.http.get(file.download_url)).status_code == 200
    # They live for up to five minutes more, so that one is the same for so long.
    shelf.clock.leap(305)
    assert "expire_time" in refusal(await shelf.http.get(file.download_url), "FILE_URL_EXPIRED", 403)
    refusal(await shelf.put(created.upload_url, PICTURE), "FILE_URL_EXPIRED", 403)
    renewed = await shelf.get(file.id)
    assert (await shelf.http.get(renewed.download_url)).content == PICTURE
    assert renewed.download_expire_time.seconds - shelf.clock.now().timestamp() > 1800
    again = await shelf.create(request_id="pending")
    assert (await shelf.put(again.upload_url, PICTURE)).status_code == 200


@pytest.mark.parametrize("milliseconds", [0, 1, 299_500, 299_999])
def test_a_url_is_the_same_for_some_minutes_and_lives_for_its_whole_life(milliseconds: int) -> None:
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds))
    urls = FileUrls("http://x", tokens.INSTANCE, timedelta(hours=1), clock)
    urls.use([tokens.SERVICE_KEY])
    made = set()
    for _ in range(60):
        url = urls.make(Purpose.DOWNLOAD, FileUid(UUID(int=1)), urls.window())
        assert timedelta(hours=1) <= url.expire_time - clock.now() <= timedelta(minutes=65)
        made.add(url.url)
        clock.ahead += 60
    assert len(made) in {12, 13}


async def test_any_replica_takes_what_another_one_has_signed(shelf: Library) -> None:
    second = await shelf.suite.start("files", http_listen="127.0.0.1:0", listen="127.0.0.1:0")
    created = await shelf.create()
    first = urlsplit(created.upload_url).netloc
    assert second.http_address != first
    answer = await shelf.put(created.upload_url.replace(first, second.http_address), PICTURE)
    assert answer.status_code == 200
    url = (await shelf.get(created.file.id)).download_url
    assert {(await shelf.http.get(url.replace(first, host))).content for host in (first, second.http_address)} == {
        PICTURE
    }


async def test_keys_that_are_taken_away_revoke_what_they_have_signed(shelf: Library) -> None:
    file = await shelf.add()
    service_keys = shelf.folder / "service_keys.json"
    tokens.write(service_keys, tokens.SECOND_KEY, tokens.SERVICE_KEY)
    await eventually_answered(shelf, file.download_url, 200)
    tokens.write(service_keys, tokens.SECOND_KEY)
    shelf.clock.leap(1)
    await eventually_answered(shelf, file.download_url, 403)
    assert (await shelf.http.get((await shelf.get(file.id)).download_url)).content == PICTURE


async def eventually_answered(shelf: Library, url: str, status: int) -> None:
    """Wait until a URL is answered with a status."""

    async def answered() -> bool:
        return (await shelf.http.get(url)).status_code == status

    await until(answered)


async def test_a_file_without_its_content_is_not_served(shelf: Library) -> None:
    created = await shelf.create()
    # Nobody is given such a URL, so it is made here as the service makes them.
    base = created.upload_url.partition("/files/")[0]
    urls = FileUrls(base, tokens.INSTANCE, timedelta(hours=1), shelf.clock)
    urls.use([tokens.SERVICE_KEY])
    url = urls.make(Purpose.DOWNLOAD, FileUid(UUID(created.file.id)), urls.window()).url
    assert refusal(await shelf.http.get(url), "FILE_NOT_READY", 409) == {"file_id": created.file.id}
    await shelf.put(created.upload_url, PICTURE)
    assert (await shelf.http.get(url)).content == PICTURE


async def test_content_that_is_lost_is_an_error_and_no_broken_answer(shelf: Library) -> None:
    file = await shelf.add()
    shutil.rmtree(shelf.folder / "blobs")
    refusal(await shelf.http.get(file.download_url), "FILE_NOT_FOUND", 404)
    await refused(shelf.download(file.id), "FILE_NOT_FOUND")


@asynccontextmanager
async def _begun(url: str) -> AsyncIterator[asyncio.StreamReader]:
    """Send the beginning of some content, and nothing more as long as the context is open."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    head = f"PUT {parts.path}?{parts.query} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(PICTURE)}\r\n\r\n"
    writer.write(head.encode() + PICTURE[:1000])
    try:
        async with asyncio.timeout(HANG_SECONDS):
            yield reader
    finally:
        writer.close()


async def test_an_upload_that_stalls_is_ended(database: TestDatabase, tmp_path: Path) -> None:
    async with library(database, tmp_path, file_stall_seconds=0.3) as shelf:
        async with _begun((await shelf.create()).upload_url) as reader:
            answer = (await reader.read()).decode()
        assert answer.startswith("HTTP/1.1 408 ")
        assert "DEADLINE_EXCEEDED" in answer
        await eventually(lambda: shelf.database.count("files.uploads") == 0)
        assert shelf.stored() == []


async def test_while_an_upload_stalls_others_go_on(database: TestDatabase, tmp_path: Path) -> None:
    async with (
        library(database, tmp_path, file_stall_seconds=HANG_SECONDS, shutdown_grace_seconds=0) as shelf,
        _begun((await shelf.create()).upload_url),
    ):
        await eventually(lambda: shelf.database.count("files.uploads") == 1)
        assert (await shelf.add(as_user="bob")).sha256 == sha256(PICTURE)
        assert shelf.database.count("files.uploads") == 1


async def test_a_user_has_so_many_uploads_at_once(database: TestDatabase, tmp_path: Path) -> None:
    overrides = {"UPLOADS_PER_USER": 1, "UPLOADS_PER_PROCESS": 2}
    async with library(database, tmp_path, limit_overrides=overrides) as shelf:
        go_on = asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield PICTURE[:1000]
            await go_on.wait()
            yield PICTURE[1000:]

        async def send(as_user: str) -> httpx.Response:
            created = await shelf.create(as_user=as_user)
            return await shelf.http.put(created.upload_url, content=slow())

        first = asyncio.create_task(send("alice"))
        await eventually(lambda: shelf.database.count("files.uploads") == 1)
        created = await shelf.create()
        assert (
            refusal(await shelf.put(created.upload_url, PICTURE), "QUOTA_EXCEEDED", 429)["limit"] == "UPLOADS_PER_USER"
        )
        second = asyncio.create_task(send("bob"))
        await eventually(lambda: shelf.database.count("files.uploads") == 2)
        third = await shelf.create(as_user="carol", room_id="attic")
        refused_one = await shelf.put(third.upload_url, PICTURE)
        refusal(refused_one, "OVERLOADED", 503)
        assert refused_one.headers["retry-after"] == "1"
        go_on.set()
        assert [(await first).status_code, (await second).status_code] == [200, 200]
        assert (await shelf.put(created.upload_url, PICTURE)).status_code == 200


async def test_an_upload_that_outlasts_the_process_is_told_to_come_again(
    database: TestDatabase, tmp_path: Path
) -> None:
    async with library(database, tmp_path, shutdown_grace_seconds=1) as shelf:
        async with _begun((await shelf.create()).upload_url) as reader:
            await eventually(lambda: shelf.database.count("files.uploads") == 1)
            await shelf.suite.stop("files")
            answer = (await reader.read()).decode()
        assert answer.startswith("HTTP/1.1 503 ")
        assert "SHUTTING_DOWN" in answer
        assert "retry-after: 1" in answer
        assert shelf.stored() == []


async def test_curl_puts_and_fetches(shelf: Library, tmp_path: Path) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")
    created = await shelf.create(name="p.png")
    (tmp_path / "sent").write_bytes(PICTURE)

    async def run(*arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *(curl or "", "--fail-with-body", "--silent", "--show-error", *arguments), stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
        assert process.returncode == 0, out
        return out.decode()

    file = json.loads(await run("--upload-file", str(tmp_path / "sent"), created.upload_url))["file"]
    await run("--output", str(tmp_path / "fetched"), "--range", "0-999", file["downloadUrl"])
    await run("--output", str(tmp_path / "fetched"), "--continue-at", "-", file["downloadUrl"])
    assert (tmp_path / "fetched").read_bytes() == PICTURE


async def test_between_processes_content_is_encrypted_and_asks_for_a_certificate(tmp_path: Path) -> None:
    authority, stranger = Authority(), Authority("somebody else")
    told = authority.write(tmp_path)
    context = tls_context(TlsFiles(told["tls_certificate_file"], told["tls_key_file"], told["tls_ca_file"]))

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    host, port = server.sockets[0].getsockname()

    async def ask(signed_by: Authority, trusted: Authority) -> bytes:
        client = ssl.create_default_context(cadata=trusted.pem.decode())
        client.load_cert_chain(*signed_by.sign().write(tmp_path, "client"))
        with suppress(ssl.SSLError, ConnectionError):
            reader, writer = await asyncio.open_connection(host, port, ssl=client)
            writer.write(b"hello\n")
            echoed = await reader.readline()
            writer.close()
            return echoed
        return b""

    async with server:
        assert await ask(authority, authority) == b"hello\n"
        assert await ask(stranger, authority) == b""
        # New files hold from the next handshake on, the authority's included.
        stranger.write(tmp_path)
        assert await ask(stranger, stranger) == b"hello\n"
        assert await ask(authority, stranger) == b""
