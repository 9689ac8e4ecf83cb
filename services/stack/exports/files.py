"""The records of an export's files: a record per line, or one array per file; no more than one is held.

An odd record is refused for itself, by file and line: the records after it are read. Only where JSON breaks off within
an array does nobody know where the next record begins.
"""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from services.stack.exports.records import MOST_CHARS, UNREADABLE, OddRecord, Raw, Refused, record
from services.stack.trouble import Trouble

_ENDINGS = (".ndjson", ".json")
_SPACE = re.compile(r"[ \t\n\r]*")
_CHUNK_CHARS = 1 << 16
# Only where a value ends: its numbers are looked at when it is read.
_DECODER = json.JSONDecoder(parse_int=str)


def take(folder: Path, name: str, into: Callable[[str, Raw], None]) -> Iterator[Refused]:
    """Hand each record of a file to `into` with its place, and yield those that are refused, also by OddRecord."""
    for where, text in texts(folder, name):
        try:
            into(where, record(text))
        except OddRecord as odd:
            yield Refused(where, str(odd))


def texts(folder: Path, name: str) -> Iterator[tuple[str, str]]:
    """Yield the text of each record of a file with its place; a file that can't be read is Trouble.

    A record that is too large comes cut off, which `record` refuses.
    """
    if not folder.is_dir():
        raise Trouble(f"{folder} is not a folder")
    path = next((folder / (name + ending) for ending in _ENDINGS if (folder / (name + ending)).exists()), None)
    if path is None:
        raise Trouble(f"{folder} has no {name}.ndjson and no {name}.json")
    try:
        with _opened(path) as file:
            is_array = _is_array(file)
        with _opened(path) as file:
            yield from _array(path, file) if is_array else _lines(path, file)
    except OSError as error:
        raise Trouble(f"{path} can't be read: {error.strerror}") from None


def _opened(path: Path) -> TextIO:
    # Bytes that are not UTF-8 become lone surrogates, for which the record is refused that has them. Lines end at "\n"
    # alone: other ends of lines stand unescaped in JSON's strings.
    return path.open(encoding="utf-8-sig", errors="surrogateescape", newline="\n")


def _is_array(file: TextIO) -> bool:
    """Tell an array of records from lines of which the first one is odd, and which is short then."""
    line = next((line for line in iter(lambda: file.readline(_CHUNK_CHARS), "") if line.strip()), "")
    if not line.lstrip().startswith("["):
        return False
    try:
        json.loads(line)
    except UNREADABLE:
        return True
    return not any(piece.strip() for piece in iter(lambda: file.read(_CHUNK_CHARS), ""))


def _lines(path: Path, file: TextIO) -> Iterator[tuple[str, str]]:
    number = 0
    while line := file.readline(MOST_CHARS + 1):
        number += 1
        rest = line
        while len(rest) > MOST_CHARS and not rest.endswith("\n"):
            rest = file.readline(MOST_CHARS + 1)
        if line.strip():
            yield f"{path}, line {number}", line.removesuffix("\n")


def _array(path: Path, file: TextIO) -> Iterator[tuple[str, str]]:
    window, number = _Window(file), 1
    window.skip()
    while window.char() not in {"]", ""}:
        yield f"{path}, record {number}", window.value()
        if window.char() != ",":
            return
        window.skip()
        number += 1


class _Window:
    """The part of a text that is looked at: it grows as far as a value needs it, and forgets what was passed."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._text = ""
        self._at = 0

    def char(self) -> str:
        """Go to the next character that is no space, and return it; an empty text at the end."""
        while True:
            space = _SPACE.match(self._text, self._at)
            self._at = space.end() if space is not None else self._at
            if self._at < len(self._text) or not self._grow():
                return self._text[self._at : self._at + 1]

    def skip(self) -> None:
        """Pass the next character that is no space."""
        if self.char():
            self._at += 1

    def value(self) -> str:
        """Return the text of the value that begins here, and pass it; where none can be made out, what there is."""
        end = self._end()
        # What ends with the window may go on behind it.
        while end is None or end == len(self._text):
            if len(self._text) - self._at > MOST_CHARS or not self._grow():
                break
            end = self._end()
        start, self._at = self._at, len(self._text) if end is None else end
        return self._text[start : min(self._at, start + MOST_CHARS + 1)]

    def _end(self) -> int | None:
        try:
            return _DECODER.raw_decode(self._text, self._at)[1]
        except UNREADABLE:
            return None

    def _grow(self) -> bool:
        more = self._file.read(_CHUNK_CHARS)
        self._text, self._at = self._text[self._at :] + more, 0
        return bool(more)
