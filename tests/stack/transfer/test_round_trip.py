"""What is moved in comes out as it was, once, wherever an import is stopped."""

from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from chatkit.rooms.v1 import rooms_service_pb2
from psycopg.rows import namedtuple_row

from services.stack.trouble import Trouble
from tests.messages.chat import text
from tests.stack.transfer.moving import Moving, read, write
from tests.support.exported import LATER, TIME, a_message, a_room, a_user, alike, part
from tests.support.tokens import user

_ODD = "zo\u0308e\u0301 🫎/+%41"
_CONTENT = b"a picture"


def _attachment(**changes: Any) -> dict[str, Any]:
    path = f"attachments/{sha256(_CONTENT).hexdigest()}"
    payload = {"type": "image/png", "name": "a picture.png", "size": len(_CONTENT), "download_url": path}
    return part("attachment", **payload | changes)


# A record of every kind: in the room `left` somebody has spoken who has left it, and its creator has left it too.
_EXPORT: dict[str, list[dict[str, Any]]] = {
    "users": [
        a_user("alice", name="Alice", avatar_url="https://example.com/a.png", custom_data={"a": [1, None, {"b": 2.5}]}),
        a_user("bob", updated_at=LATER, custom_data={}),
        a_user(_ODD),
        a_user("in nothing"),
    ],
    "rooms": [
        a_room("lobby", "alice", "bob", custom_data={"a": "\u2028"}, last_message_at="2019-03-04T05:06:10Z"),
        a_room("left", "alice", created_by_id="bob", private=False, last_message_at=LATER),
        a_room("silent", _ODD, push_notification_title_override="A title"),
        a_room(f"of {_ODD}", "alice", _ODD, last_message_at=TIME),
        a_room("empty"),
    ],
    "messages": [
        a_message(1),
        a_message(2, sender_id="bob", created_at=LATER, updated_at="2019-04-01T00:00:00Z"),
        a_message("three", parts=[part("url", type="image/png", url="https://example.com/b.png"), _attachment()]),
        a_message(4, created_at="2019-03-04T05:06:10Z", updated_at="2019-03-04T05:06:10Z", parts=[_attachment()]),
        a_message(1, room_id="left", sender_id="bob", created_at=LATER, updated_at=LATER),
        a_message(5, room_id="left", sender_id=_ODD, custom_data={"a": [1, None, {"b": 2.5}]}),
        a_message(
            6,
            "\u2028 🫎",
            room_id=f"of {_ODD}",
            parts=[part("inline", type="a/b", content=""), _attachment(custom_data="x")],
        ),
    ],
}
_COUNTS = {"users": 4, "rooms": 5, "messages": 7}


def _write(folder: Path, form: str = "ndjson") -> Path:
    write(folder, _EXPORT, form)
    (folder / "attachments").mkdir()
    (folder / "attachments" / sha256(_CONTENT).hexdigest()).write_bytes(_CONTENT)
    return folder


@pytest.mark.parametrize("form", ["ndjson", "json"])
async def test_an_export_of_what_was_imported_is_what_was_imported_and_importing_twice_adds_nothing(
    moved: Moving, tmp_path: Path, form: str
) -> None:
    given = _write(tmp_path / "given", form)
    report = await moved.take(given)
    assert moved.told == []
    assert {kind: counts["taken"] for kind, counts in report.counts.items()} == _COUNTS
    assert report.counts["messages"]["files"] == 3
    await moved.give(tmp_path / "first")
    assert (tmp_path / "first").stat().st_mode & 0o077 == 0
    assert read(tmp_path / "first") == {kind: alike(records) for kind, records in _EXPORT.items()}
    assert [path.read_bytes() for path in (tmp_path / "first" / "attachments").iterdir()] == [_CONTENT]
    # The export is one itself.
    for again in (given, tmp_path / "first"):
        report = await moved.take(again)
        assert moved.told == []
        assert {kind: counts["already_there"] for kind, counts in report.counts.items()} == _COUNTS
    await moved.give(tmp_path / "second")
    assert read(tmp_path / "second") == read(tmp_path / "first")


async def test_what_was_said_here_can_be_moved(moved: Moving, tmp_path: Path) -> None:
    suite = moved.suite
    await suite.make_users("alice", "bob")
    await suite.make_room("lobby", "alice", "bob")
    direct = rooms_service_pb2.GetOrCreateDirectRoomRequest(other_user_id="bob")
    room = (await suite.rooms.GetOrCreateDirectRoom(direct, metadata=user("alice"))).room
    await suite.messages.SendMessage(text("hello", "007"), metadata=user("alice"))
    await moved.give(tmp_path / "out")
    given = read(tmp_path / "out")
    assert [record["id"] for record in given["messages"]] == ["007"]
    assert [(record["id"], record["private"]) for record in given["rooms"] if record["id"] == room.id] == [
        (room.id, True)
    ]
    report = await moved.take(tmp_path / "out")
    assert moved.told == []
    assert report.counts["messages"]["already_there"] == 1


def _many(count: int) -> dict[str, list[dict[str, Any]]]:
    messages = [a_message(number, room_id=f"room {number % 3}") for number in range(count)]
    return {"users": [a_user("alice")], "rooms": [a_room(f"room {n}", "alice") for n in range(3)], "messages": messages}


async def test_an_import_that_was_killed_in_the_middle_goes_on_when_it_is_repeated(
    moved: Moving, tmp_path: Path
) -> None:
    write(tmp_path, _many(1_500))

    def kill_the_writer(_count: int) -> None:
        if not moved.suite.database.count("messages.messages"):
            return
        for child in psutil.Process().children(recursive=True):
            # Another one may just have ended.
            with suppress(psutil.Error, OSError):
                if "services.messages" in child.cmdline():
                    child.kill()

    with pytest.raises(Trouble, match="run the command again to go on"):
        await moved.take(tmp_path, advance=kill_the_writer)
    before = moved.suite.database.count("messages.messages")
    assert 0 < before < 1_500
    report = await moved.take(tmp_path)
    assert report.counts["messages"]["already_there"] == before
    assert report.counts["messages"]["taken"] == 1_500 - before
    await moved.give(tmp_path / "out")
    assert read(tmp_path / "out")["messages"] == alike(_many(1_500)["messages"])


async def test_one_that_a_service_can_not_go_on_with_says_so(moved: Moving, tmp_path: Path) -> None:
    write(tmp_path, _many(3))
    await moved.suite.stop("users")
    with pytest.raises(Trouble, match="users can't be reached"):
        await moved.take(tmp_path)


async def test_messages_are_stored_in_the_order_of_their_times_and_those_without_one_after_the_one_before(
    moved: Moving, tmp_path: Path
) -> None:
    times = ["Z", LATER, None, TIME, "", LATER]
    messages = [a_message(n, created_at=time, updated_at=time) for n, time in enumerate(times)]
    export = {"users": [a_user("alice")], "rooms": [a_room("lobby", "alice")], "messages": messages}
    report = await moved.take(write(tmp_path, export))
    assert report.counts["messages"]["without_time"] == 3
    await moved.give(tmp_path / "out")
    told = read(tmp_path / "out")["messages"]
    # The first one has the time of the room; the last but one that of the message before it in the file.
    assert [record["created_at"] for record in told] == [TIME, LATER, LATER, TIME, TIME, LATER]
    order = [message.request_id for message in await _stored(moved)]
    assert order == ["0", "3", "4", "1", "2", "5"]


async def _stored(moved: Moving) -> list[Any]:
    with psycopg.connect(moved.suite.database.superuser_dsn, row_factory=namedtuple_row) as connection:
        return connection.execute("SELECT request_id FROM messages.messages ORDER BY seq").fetchall()


async def test_nobody_exports_into_a_folder_that_has_something_in_it(moved: Moving, tmp_path: Path) -> None:
    (tmp_path / "something").touch()
    with pytest.raises(Trouble, match="is not empty"):
        await moved.give(tmp_path)
    with pytest.raises(Trouble, match="can't be written"):
        await moved.give(tmp_path / "something")


async def test_content_that_is_gone_is_told_and_the_rest_is_written(moved: Moving, tmp_path: Path) -> None:
    await moved.take(_write(tmp_path / "given"))
    with psycopg.connect(moved.suite.database.superuser_dsn) as connection:
        connection.execute("DELETE FROM files.files")
    exporter = await moved.give(tmp_path / "out")
    assert [refusal.reason for refusal in moved.refused] == ["FILE_NOT_FOUND"]
    assert (exporter.counts["messages"], exporter.counts["missing_files"]) == (7, 1)
