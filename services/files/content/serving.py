"""How content is shown to browsers: types that are safe to show, names of any Unicode, and ranges. Pure.

Content is whatever a user has sent. Nothing of it may run in a page of our origin, so what a browser would run is
offered for saving, as bytes.
"""

import re
from dataclasses import dataclass
from urllib.parse import quote

from services.files.model import File, essence

BYTES = "application/octet-stream"
_SHOWN = frozenset(
    {
        "image/png",
        "image/jpeg",
        "image/gif",
        "image/webp",
        "image/avif",
        "image/bmp",
        "audio/mpeg",
        "audio/mp4",
        "audio/aac",
        "audio/ogg",
        "audio/wav",
        "audio/webm",
        "audio/flac",
        "video/mp4",
        "video/webm",
        "video/ogg",
        "video/quicktime",
        "text/plain",
    }
)
# What a browser needs to show a picture or a video that is opened by itself, and nothing that could run.
_POLICY = "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; sandbox"
# So many digits as a number is read of without complaint; far fewer are beyond the end of any content.
_RANGE = re.compile(r"bytes=([0-9]{0,1000})-([0-9]{0,1000})", re.IGNORECASE)


def served_type(content_type: str) -> str:
    """Return the type that a browser is told: the declared one, without parameters, if it is safe to show."""
    kind = essence(content_type)
    if kind not in _SHOWN:
        return BYTES
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind


def disposition(file: File, *, attachment: bool = False) -> str:
    """Return Content-Disposition with the file's name, for browsers of any age; with `attachment` it is to be saved."""
    kind = "inline" if essence(file.content_type) in _SHOWN and not attachment else "attachment"
    plain = "".join(
        char if char.isascii() and char.isprintable() and char not in '"\\%;/' else "_" for char in file.name
    )
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(file.name, safe='')}"


def stored_attributes(file: File) -> dict[str, str]:
    """Return what a bucket shall say of a blob when it answers itself."""
    return {
        "Content-Type": served_type(file.content_type),
        "Content-Disposition": disposition(file),
        "Cache-Control": "private, max-age=3600",
    }


def etag(file: File) -> str:
    """Return the entity tag: content never changes, so its hash is one."""
    return f'"{(file.sha256 or b"").hex()}"'


def headers(file: File, *, attachment: bool = False) -> dict[str, str]:
    """Return what every answer with a file's content says; with `attachment` it is to be saved and not shown."""
    return {
        "content-type": served_type(file.content_type),
        "content-disposition": disposition(file, attachment=attachment),
        "etag": etag(file),
        "accept-ranges": "bytes",
        "cache-control": "private, max-age=3600, immutable",
        "x-content-type-options": "nosniff",
        "content-security-policy": _POLICY,
        "cross-origin-resource-policy": "cross-origin",
        "referrer-policy": "no-referrer",
    }


@dataclass(frozen=True, slots=True)
class Range:
    """The bytes from `start` up to `end`, which is not among them."""

    start: int
    end: int


class UnsatisfiableRangeError(Exception):
    """No byte of the content lies in the range."""


def wanted_range(header: str, size: int) -> Range | None:
    """Return the one range that is asked for; None for the whole, which also answers what is no range or several.

    Raises UnsatisfiableRangeError.
    """
    found = _RANGE.fullmatch(header.strip())
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        start, end = max(size - int(found[2]), 0), size
    else:
        start = int(found[1])
        end = min(int(found[2]) + 1, size) if found[2] else size
        if found[2] and int(found[2]) < start:
            return None
    if start >= end:
        raise UnsatisfiableRangeError
    return Range(start, end)


def names(header: str, tag: str) -> bool:
    """Tell whether a list of entity tags, as If-None-Match has it, names this one."""
    tags = {part.strip().removeprefix("W/") for part in header.split(",")}
    return tag in tags or "*" in tags
