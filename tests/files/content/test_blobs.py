"""The folder of content: what is written is on disk before anybody says so, and nothing half written is a blob."""

import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.files.content.blobs import BlobMissingError, Blobs, open_blobs
from services.files.content.urls import Window
from services.files.settings import FilesSettings
from services.runtime.contract.errors import Unavailable


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    """Open a folder."""
    return open_blobs(FilesSettings(blob_dir=tmp_path / "blobs"))


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def _write(blobs: Blobs, key: str, content: bytes) -> None:
    async with blobs.writing(key, {}) as writer:
        for start in range(0, len(content), 100_000):
            await writer.write(content[start : start + 100_000])


async def _read(blobs: Blobs, key: str, start: int, end: int) -> bytes:
    return b"".join([piece async for piece in blobs.read(key, start, end)])


async def test_what_was_written_is_synced_with_the_folders_above_it(
    blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    sync = os.fsync

    def recording(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        sync(descriptor)

    if sys.platform != "linux":
        pytest.skip("only Linux tells the name of an open file")
    monkeypatch.setattr(os, "fsync", recording)
    await _write(blobs, "ab/key", b"x" * 300_000)
    root = tmp_path / "blobs"
    assert synced == [str(root / "ab" / "key"), str(root / "ab"), str(root)]
    synced.clear()
    await blobs.remove("ab/key")
    assert synced == [str(root / "ab")]


async def test_an_error_leaves_nothing_and_nothing_is_there_before_the_end(blobs: Blobs, tmp_path: Path) -> None:
    async def interrupted() -> None:
        async with blobs.writing("ab/key", {}) as writer:
            await writer.write(b"x" * 1_000_000)
            assert await blobs.size("ab/key") is None
            raise KeyError

    with pytest.raises(KeyError):
        await interrupted()
    assert _files(tmp_path) == []


async def test_any_part_is_read_and_what_is_not_there_is_said(blobs: Blobs) -> None:
    content = os.urandom(700_000)
    await _write(blobs, "ab/key", content)
    for start, end in ((0, len(content)), (5, 6), (262_143, 262_145), (699_999, 700_000), (7, 7)):
        assert await _read(blobs, "ab/key", start, end) == content[start:end]
    await _write(blobs, "ab/key", b"other")
    assert await _read(blobs, "ab/key", 0, 5) == b"other"
    with pytest.raises(BlobMissingError):
        await _read(blobs, "ab/none", 0, 1)
    await blobs.remove("ab/none")
    hour = timedelta(hours=1)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert (
        await blobs.download_url("ab/key", Window(now, now + hour, hour)),
        await blobs.upload_url("ab/key", 1, hour),
    ) == (None, None)


async def test_what_a_killed_process_has_left_is_no_blob_and_goes_with_its_key(blobs: Blobs, tmp_path: Path) -> None:
    await _write(blobs, "ab/key", b"x")
    half = tmp_path / "blobs" / "ab" / "half#1"
    half.write_bytes(b"half")
    assert [blob.key async for blob in blobs.list()] == ["ab/key"]
    assert [blob.key for blob in blobs.leftovers()] == ["ab/half"]
    await blobs.remove("ab/half")
    assert not half.exists()


async def test_a_folder_that_can_not_be_made_or_read_is_said_by_its_settings_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ValueError, match=r"CHATKIT_BLOB_DIR: the folder .* can't be made"):
        open_blobs(FilesSettings(blob_dir=tmp_path / "file" / "blobs"))
    blobs = open_blobs(FilesSettings(blob_dir=tmp_path / "blobs"))
    (tmp_path / "blobs").rmdir()
    (tmp_path / "blobs").write_text("a file in its place")
    with pytest.raises(Unavailable) as caught:
        await _write(blobs, "ab/key", b"x" * 1_000_000)
    assert caught.value.reason == "FILE_STORE_UNAVAILABLE"
