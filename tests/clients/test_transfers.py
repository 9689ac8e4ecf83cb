"""Contents of files go up and down as they are, also when the way breaks off in the middle."""

import hashlib
import random
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import pytest

from chatkit_client import ChatkitError, Reason, connect
from chatkit_client.types import FileState
from tests.support.edge import Edge
from tests.support.relay import Relay
from tests.support.tokens import token

_CONTENT = random.Random(1).randbytes(1_200_000)


class _Breaking(Relay):
    """Breaks off once, after so many bytes to either side."""

    def __init__(self, to: str, after: int) -> None:
        super().__init__(to)
        self._left = after

    def carries(self, piece: bytes) -> bool:
        """Count the bytes."""
        self._left -= len(piece)
        if self.broken or self._left >= 0:
            return True
        self.broken += 1
        return False


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """Write a file."""
    path = tmp_path / "picture.png"
    path.write_bytes(_CONTENT)
    return path


async def test_content_goes_up_and_down_and_is_told_on_the_way(edge: Edge, picture: Path) -> None:
    target = picture.with_name("copy")
    up: list[tuple[int, int]] = []
    down: list[tuple[int, int]] = []
    async with connect(edge.address, token("alice")) as client:
        file = await client.upload("lobby", picture, custom_data={"a": 1}, progress=lambda *far: up.append(far))
        assert (file.state, file.name, file.content_type) == (FileState.FILE_STATE_READY, "picture.png", "image/png")
        assert file.sha256 == hashlib.sha256(_CONTENT).hexdigest()
        assert up == sorted(up)
        assert up[-1] == (len(_CONTENT), len(_CONTENT))
        read = await client.download("lobby", file.id, target, progress=lambda *far: down.append(far))
        assert read.custom_data == file.custom_data
        assert down == sorted(down)
        assert down[-1] == (len(_CONTENT), len(_CONTENT))
    assert target.read_bytes() == _CONTENT
    assert not target.with_name("copy.unfinished").exists()


@pytest.mark.parametrize("content", [b"", b"x"])
async def test_little_content_may_be_bytes_and_a_file_that_is_open(edge: Edge, content: bytes) -> None:
    async with connect(edge.address, token("alice")) as client:
        for given in (content, BytesIO(content)):
            file = await client.upload("lobby", given, content_type="text/plain")
            target = BytesIO()
            await client.download("lobby", file.id, target)
            assert target.getvalue() == content


async def test_content_goes_to_the_signed_url_where_that_is_asked_for(edge: Edge) -> None:
    told: list[tuple[int, int]] = []
    async with connect(edge.address, token("alice")) as client:
        created = await client.files.create_file(room_id="lobby", content_type="a/b", size_bytes=len(_CONTENT))
        parts = urlsplit(created.upload_url)
        url = f"http://{edge.address}{parts.path}?{parts.query}"
        with pytest.raises(ChatkitError) as refused:
            await client.send_content(created.file, _CONTENT, url=url.replace("signature=", "signature=x"))
        assert refused.value.reason is Reason.FILE_URL_INVALID
        sent = await client.send_content(created.file, _CONTENT, url=url, progress=lambda *far: told.append(far))
        assert sent.sha256 == hashlib.sha256(_CONTENT).hexdigest()
    assert told[-1] == (len(_CONTENT), len(_CONTENT))


async def test_content_that_is_not_what_was_declared_is_refused(edge: Edge) -> None:
    async with connect(edge.address, token("alice")) as client:
        created = await client.files.create_file(room_id="lobby", content_type="a/b", size_bytes=5)
        with pytest.raises(ChatkitError) as refused:
            await client.send_content(created.file, b"too much of it")
        assert refused.value.reason is Reason.FILE_CONTENT_MISMATCH


async def test_what_breaks_off_on_its_way_up_is_sent_again(edge: Edge) -> None:
    way = _Breaking(edge.address, 600_000)
    told: list[int] = []
    async with way.listening() as address, connect(address, token("alice")) as client:
        file = await client.upload("lobby", _CONTENT, progress=lambda done, _: told.append(done))
    assert file.state == FileState.FILE_STATE_READY
    assert way.broken == 1
    assert told != sorted(told)


async def test_what_breaks_off_on_its_way_down_goes_on_where_it_was(edge: Edge) -> None:
    way = _Breaking(edge.address, 600_000)
    told: list[int] = []
    target = BytesIO()
    async with connect(edge.address, token("alice")) as direct:
        file = await direct.upload("lobby", _CONTENT)
    async with way.listening() as address, connect(address, token("alice")) as client:
        await client.download("lobby", file.id, target, progress=lambda done, _: told.append(done))
    assert way.broken == 1
    assert told == sorted(told)
    assert target.getvalue() == _CONTENT


async def test_a_file_that_is_not_there_leaves_no_file(edge: Edge, tmp_path: Path) -> None:
    async with connect(edge.address, token("alice")) as client:
        with pytest.raises(ChatkitError) as refused:
            await client.download("lobby", "none", tmp_path / "target")
        assert refused.value.code is grpc.StatusCode.NOT_FOUND
    assert not (tmp_path / "target").exists()
    assert not (tmp_path / "target.unfinished").exists()
