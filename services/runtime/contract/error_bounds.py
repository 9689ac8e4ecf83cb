"""How large an error may be: what travels in headers must fit into everybody's headers.

An error is told in `grpc-message`, percent-encoded, and in `grpc-status-details-bin`, in base64, and holds what callers
have sent. gRPC refuses headers of 8 KiB, Envoy ends the connection of everybody for some of 60 KiB. Together they have
at most 4 KiB here; what does not fit is cut, and counted where it was a list.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

# Of the two headers together, as they are sent.
MOST_BYTES = 4096
# A list that was cut has the number of those that are missing beside it, under its own name with this.
LEFT_OUT = "_left_out"
# In percent-encoding, where a byte may be three.
_MESSAGE_BYTES = 768
# In UTF-8. With the names of the details' types, and a third more for base64, they leave some room.
_METADATA_BYTES = 1024
_VIOLATIONS_BYTES = 320
_TEXT_BYTES = 150
_ELLIPSIS = "..."


def bounded_message(message: str) -> str:
    """Return as much of a message as may be sent."""
    if len(quote(message)) <= _MESSAGE_BYTES:
        return message
    return _cut(message, _MESSAGE_BYTES // 3)


def bounded_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return as much of metadata as may be sent; lists in JSON stay lists."""
    if _bytes_of(metadata.items()) <= _METADATA_BYTES:
        return dict(metadata)
    bounded: dict[str, str] = {}
    # Small values first, so that they stay whole and leave the rest to the large ones.
    for number, key in enumerate(sorted(metadata, key=lambda key: len(metadata[key]))):
        share = (_METADATA_BYTES - _bytes_of(bounded.items())) // (len(metadata) - number)
        bounded |= _bounded_value(key, metadata[key], share - len(key))
    return bounded


def bounded_violations(violations: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return as many violations as may be sent, each with its subject; the last one counts those that are left out."""
    told = [(_cut(subject, _TEXT_BYTES), _cut(description, _TEXT_BYTES)) for subject, description in violations]
    if _bytes_of(told) <= _VIOLATIONS_BYTES:
        return told
    kept = list(told)
    while len(kept) > 1 and _bytes_of([*kept, _more(told, kept)]) > _VIOLATIONS_BYTES:
        kept.pop()
    return [*kept, _more(told, kept)] if len(kept) < len(told) else kept


def _more(told: Sequence[object], kept: Sequence[object]) -> tuple[str, str]:
    return "", f"and {len(told) - len(kept)} more"


def _bytes_of(texts: Iterable[tuple[str, str]]) -> int:
    return sum(len(text.encode()) for pair in texts for text in pair)


def _bounded_value(key: str, value: str, most: int) -> dict[str, str]:
    if len(value.encode()) <= most:
        return {key: value}
    items = _items(value)
    if items is None:
        return {key: _cut(value, most)}
    counted = key + LEFT_OUT
    most -= len(counted) + len(str(len(items)))
    kept: list[Any] = []
    for item in items:
        if len(_dumped([*kept, item]).encode()) > most:
            break
        kept.append(item)
    return {key: _dumped(kept), counted: str(len(items) - len(kept))}


def _items(value: str) -> list[Any] | None:
    if not value.startswith("["):
        return None
    try:
        items = json.loads(value)
    except ValueError:
        return None
    return items if isinstance(items, list) else None


def _dumped(items: list[Any]) -> str:
    return json.dumps(items, ensure_ascii=False)


def _cut(text: str, most: int) -> str:
    """Return a text of at most so many bytes, and no half of a character."""
    encoded = text.encode()
    if len(encoded) <= most:
        return text
    return encoded[: max(0, most - len(_ELLIPSIS))].decode(errors="ignore") + _ELLIPSIS
