"""Exports in both forms, and what is said of one that can't be read."""

import json
from pathlib import Path
from typing import Any

import pytest

from services.stack.replay.command import SAMPLE
from services.stack.replay.export import Message, Part, read
from services.stack.trouble import Trouble

_USER = {"id": "alice", "name": "Alice", "created_at": "", "updated_at": ""}
_ROOM = {"id": "lobby", "name": "Lobby", "created_by_id": "alice", "member_ids": ["bob"], "private": True}


def _message(number: object, room: str = "lobby", **changes: Any) -> dict[str, Any]:
    part = {"part_type": "inline", "payload": {"type": "text/plain", "content": f"{number}\u2028\u0085"}}
    return {"id": number, "sender_id": "alice", "room_id": room, "created_at": "Z", "parts": [part], **changes}


def _write(folder: Path, form: str, messages: list[dict[str, Any]], rooms: list[dict[str, Any]]) -> Path:
    for name, records in (("users", [_USER]), ("rooms", rooms), ("messages", messages)):
        if form == "json":
            (folder / f"{name}.json").write_text(json.dumps(records, indent=2))
        else:
            lines = [json.dumps(record, ensure_ascii=False) for record in records]
            (folder / f"{name}.ndjson").write_text("\n".join(lines) + "\n\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize("form", ["ndjson", "json"])
def test_both_forms_are_read_alike(tmp_path: Path, form: str) -> None:
    rooms = [_ROOM, {**_ROOM, "id": "other", "private": False}]
    export = read(_write(tmp_path, form, [_message(1), _message(1, "other"), _message("b"), _message(1)], rooms))
    assert [user.id for user in export.users] == ["alice", "bob"]
    lobby, other = export.rooms
    assert (lobby.is_private, lobby.creator_id, lobby.member_ids, other.is_private) == (True, "alice", ("bob",), False)
    part = Part("text/plain", "1\u2028\u0085", None)
    assert other.messages == (Message("alice", (part,), "export-1"),)
    assert [message.request_id for message in lobby.messages] == ["export-1", "export-b", "export-1-2"]


def test_every_kind_of_part_is_read(tmp_path: Path) -> None:
    parts = [
        {"part_type": "url", "payload": {"type": "image/png", "url": "https://a/b"}},
        {"part_type": "attachment", "payload": {"type": "x/y", "name": "f", "size": 1, "download_url": "https://c/d"}},
    ]
    (room,) = read(_write(tmp_path, "json", [_message(1, parts=parts)], [_ROOM])).rooms
    assert room.messages[0].parts == (Part("image/png", None, "https://a/b"), Part("x/y", None, "https://c/d"))


def test_a_long_id_becomes_a_request_id_that_is_short_enough(tmp_path: Path) -> None:
    (room,) = read(_write(tmp_path, "json", [_message("x" * 200), _message("x" * 201)], [_ROOM])).rooms
    assert len({message.request_id for message in room.messages}) == 2
    assert all(len(message.request_id) == 64 for message in room.messages)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"id": 1}\n{', "messages.ndjson, line 2: not JSON|messages.ndjson, line 1: room_id is missing"),
        (b"[1]", "messages.ndjson, record 1: not an object"),
        (
            b'{"id": 1, "sender_id": "a", "room_id": "r", "parts": [{"part_type": "x", "payload": {}}]}',
            "part_type is 'x'",
        ),
        (b'{"id": 1, "sender_id": "a", "room_id": "r", "parts": [{}]}', "line 1: a part has no payload"),
        (b'{"id": 1, "sender_id": "a", "room_id": "nowhere"}', "rooms that the export does not have: nowhere"),
        (b"\xff", "is not UTF-8: byte 0"),
    ],
)
def test_what_can_not_be_read_is_one_sentence_with_its_place(tmp_path: Path, content: bytes, words: str) -> None:
    _write(tmp_path, "ndjson", [], [_ROOM])
    (tmp_path / "messages.ndjson").write_bytes(content)
    with pytest.raises(Trouble, match=words):
        read(tmp_path)


def test_a_folder_that_is_no_export_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(Trouble, match=r"no messages\.ndjson and no messages\.json"):
        read(tmp_path)
    with pytest.raises(Trouble, match="is not a folder"):
        read(tmp_path / "nowhere")


def test_the_sample_is_one_room_and_small(tmp_path: Path) -> None:
    export = read(SAMPLE)
    assert [len(room.messages) for room in export.rooms] == [273]
    assert sum(path.stat().st_size for path in SAMPLE.iterdir()) < 300_000
    assert (SAMPLE / "LICENSE").read_text().startswith("BSD 3-Clause License")
