"""Records are read one at a time, whatever the form of the file."""

import json
from pathlib import Path
from typing import Self

import pytest

from services.stack.exports import files
from services.stack.exports.files import texts
from services.stack.exports.records import MOST_CHARS, OddRecord, record


def _write(folder: Path, form: str, lines: list[str]) -> Path:
    text = "\n".join(lines) if form == "ndjson" else " [\n" + " ,\n".join(lines) + "\n]\n"
    (folder / f"users.{form}").write_text(text, encoding="utf-8")
    return folder


class Counted:
    """An open file that counts how many characters were read."""

    def __init__(self, path: Path) -> None:
        self._file = path.open(encoding="utf-8", newline="\n")
        self.chars = 0

    def read(self, size: int) -> str:
        """Read as a file does."""
        return self._counted(self._file.read(size))

    def readline(self, size: int) -> str:
        """Read as a file does."""
        return self._counted(self._file.readline(size))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _counted(self, text: str) -> str:
        self.chars += len(text)
        return text


@pytest.mark.parametrize("form", ["ndjson", "json"])
def test_no_more_is_read_than_the_records_that_were_asked_for(
    tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [json.dumps({"id": number, "text": "x" * 1000}) for number in range(5_000)]
    _write(tmp_path, form, lines)
    opened: list[Counted] = []

    def open_counted(path: Path) -> Counted:
        opened.append(Counted(path))
        return opened[-1]

    monkeypatch.setattr(files, "_opened", open_counted)
    reading = texts(tmp_path, "users")
    for number in range(100):
        assert record(next(reading)[1])["id"] == number
    # The first one has looked at the form.
    assert opened[1].chars < 300_000
    assert len(list(reading)) == 4_900


@pytest.mark.parametrize("chunk_chars", [1, 2, 3, 7])
def test_a_value_ends_where_it_ends_wherever_the_file_was_cut(
    tmp_path: Path, chunk_chars: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = [{"a": "b]},\u2028"}, 12345, {"c": [{"d": 1.5e10}]}, "text", {}]
    _write(tmp_path, "json", [json.dumps(value, ensure_ascii=False) for value in values])
    monkeypatch.setattr(files, "_CHUNK_CHARS", chunk_chars)
    assert [json.loads(text) for _, text in texts(tmp_path, "users")] == values


def test_a_line_that_is_too_large_is_refused_and_the_next_one_is_read(tmp_path: Path) -> None:
    _write(tmp_path, "ndjson", ['{"id": 1}', json.dumps({"id": "x" * 2 * MOST_CHARS}), '{"id": 3}'])
    found = dict(texts(tmp_path, "users"))
    places = [where.rpartition(", ")[2] for where in found]
    first, large, last = found.values()
    assert places == ["line 1", "line 2", "line 3"]
    assert (record(first), record(last)) == ({"id": 1}, {"id": 3})
    with pytest.raises(OddRecord, match="larger than"):
        record(large)


def test_a_record_of_an_array_that_is_too_large_is_the_last_one(tmp_path: Path) -> None:
    _write(tmp_path, "json", ['{"id": 1}', json.dumps({"id": "x" * 2 * MOST_CHARS}), '{"id": 3}'])
    _, (where, large) = texts(tmp_path, "users")
    assert where.endswith("users.json, record 2")
    assert len(large) == MOST_CHARS + 1


@pytest.mark.parametrize(
    ("content", "count"), [("", 0), ("\n \n", 0), ("[]", 0), (" [ ] ", 0), ("[", 0), ("\ufeff[{}]", 1)]
)
def test_files_with_next_to_nothing(tmp_path: Path, content: str, count: int) -> None:
    (tmp_path / "users.json").write_text(content, encoding="utf-8")
    assert len(list(texts(tmp_path, "users"))) == count
