"""The folder of an export: what is in it, how it is named while it is not whole, and what names can't do."""

import json
from pathlib import Path

import pytest

from services.stack.export_folder import INCOMPLETE, RECORDS, new_folder, safe_name
from services.stack.trouble import Trouble


def _lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_whole_export_has_a_line_per_record_and_its_files(tmp_path: Path) -> None:
    with new_folder(tmp_path / "new" / "alice") as folder:
        folder.add("users", "user", {"id": "alice"}, b"")
        folder.add("files", "file", {"id": "1", "name": "a.txt"}, b"")
        folder.add("files", "file_content", {"file_id": "1", "offset": "0"}, b"one ")
        folder.add("files", "file_content", {"file_id": "1", "offset": "4"}, b"two")
        folder.add("files", "file", {"id": "2", "name": "empty"}, b"")
        folder.add("users", "complete", {"user": 1}, b"")
    made = tmp_path / "new" / "alice"
    assert sorted(path.name for path in made.iterdir()) == ["files", RECORDS]
    assert _lines(made / RECORDS) == [
        {"service": "users", "kind": "user", "id": "alice"},
        {"service": "files", "kind": "file", "id": "1", "name": "a.txt", "path": "files/1-a.txt"},
        {"service": "files", "kind": "file", "id": "2", "name": "empty", "path": "files/2-empty"},
        {"service": "users", "kind": "complete", "user": 1},
    ]
    assert {path.name: path.read_bytes() for path in (made / "files").iterdir()} == {
        "1-a.txt": b"one two",
        "2-empty": b"",
    }
    assert made.stat().st_mode & 0o077 == 0


def test_what_is_not_whole_is_named_so(tmp_path: Path) -> None:
    with new_folder(tmp_path) as folder:
        folder.add("files", "file", {"id": "1", "name": "a.txt"}, b"")
        folder.add("files", "file_content", {"file_id": "1", "offset": "0"}, b"half")
        folder.add("files", "file_gone", {"file_id": "1"}, b"")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["1-a.txt.incomplete", "files", INCOMPLETE]


def test_a_piece_that_is_missing_ends_it(tmp_path: Path) -> None:
    with new_folder(tmp_path) as folder:
        folder.add("files", "file", {"id": "1", "name": "a.txt"}, b"")
        with pytest.raises(Trouble, match="missing"):
            folder.add("files", "file_content", {"file_id": "1", "offset": "5"}, b"later")


def test_a_folder_that_has_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(Trouble, match="not empty"), new_folder(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_folder_that_can_not_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Trouble, match="can't be written"), new_folder(tmp_path / "file" / "alice"):
        pass


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("photo.png", "id-photo.png"),
        ("../../etc/passwd", "id-.._.._etc_passwd"),
        ("a\\b:c", "id-a_b_c"),
        (".hidden", "id-.hidden"),
        ("two\nlines\x1b[2J", "id-two_lines_[2J"),
        ("gnp.\u202eexe", "id-gnp._exe"),
        ("naïve 🫎.txt", "id-naïve 🫎.txt"),
        ("ends. ", "id-ends"),
    ],
)
def test_a_name_is_a_name_and_nothing_else(name: str, safe: str) -> None:
    assert safe_name("id", name) == safe


@pytest.mark.parametrize("file_id", ["..", "../up", ".", "/root"])
def test_neither_is_an_id_a_path(file_id: str) -> None:
    name = safe_name(file_id, "x")
    assert "/" not in name
    assert not name.startswith(".")


def test_a_long_name_is_cut_between_characters() -> None:
    name = safe_name("id", "🫎" * 160)
    assert len(name.encode()) <= 200
    assert set(name.removeprefix("id-")) == {"🫎"}
