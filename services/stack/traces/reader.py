"""Finds a trace in the files that the receiver writes."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from services.runtime.tracing.trace import hashed

# What a trace is found by beside its own id: the call as the edge names it, the message, and the write.
_NAMES = (
    "http.request.header.x-request-id",
    "guid:x-request-id",
    "messaging.message.id",
)
# The write as its sender names it.
_HASH = "chatkit.message.request_hash"


@dataclass(frozen=True, slots=True)
class Span:
    """A span, as a line has it."""

    trace_id: str
    span_id: str
    # Empty where the trace begins.
    parent_id: str
    name: str
    kind: str
    start_ns: int
    end_ns: int
    is_error: bool
    attributes: dict[str, Any]
    service: str
    process: str

    def is_about(self, what: str) -> bool:
        """Tell whether somebody who asks for this means this span."""
        if self.trace_id == what.lower():
            return True
        named = any(_has(self.attributes.get(name), what) for name in _NAMES)
        return named or _has(self.attributes.get(_HASH), hashed(what))


def _has(value: Any, what: str) -> bool:
    return what in value if isinstance(value, list) else bool(what == value)


_FIELDS = {field.name for field in fields(Span)}


@dataclass(frozen=True, slots=True)
class Found:
    """The spans of a trace by their beginnings, and the ids of other traces that are meant as well, newest first."""

    spans: Sequence[Span]
    others: Sequence[str]


def find(path: Path, what: str) -> Found | None:
    """Return the newest trace that is meant by its id, a request id, or a message as ROOM/SEQ; None where none is."""
    lines = _lines(path)
    needles = {json.dumps(one).encode() for one in (what, what.lower(), hashed(what))}
    about = [span for span in _read(lines, needles) if span.is_about(what)]
    # What was delivered late may have a trace of its own, which says less than that of the call.
    about.sort(key=lambda span: (span.kind != "CONSUMER", span.start_ns), reverse=True)
    trace_ids = list(dict.fromkeys(span.trace_id for span in about))
    if not trace_ids:
        return None
    newest, *others = trace_ids
    spans = {span.span_id: span for span in _read(lines, {json.dumps(newest).encode()}) if span.trace_id == newest}
    return Found(sorted(spans.values(), key=lambda span: (span.start_ns, -span.end_ns)), others)


def _lines(path: Path) -> list[bytes]:
    """Read both files, the newer one first: what is renamed meanwhile is read twice, and nothing is missed."""
    lines: list[bytes] = []
    for one in (path, path.with_name(f"{path.name}.1")):
        if one.exists():
            lines += one.read_bytes().splitlines()
    return lines


def _read(lines: Iterable[bytes], needles: Iterable[bytes]) -> Iterator[Span]:
    """Read the lines that have one of some texts; one that is cut is left out."""
    for line in lines:
        if any(needle in line for needle in needles):
            try:
                told = json.loads(line)
                yield Span(**{name: told[name] for name in _FIELDS})
            except (ValueError, KeyError, TypeError):
                continue
