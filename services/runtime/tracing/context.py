"""Where a call belongs, in the words of W3C Trace Context: `traceparent` names a trace, and the span that calls."""

import re
import secrets
from dataclasses import dataclass

TRACEPARENT, REQUEST_ID = "traceparent", "x-request-id"
_FORM = re.compile("(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 1
_TRACE_BYTES, _SPAN_BYTES = 16, 8
_BYTES = _TRACE_BYTES + _SPAN_BYTES


@dataclass(frozen=True, slots=True)
class SpanContext:
    """A span and its trace; the span is None where the trace begins."""

    trace_id: str
    span_id: str | None
    is_sampled: bool

    @property
    def traceparent(self) -> str:
        """How it is told in a header."""
        return f"00-{self.trace_id}-{self.span_id}-{self.is_sampled:02x}"

    def pack(self) -> bytes:
        """Return a span that is sampled in as few bytes as there are."""
        return bytes.fromhex(f"{self.trace_id}{self.span_id}")


def unpacked(packed: bytes) -> SpanContext:
    """Return the span that `pack` has packed. Raises a ValueError for other bytes."""
    if len(packed) != _BYTES:
        raise ValueError(f"a span has {_BYTES} bytes")
    return SpanContext(packed[:_TRACE_BYTES].hex(), packed[_TRACE_BYTES:].hex(), is_sampled=True)


def parent_of(traceparent: str) -> SpanContext:
    """Return the span that a header names; a new trace, of which nobody wants a sample, where it names none."""
    told = _FORM.fullmatch(traceparent)
    if told is None or not int(told[1], 16) or not int(told[2], 16):
        return SpanContext(secrets.token_hex(_TRACE_BYTES), None, is_sampled=False)
    return SpanContext(told[1], told[2], bool(int(told[3], 16) & _SAMPLED))


def beginning() -> SpanContext:
    """Return a new trace that somebody wants a sample of."""
    return SpanContext(secrets.token_hex(_TRACE_BYTES), None, is_sampled=True)


def new_span_id() -> str:
    """Return an id for a span."""
    return secrets.token_hex(_SPAN_BYTES)
