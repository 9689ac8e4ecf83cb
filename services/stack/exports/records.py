"""A record of an export: from its text, and field by field. What a field can't hold is an OddRecord."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format, struct_pb2

# Of a record's text: far more than anything that the suite takes.
MOST_CHARS = 4 * 1024 * 1024
# Fewer than Python refuses with advice on how to make it take more.
_MOST_DIGITS = 4_000
# Deep nesting is the one fault of JSON's text that is no ValueError.
UNREADABLE = (ValueError, RecursionError)

Raw = Mapping[str, Any]


class OddRecord(Exception):
    """A record can't be taken; its text says why."""


@dataclass(frozen=True, slots=True)
class Refused:
    """What was not taken: its file and line, and why."""

    where: str
    why: str


def record(text: str) -> Raw:
    """Return what a record's text says; raises OddRecord for what is no object, or too large."""
    if len(text) > MOST_CHARS:
        raise OddRecord(f"larger than {MOST_CHARS:,} characters, or not JSON")
    try:
        value = _DECODER.decode(text)
    except UNREADABLE as error:
        raise OddRecord(f"not JSON: {error}" if _is_unicode(text) else "not UTF-8") from None
    if not isinstance(value, dict):
        raise OddRecord("not an object")
    return value


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


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _whole_number(text: str) -> int:
    digits = len(text.removeprefix("-"))
    if digits > _MOST_DIGITS:
        raise OddRecord(f"a number of {digits} digits is too large")
    return int(text)


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number")


# Made once: it takes longer than a record does.
_DECODER = json.JSONDecoder(parse_constant=_no_number, parse_int=_whole_number)
