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
# Controls, separators and what formats the text around it.
_NOT_IN_URLS = {"Cc", "Cf", "Zs", "Zl", "Zp"}
# Marks are shown on a character before them.
_INVISIBLE = {"Cc", "Cf", "Mn", "Zs", "Zl", "Zp"}
# Letters and symbols that have no picture by Unicode's own word: fillers of Hangul, Braille without a dot, and places
# that are kept for what is not shown.
_BLANKS = {"\u115f", "\u1160", "\u2065", "\u2800", "\u3164", "\uffa0", *map(chr, range(0xFFF0, 0xFFF9))}
_KEPT_BLANK = range(0xE0000, 0xE1000)
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


def is_url(text: str) -> bool:
    """Tell whether a text is an absolute http or https URL."""
    is_plain = text.isascii() and text.isprintable() and " " not in text
    if not is_plain and any(unicodedata.category(char) in _NOT_IN_URLS and char not in JOINERS for char in text):
        return False
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


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
    return unicodedata.category(char) not in _INVISIBLE and char not in _BLANKS and ord(char) not in _KEPT_BLANK


FORMS: Mapping[int, Callable[[str], bool] | None] = {
    field_policy_pb2.FORMAT_UNSPECIFIED: None,
    field_policy_pb2.FORMAT_IDENTIFIER: is_identifier,
    field_policy_pb2.FORMAT_URL: is_url,
    field_policy_pb2.FORMAT_MEDIA_TYPE: is_media_type,
    field_policy_pb2.FORMAT_PERMISSION: is_permission,
    field_policy_pb2.FORMAT_VISIBLE_IDENTIFIER: is_visible_identifier,
    field_policy_pb2.FORMAT_VISIBLE: is_visible,
    field_policy_pb2.FORMAT_SHA256: is_sha256,
}
# What is said of a text that has not the form.
FORM_NAMES: Mapping[int, str] = {
    field_policy_pb2.FORMAT_IDENTIFIER: "must not contain control characters",
    field_policy_pb2.FORMAT_URL: "must be an absolute http or https URL",
    field_policy_pb2.FORMAT_MEDIA_TYPE: "must be a media type such as text/plain",
    field_policy_pb2.FORMAT_PERMISSION: "is not a permission that the contract declares",
    field_policy_pb2.FORMAT_VISIBLE_IDENTIFIER: "must not contain control characters, and must contain what is visible",
    field_policy_pb2.FORMAT_VISIBLE: "must contain what is visible",
    field_policy_pb2.FORMAT_SHA256: "must be a SHA-256 in 64 hexadecimal digits",
}
