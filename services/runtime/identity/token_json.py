"""The JSON of tokens, read as strictly as the edge reads it.

What two readers may understand differently is refused by both: a name that stands twice, numbers that are none, texts
that are not Unicode, nesting without end.
"""

import json
import math
from typing import Any, Never

from jwt.utils import base64url_decode

_PIECES = 3
# Where protobuf's reader of JSON ends, which is Envoy's.
_MOST_NESTED = 100


class Unreadable(Exception):
    """A token that is none, or can't be understood in one way only; the message says why, where that can be said."""


def read(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the header and the claims of a token, whoever has signed it, or raise Unreadable."""
    pieces = token.split(".")
    if len(pieces) != _PIECES:
        raise Unreadable
    try:
        header, claims, _ = map(base64url_decode, pieces)
    except ValueError:
        raise Unreadable from None
    told = _object(header)
    if not isinstance(told.get("kid", ""), str):
        raise Unreadable("its kid is no text")
    return told, _object(claims)


def _object(content: bytes) -> dict[str, Any]:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise Unreadable("it is not UTF-8") from None
    if text.startswith("\ufeff"):
        raise Unreadable("it begins with a byte order mark")
    try:
        told = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_no_number, parse_int=_whole, parse_float=_finite
        )
    except RecursionError:
        raise _too_deep() from None
    except ValueError:
        raise Unreadable from None
    if not isinstance(told, dict):
        raise Unreadable
    _check(told, _MOST_NESTED)
    return told


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    told = dict(pairs)
    if len(told) < len(pairs):
        raise Unreadable("a name stands in it twice")
    return told


def _no_number(_text: str) -> Never:
    raise Unreadable("NaN and infinity are no numbers of JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise Unreadable("a number in it is too large")
    return number


def _whole(text: str) -> int:
    # First, because a number of thousands of digits is none of Python's.
    _finite(text)
    return int(text)


def _check(value: object, levels: int) -> None:
    """Look at all texts, and at how deeply lists and objects are nested."""
    match value:
        case str():
            if any("\ud800" <= char <= "\udfff" for char in value):
                raise Unreadable("a text in it is not Unicode")
        case dict() | list():
            if levels == 0:
                raise _too_deep()
            for item in [*value, *value.values()] if isinstance(value, dict) else value:
                _check(item, levels - 1)


def _too_deep() -> Unreadable:
    return Unreadable(f"it is nested more than {_MOST_NESTED} deep")
