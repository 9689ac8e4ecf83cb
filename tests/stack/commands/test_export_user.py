"""`chatkit export`, with services that run: a folder, a table, and what it says when the export is not whole."""

import argparse
import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from chatkit.messages.v1 import messages_service_pb2, part_pb2

from services.stack.commands.export_user import run
from services.stack.export_folder import INCOMPLETE, RECORDS
from services.stack.home import Home
from services.stack.trouble import Trouble
from tests.support import tokens
from tests.support.databases import TestDatabase
from tests.support.suite import Suite, running
from tests.support.tokens import user
from tests.support.uploads import add


class _Home(Home):
    """The home of services that run in the test: users stands where the edge would."""

    def __init__(self, suite: Suite) -> None:
        super().__init__(suite.folder)
        self._address = suite.address("users")

    @property
    def keys_file(self) -> Path:
        return self.folder / "keys.json"

    @property
    def instance(self) -> str:
        return tokens.INSTANCE

    def running_address(self) -> str:
        return self._address


@pytest.fixture
async def suite(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Suite]:
    """Run all services, with alice, who has sent a file."""
    async with running(database, tmp_path, "users", "rooms", "messages", "files") as started:
        await started.make_users("alice")
        await started.make_room("lobby", "alice")
        file = await add(started.files, b"content", user("alice"), name="../film.mp4")
        part = part_pb2.Part(content_type="video/mp4", file_id=file.id)
        request = messages_service_pb2.SendMessageRequest(room_id="lobby", request_id="1", parts=[part])
        await started.messages.SendMessage(request, metadata=user("alice"))
        yield started


async def _run(suite: Suite, folder: Path, user_id: str = "alice", *, as_json: bool = False) -> int:
    arguments = argparse.Namespace(user=user_id, folder=str(folder), json=as_json)
    return await asyncio.to_thread(run, _Home(suite), arguments)


async def test_a_user_becomes_a_folder_and_a_table(
    suite: Suite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await _run(suite, tmp_path / "alice") == 0
    records = [json.loads(line) for line in (tmp_path / "alice" / RECORDS).read_text().splitlines()]
    assert records[0]["id"] == "alice"
    assert records[-1]["kind"] == "complete"
    (file,) = [one for one in records if one["kind"] == "file"]
    assert (tmp_path / "alice" / file["path"]).read_bytes() == b"content"
    assert [path.name for path in (tmp_path / "alice" / "files").iterdir()] == [f"{file['id']}-.._film.mp4"]
    table = [line.split() for line in capsys.readouterr().out.splitlines() if not line[:4].isdigit()]
    assert ["message", "1"] in table
    assert await _run(suite, tmp_path / "again", as_json=True) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (told["complete"], told["counts"]["file"], told["problem"]) == (True, 1, "")


async def test_an_export_that_is_not_whole_says_so(suite: Suite, tmp_path: Path) -> None:
    await suite.stop("files")
    with pytest.raises(Trouble, match=f"not complete: files can't be reached.*{INCOMPLETE}"):
        await _run(suite, tmp_path / "alice")
    assert [path.name for path in (tmp_path / "alice").iterdir()] == [INCOMPLETE]


async def test_an_unknown_user_is_one_sentence(suite: Suite, tmp_path: Path) -> None:
    with pytest.raises(Trouble, match="the user does not exist"):
        await _run(suite, tmp_path / "nobody", "nobody")
    assert await _run(suite, tmp_path / "nobody") == 0
