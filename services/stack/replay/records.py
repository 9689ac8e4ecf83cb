"""The records of an export's files, each with its place, and the fields of a record.

An odd record is refused for itself, by file and line: the records after it are read. Only where JSON breaks off within
an array does nobody know where the next record begins.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import json_format, struct_pb2

from services.stack.trouble import Trouble

_ENDINGS = (".ndjson", ".json")
# Fewer than Python refuses with advice on how to make it take more.
_MOST_DIGITS = 4_000
_SPACE = re.compile(r"[ \t\n\r]*")
# Deep nesting is the one fault of JSON's text that is no ValueError.
_UNREADABLE = (ValueError, RecursionError)

Raw = Mapping[str, Any]


class OddRecord(Exception):
    """A record can't be taken; its text says why."""


@dataclass(frozen=True, slots=True)
class Refused:
    """What was not taken: its file and line, and why."""

    where: str
    why: str


def take(folder: Path, name: str, into: Callable[[str, Raw], None]) -> Iterator[Refused]:
    """Hand each record of a file to `into` with its place, and yield those that are refused, also by OddRecord."""
    for where, text in _found(folder, name):
        try:
            into(where, _record(text))
        except OddRecord as odd:
            yield Refused(where, str(odd))


def text(raw: Raw, field: str, default: str = "") -> str:
    """Return a text, or a whole number as one; raises OddRecord for anything else, or if it is missing."""
    value = raw.get(field)
    if value is None or value == "":
        if not default:
            raise OddRecord(f"{field} is missing")
        return default
    return _text(value, field)


def text_or_empty(raw: Raw, field: str) -> str:
    """Return a text, or a whole number as one, or nothing; raises OddRecord for anything else."""
    value = raw.get(field)
    return "" if value is None else _text(value, field)


def flag(raw: Raw, field: str) -> bool:
    """Return true or false, which is what a missing one is; raises OddRecord for anything else."""
    value = raw.get(field)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise OddRecord(f"{field} is neither true nor false")
    return value


def items(raw: Raw, field: str) -> list[Any]:
    """Return an array, an empty one if it is missing; raises OddRecord for anything else."""
    value = raw.get(field)
    if value is None:
        return []
    if not isinstance(value, list):
        raise OddRecord(f"{field} is not an array")
    return value


def texts(raw: Raw, field: str) -> tuple[str, ...]:
    """Return an array of texts and whole numbers; raises OddRecord for anything else."""
    return tuple(_text(value, f"{field}[{index}]") for index, value in enumerate(items(raw, field)))


def struct(raw: Raw, field: str) -> struct_pb2.Struct | None:
    """Return an object, or None if there is none or it is empty; raises OddRecord for what the suite can't be sent."""
    value = raw.get(field)
    # An empty array is how some languages write an empty object.
    if value is None or value in ({}, []):
        return None
    if not isinstance(value, dict):
        raise OddRecord(f"{field} is not an object")
    try:
        return json_format.ParseDict(value, struct_pb2.Struct())
    except UnicodeEncodeError:
        raise OddRecord(f"{field} is not Unicode text") from None
    except (json_format.ParseError, OverflowError, RecursionError) as error:
        raise OddRecord(f"{field} can't be sent: {error}") from None


def _text(value: object, field: str) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise OddRecord(f"{field} is not text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise OddRecord(f"{field} is not Unicode text") from None
    return value


def _record(text: str) -> Raw:
    try:
        value = json.loads(text, parse_constant=_no_number, parse_int=_whole_number)
    except _UNREADABLE as error:
        raise OddRecord(f"not JSON: {error}" if _is_unicode(text) else "not UTF-8") from None
    if not isinstance(value, dict):
        raise OddRecord("not an object")
    return value


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _whole_number(text: str) -> int:
    digits = len(text.removeprefix("-"))
    if digits > _MOST_DIGITS:
        raise OddRecord(f"a number of {digits} digits is too large")
    return int(text)


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _found(folder: Path, name: str) -> Iterator[tuple[str, str]]:
    path = next((folder / (name + ending) for ending in _ENDINGS if (folder / (name + ending)).exists()), None)
    if path is None:
        raise Trouble(f"{folder} has no {name}.ndjson and no {name}.json")
    try:
        # Bytes that are not UTF-8 become lone surrogates, for which the record is refused that has them.
        text = path.read_text(encoding="utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise Trouble(f"{path} can't be read: {error.strerror}") from None
    return _array(path, text) if _is_array(text) else _lines(path, text)


def _is_array(text: str) -> bool:
    """Tell an array of records from lines of which the first one is odd."""
    line, _, rest = text.lstrip().partition("\n")
    if not line.startswith("["):
        return False
    try:
        json.loads(line)
    except _UNREADABLE:
        return True
    return not rest.strip()


def _lines(path: Path, text: str) -> Iterator[tuple[str, str]]:
    # Not splitlines: it splits at characters that stand unescaped in JSON's strings.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield f"{path}, line {number}", line


def _array(path: Path, text: str) -> Iterator[tuple[str, str]]:
    # Only where a record ends: its numbers are looked at when it is read.
    decoder = json.JSONDecoder(parse_int=str)
    number, start = 1, _after_space(text, text.index("[") + 1)
    while text[start : start + 1] != "]":
        try:
            _, end = decoder.raw_decode(text, start)
        except _UNREADABLE:
            # The rest, of which the same fault is found again and told.
            end = len(text)
        yield f"{path}, record {number}", text[start:end]
        after = _after_space(text, end)
        if text[after : after + 1] != ",":
            return
        number, start = number + 1, _after_space(text, after + 1)


def _after_space(text: str, start: int) -> int:
    space = _SPACE.match(text, start)
    return space.end() if space is not None else start
