"""The forms that a text of a request may have to have: `Format` of the contract. Pure.

What other people write ends up in headers, logs and terminals, so each form is closed: it names the characters that it
takes, or refuses them by category, and never relies on what Python calls a space.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from chatkit.contract.v1 import field_policy_pb2

from services.runtime.contract.policies import permissions
from services.runtime.shown import JOINERS

_NAME = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
# In quotes: ASCII that prints, without the quote and the backslash.
_PARAMETER = r"[A-Za-z0-9!#$&^_.+-]+=(?:[A-Za-z0-9!#$&^_.+-]+|\"[ !#-\[\]-~]*\")"
_MEDIA_TYPE = re.compile(rf"{_NAME}/{_NAME}(?: *; *{_PARAMETER})*")
_SHA256 = re.compile(r"[0-9A-Fa-f]{64}")
# The characters of RFC 3986, a percent sign only where two digits follow; which of the others it may be is looked at.
_URL = re.compile(r"(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2}|[^\x00-\x7f])+")
# Marks are shown on a character before them.
_MARK = "Mn"
_INVISIBLE = {"Cc", "Cf", _MARK, "Zs", "Zl", "Zp"}
_PRIVATE = "Co"
# Letters and symbols that have no picture by Unicode's own word: fillers of Hangul, Braille without a dot, the head of
# a note that has none, what stands for an object that is not in the text, places that are kept for what is not shown,
# and what is no character.
_BLANKS = {
    *"\u115f\u1160\u2065\u2800\u3164\uffa0\ufffc\U0001d159",
    *map(chr, range(0xFFF0, 0xFFF9)),
    # Unicode 15 has put Egyptian controls, blanks and marks there, which is newer than Python may be.
    *map(chr, [*range(0x13439, 0x13443), *range(0x13447, 0x13456)]),
    *map(chr, [*range(0xFDD0, 0xFDF0), *range(0xFFFE, 0x110000, 0x10000), *range(0xFFFF, 0x110000, 0x10000)]),
}
_KEPT_BLANK = range(0xE0000, 0xE1000)
# They turn what follows around, and so what comes after the dot of a file's name; and the ends of lines.
_MISLEADING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029")
_PERMISSIONS = frozenset(permission.name for permission in permissions())


def is_identifier(text: str) -> bool:
    """Tell whether a text has no control characters."""
    return text.isprintable() or not any(unicodedata.category(char) == "Cc" for char in text)


def is_visible(text: str) -> bool:
    """Tell whether anything of a text shows."""
    return any(_shows(char) for char in text)


def is_visible_identifier(text: str) -> bool:
    """Tell whether a text has no control characters, and something that shows."""
    return is_identifier(text) and is_visible(text)


def is_file_name(text: str) -> bool:
    """Tell whether a text is a visible identifier of one line, in which nothing turns the direction of text around."""
    return is_visible_identifier(text) and _MISLEADING.isdisjoint(text)


def is_url(text: str) -> bool:
    """Tell whether a text is an absolute http or https URL, or an IRI of characters that show."""
    if _URL.fullmatch(text) is None or not (text.isascii() or all(map(_is_in_urls, text))):
        return False
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and is_visible(parts.hostname or "")


def is_media_type(text: str) -> bool:
    """Tell whether a text is a media type, in ASCII and with parameters or without."""
    return _MEDIA_TYPE.fullmatch(text) is not None


def is_sha256(text: str) -> bool:
    """Tell whether a text is a SHA-256 in hexadecimal digits."""
    return _SHA256.fullmatch(text) is not None


def is_permission(text: str) -> bool:
    """Tell whether the contract declares this permission."""
    return text in _PERMISSIONS


def _shows(char: str) -> bool:
    return unicodedata.category(char) not in _INVISIBLE and not _is_blank(char)


def _is_blank(char: str) -> bool:
    return char in _BLANKS or ord(char) in _KEPT_BLANK


def _is_in_urls(char: str) -> bool:
    category = unicodedata.category(char)
    is_part_of_others = (category == _MARK and not _is_blank(char)) or char in JOINERS
    return is_part_of_others or (_shows(char) and category != _PRIVATE)


FORMS: Mapping[int, Callable[[str], bool] | None] = {
    field_policy_pb2.FORMAT_UNSPECIFIED: None,
    field_policy_pb2.FORMAT_IDENTIFIER: is_identifier,
    field_policy_pb2.FORMAT_URL: is_url,
    field_policy_pb2.FORMAT_MEDIA_TYPE: is_media_type,
    field_policy_pb2.FORMAT_PERMISSION: is_permission,
    field_policy_pb2.FORMAT_VISIBLE_IDENTIFIER: is_visible_identifier,
    field_policy_pb2.FORMAT_VISIBLE: is_visible,
    field_policy_pb2.FORMAT_FILE_NAME: is_file_name,
    field_policy_pb2.FORMAT_SHA256: is_sha256,
}
# What is said of a text that has not the form.
FORM_NAMES: Mapping[int, str] = {
    field_policy_pb2.FORMAT_IDENTIFIER: "must not contain control characters",
    field_policy_pb2.FORMAT_URL: "must be an absolute http or https URL, with what URLs do not hold percent-encoded",
    field_policy_pb2.FORMAT_MEDIA_TYPE: "must be a media type such as text/plain",
    field_policy_pb2.FORMAT_PERMISSION: "is not a permission that the contract declares",
    field_policy_pb2.FORMAT_VISIBLE_IDENTIFIER: "must not contain control characters, and must contain what is visible",
    field_policy_pb2.FORMAT_VISIBLE: "must contain what is visible",
    field_policy_pb2.FORMAT_FILE_NAME: (
        "must contain what is visible, and no control characters, ends of lines or changes of the direction of text"
    ),
    field_policy_pb2.FORMAT_SHA256: "must be a SHA-256 in 64 hexadecimal digits",
}
