"""Spans as tests make them."""

from typing import Any

from services.runtime.tracing.trace import hashed
from services.stack.traces.reader import Span

TRACE = "0af7651916cd43dd8448eb211c80319c"
_BEGAN_NS = 1_795_949_010_000_000_000
_MILLISECOND = 1_000_000


def span(
    span_id: str, name: str, *, below: str = "", begins: float = 0, ends: float = 1, trace: str = TRACE, **more: Any
) -> Span:
    """Make a span; times are milliseconds after some moment."""
    parts: dict[str, Any] = {
        "kind": "INTERNAL",
        "is_error": False,
        "attributes": {},
        "service": "chatkit-messages",
        "process": "messages-1",
        **more,
    }
    return Span(
        trace_id=trace,
        span_id=span_id,
        parent_id=below,
        name=name,
        start_ns=_BEGAN_NS + round(begins * _MILLISECOND),
        end_ns=_BEGAN_NS + round(ends * _MILLISECOND),
        **parts,
    )


def a_send() -> list[Span]:
    """Make the spans of a send as far as its reader."""
    known = {
        "rpc.response.status_code": "OK",
        "http.request.header.x-request-id": "a-call",
        "user.hash": "2bd806c97f0e00af",
        "chatkit.room_id": "lobby",
        "messaging.message.id": "lobby/7",
        "chatkit.message.request_hash": hashed("a-write"),
    }
    of_edge = {"guid:x-request-id": "a-call", "grpc.status_code": "0", "response_flags": "-"}
    name = "chatkit.messages.v1.MessagesService/SendMessage"
    delivered = {"messaging.message.id": "lobby/7", "chatkit.streams": 3, "chatkit.streams.written": 2}
    edge: dict[str, Any] = {"service": "chatkit-edge", "process": "", "kind": "SERVER", "attributes": of_edge}
    writes = {"db.operation.batch.size": 12}
    return [
        span("e", f"/{name}", ends=20, **edge),
        span("m", name, below="e", begins=2, ends=18, kind="SERVER", attributes=known),
        span("a", "admission", below="m", begins=2, ends=3),
        span("w", "write and commit", below="m", begins=4, ends=17, attributes=writes, kind="CLIENT"),
        span(
            "d", "deliver", below="m", begins=15, ends=30, kind="CONSUMER", process="messages-2", attributes=delivered
        ),
        span("q", "queue", below="d", begins=17, ends=22.5, process="messages-2"),
    ]
