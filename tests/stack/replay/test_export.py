"""Exports in both forms, and what is said of one that can't be read."""

import json
from pathlib import Path
from typing import Any

import pytest

from services.stack.cli import SAMPLE
from services.stack.exports.records import Refused
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


def test_a_message_has_its_custom_data(tmp_path: Path) -> None:
    (room,) = read(_write(tmp_path, "json", [_message(1, custom_data={"a": [True]})], [_ROOM])).rooms
    assert room.messages[0].custom_data == {"a": [True]}


def test_every_kind_of_part_is_read(tmp_path: Path) -> None:
    parts = [
        {"part_type": "url", "payload": {"type": "image/png", "url": "https://a/b"}},
        {"part_type": "attachment", "payload": {"type": "x/y", "name": "f", "size": 1, "download_url": "https://c/d"}},
    ]
    (room,) = read(_write(tmp_path, "json", [_message(1, parts=parts)], [_ROOM])).rooms
    assert room.messages[0].parts == (Part("image/png", None, "https://a/b"), Part("x/y", None, "https://c/d"))


@pytest.mark.parametrize("form", ["ndjson", "json"])
def test_what_was_deleted_is_left_out_and_counted(tmp_path: Path, form: str) -> None:
    rooms = [_ROOM, {**_ROOM, "id": "gone", "deleted_at": "2020-01-01T00:00:00Z"}]
    messages = [
        _message(1, deleted_at="2020-01-01T00:00:00Z"),
        _message(2, deleted_at=""),
        _message(3, deleted_at=None),
        _message(4, "gone"),
        _message(1),
    ]
    export = read(_write(tmp_path, form, messages, rooms))
    assert [room.id for room in export.rooms] == ["lobby"]
    # The request id is the one that it would have if the first were there.
    assert [message.request_id for message in export.rooms[0].messages] == ["export-2", "export-3", "export-1-2"]
    assert (export.deleted, export.refused) == (2, ())


def test_a_long_id_becomes_a_request_id_that_is_short_enough(tmp_path: Path) -> None:
    (room,) = read(_write(tmp_path, "json", [_message("x" * 200), _message("x" * 201)], [_ROOM])).rooms
    assert len({message.request_id for message in room.messages}) == 2
    assert all(len(message.request_id) == 64 for message in room.messages)


_GOOD = json.dumps(_message(9)).encode()


@pytest.mark.parametrize("form", ["ndjson", "json"])
@pytest.mark.parametrize(
    ("record", "why"),
    [
        (b"[1]", "not an object"),
        (b'{"id": 1}', "room_id is missing"),
        (b'{"id": 1, "n": NaN}', "not JSON: NaN is no number"),
        (b'{"id": 1, "n": -' + b"9" * 5_000 + b"}", "a number of 5000 digits is too large"),
        (json.dumps(_message(True)).encode(), "id is not text"),
        (json.dumps(_message("a\ud83d")).encode(), "id is not Unicode text"),
        (json.dumps(_message(1)).encode().replace(b"alice", b"\xff"), "sender_id is not Unicode text"),
        (json.dumps(_message(1, sender_id=["alice"])).encode(), "sender_id is not text"),
        (json.dumps(_message(1, "nowhere")).encode(), "its room is not in the export"),
        (json.dumps(_message(1, parts={"a": 1})).encode(), "parts is not an array"),
        (json.dumps(_message(1, parts=["a"])).encode(), "a part has no payload"),
        (json.dumps(_message(1, parts=[{"part_type": "x", "payload": {}}])).encode(), "part_type is 'x'"),
        (
            json.dumps(_message(1, parts=[{"part_type": "inline", "payload": {"content": {}}}])).encode(),
            "content is not text",
        ),
    ],
)
def test_a_record_that_can_not_be_taken_is_refused_by_its_place_and_the_rest_is_read(
    tmp_path: Path, form: str, record: bytes, why: str
) -> None:
    _write(tmp_path, form, [], [_ROOM])
    ndjson = b"\n".join((_GOOD, record, _GOOD))
    content = ndjson if form == "ndjson" else b"[" + ndjson.replace(b"\n", b",\n") + b"]"
    (tmp_path / f"messages.{form}").write_bytes(content)
    export = read(tmp_path)
    place = f"{tmp_path}/messages.{form}, {'line' if form == 'ndjson' else 'record'} 2"
    assert export.refused == (Refused(place, why),)
    assert [message.request_id for message in export.rooms[0].messages] == ["export-9", "export-9-2"]


def test_bytes_that_are_no_text_are_told_as_that(tmp_path: Path) -> None:
    _write(tmp_path, "ndjson", [], [_ROOM])
    (tmp_path / "messages.ndjson").write_bytes(b"\n".join((_GOOD, b"\xff\xfe", b'{"id": \xe9}', _GOOD)))
    export = read(tmp_path)
    assert [refused.why for refused in export.refused] == ["not UTF-8", "not UTF-8"]
    assert len(export.rooms[0].messages) == 2


@pytest.mark.parametrize("broken", [b"{", b"[" * 100_000])
def test_a_line_that_is_no_json_is_refused_and_the_next_one_is_read(tmp_path: Path, broken: bytes) -> None:
    _write(tmp_path, "ndjson", [], [_ROOM])
    (tmp_path / "messages.ndjson").write_bytes(b"\n".join((_GOOD, broken, _GOOD)))
    export = read(tmp_path)
    (refused,) = export.refused
    assert refused.where.endswith("messages.ndjson, line 2")
    assert refused.why.startswith("not JSON: ")
    assert len(export.rooms[0].messages) == 2


def test_lines_of_which_the_first_is_an_array_are_lines(tmp_path: Path) -> None:
    _write(tmp_path, "ndjson", [], [_ROOM])
    (tmp_path / "messages.ndjson").write_bytes(b"[1]\n" + _GOOD)
    export = read(tmp_path)
    assert [refused.why for refused in export.refused] == ["not an object"]
    assert len(export.rooms[0].messages) == 1


@pytest.mark.parametrize("broken", [b"{", b"{]", b"[" * 100_000])
def test_an_array_that_breaks_off_is_read_up_to_there(tmp_path: Path, broken: bytes) -> None:
    _write(tmp_path, "json", [], [_ROOM])
    (tmp_path / "messages.json").write_bytes(b"[" + _GOOD + b"," + broken)
    export = read(tmp_path)
    assert [refused.where.rpartition(", ")[2] for refused in export.refused] == ["record 2"]
    assert len(export.rooms[0].messages) == 1


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"name": ["Alice"]}, "name is not text"),
        ({"name": "x\ud83d"}, "name is not Unicode text"),
        ({"avatar_url": {}}, "avatar_url is not text"),
        ({"custom_data": [1]}, "custom_data is not an object"),
        ({"custom_data": {"a": "\ud83d"}}, "custom_data is not Unicode text"),
        ({"custom_data": {"a": 10**400}}, "custom_data can't be sent: int too large to convert to float"),
        ({"custom_data": json.loads('{"a":' * 300 + "1" + "}" * 300)}, "custom_data can't be sent: "),
    ],
)
def test_an_odd_user_is_refused_and_nobody_takes_their_place(tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    _write(tmp_path, "ndjson", [_message(1)], [_ROOM])
    (tmp_path / "users.ndjson").write_text(json.dumps({**_USER, **changes}))
    export = read(tmp_path)
    (refused,) = export.refused
    assert refused.why.startswith(why)
    assert [user.id for user in export.users] == ["bob"]
    assert export.refused_user_ids == {"alice"}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"private": "false"}, "private is neither true nor false"),
        ({"member_ids": "bob"}, "member_ids is not an array"),
        ({"member_ids": ["bob", None]}, "member_ids[1] is not text"),
        ({"created_by_id": None}, "created_by_id is missing"),
        ({"custom_data": "x"}, "custom_data is not an object"),
    ],
)
def test_what_is_in_an_odd_room_is_refused_with_it(tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    export = read(_write(tmp_path, "ndjson", [_message(1)], [{**_ROOM, **changes}]))
    assert [refused.why for refused in export.refused] == [why, "its room was refused"]
    assert export.rooms == ()


def test_numbers_are_taken_for_texts_and_an_empty_array_for_no_custom_data(tmp_path: Path) -> None:
    room = {**_ROOM, "id": 7, "name": 2020, "member_ids": [1], "created_by_id": 2, "custom_data": []}
    (taken,) = read(_write(tmp_path, "json", [], [room])).rooms
    assert (taken.id, taken.name, taken.member_ids, taken.creator_id) == ("7", "2020", ("1",), "2")
    assert taken.custom_data is None


def test_a_record_twice_is_one_and_another_of_the_same_id_is_refused(tmp_path: Path) -> None:
    export = read(_write(tmp_path, "ndjson", [], [_ROOM, _ROOM, {**_ROOM, "name": "Other"}]))
    assert [room.name for room in export.rooms] == ["Lobby"]
    first = f"{tmp_path}/rooms.ndjson, line "
    assert export.refused == (Refused(first + "3", f"differs from {first}1, which has the same id"),)


def test_a_folder_that_is_no_export_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(Trouble, match=r"no users\.ndjson and no users\.json"):
        read(tmp_path)
    with pytest.raises(Trouble, match="is not a folder"):
        read(tmp_path / "nowhere")


def test_the_sample_is_one_room_and_small(tmp_path: Path) -> None:
    export = read(SAMPLE)
    assert [len(room.messages) for room in export.rooms] == [273]
    assert sum(path.stat().st_size for path in SAMPLE.iterdir()) < 300_000
    assert (SAMPLE / "LICENSE").read_text().startswith("BSD 3-Clause License")
