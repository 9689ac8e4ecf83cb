"""What is said of a span in words: what it is called, how it ended, and whom it was for."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from http import HTTPStatus

import grpc

from services.stack.terminal import printable
from services.stack.traces.reader import Span

_METHOD = re.compile(r"/?[\w.]+\.\w+/(\w+)")
_MILLION = 1_000_000
_CODES = {str(code.value[0]): code.name for code in grpc.StatusCode}
_QUEUE = "queue"
# Of more parts of one name, such as those for each reader of a message, only the longest is shown.
_MOST_ALIKE = 3


class Relatives:
    """Which span is a part of which other one."""

    def __init__(self, spans: Sequence[Span]) -> None:
        self._ids = {span.span_id for span in spans}
        self._parts: dict[str, list[Span]] = defaultdict(list)
        self.roots: list[Span] = []
        for span in spans:
            (self.roots if self.is_root(span) else self._parts[span.parent_id]).append(span)
        # For how many each of those is shown that are not alone.
        self._alike: dict[str, int] = {}
        self._shown = {parent_id: self._folded(parts) for parent_id, parts in self._parts.items()}

    def parts(self, span: Span) -> Sequence[Span]:
        """Return all parts of a span by their beginnings."""
        return self._parts.get(span.span_id, ())

    def shown(self, span: Span) -> Sequence[Span]:
        """Return the parts of a span that are shown."""
        return self._shown.get(span.span_id, ())

    def alike(self, span: Span) -> int:
        """Return of how many parts of one name it is the longest; 0 where all are shown."""
        return self._alike.get(span.span_id, 0)

    def is_root(self, span: Span) -> bool:
        """Tell whether it is a part of no span that is here."""
        return span.parent_id not in self._ids

    def _folded(self, parts: Sequence[Span]) -> list[Span]:
        leaves = [part for part in parts if part.span_id not in self._parts]
        counts = Counter(leaf.name for leaf in leaves)
        longest = {leaf.name: leaf for leaf in sorted(leaves, key=lambda leaf: leaf.end_ns - leaf.start_ns)}
        left_out = {leaf.span_id for leaf in leaves if counts[leaf.name] > _MOST_ALIKE}
        for name, leaf in longest.items():
            if leaf.span_id in left_out:
                left_out.remove(leaf.span_id)
                self._alike[leaf.span_id] = counts[name]
        return [part for part in parts if part.span_id not in left_out]


def title(span: Span) -> str:
    """Return a short name: of a call its method without its service."""
    told = _METHOD.fullmatch(span.name)
    return printable(told[1] if told else span.name)


def described(span: Span, relatives: Relatives) -> str:
    """Return what there is to say of a call or a delivery, and of a part of a call what is special about it."""
    return ", ".join(
        filter(
            None,
            (
                *_ending(span, relatives),
                *_subject(span, relatives),
                *_delivery(span, relatives),
                *_stage(span, relatives),
            ),
        )
    )


def _ending(span: Span, relatives: Relatives) -> Iterator[str]:
    code = _code(span)
    # Of calls within the suite that they went well is not worth a line.
    if code != "OK" or relatives.is_root(span):
        yield code
    yield span.attributes.get("chatkit.reason", "")
    flags = span.attributes.get("response_flags", "-")
    yield "" if flags == "-" else f"flags {flags}"
    if span.parent_id and relatives.is_root(span):
        yield "a part of a span that is not here"


def _code(span: Span) -> str:
    """Return how a call ended, by gRPC's code where the edge knows it; empty for what is none."""
    if code := span.attributes.get("rpc.response.status_code"):
        return str(code)
    if number := span.attributes.get("grpc.status_code"):
        return _CODES.get(str(number), str(number))
    status = str(span.attributes.get("http.status_code", ""))
    return "OK" if status == str(HTTPStatus.OK.value) else f"HTTP {status}" if status else ""


def _subject(span: Span, relatives: Relatives) -> Iterator[str]:
    if span.kind == "CONSUMER" and not relatives.is_root(span):
        # What the span above is about.
        return
    messages = span.attributes.get("messaging.message.id", "")
    if isinstance(messages, list):
        messages = f"{messages[0]} and others"
    room = span.attributes.get("chatkit.room_id", "")
    if messages:
        yield f"message {messages}"
    elif room:
        yield f"room {room}"
    if user := span.attributes.get("user.hash"):
        yield f"user {user}"


def _delivery(span: Span, relatives: Relatives) -> Iterator[str]:
    if span.kind != "CONSUMER":
        return
    taken = [part.end_ns for part in relatives.parts(span) if part.name == _QUEUE]
    yield f"taken {(max(taken, default=span.end_ns) - span.start_ns) / _MILLION:,.1f} ms after its time"
    if (streams := span.attributes.get("chatkit.streams")) is not None:
        yield f"written to {span.attributes.get('chatkit.streams.written')} of {streams} streams"
    if span.attributes.get("chatkit.delivery.is_healed"):
        yield "read from the database"


def _stage(span: Span, relatives: Relatives) -> Iterator[str]:
    if count := relatives.alike(span):
        yield f"the longest of {count}"
    writes = span.attributes.get("db.operation.batch.size", 1)
    if writes != 1:
        yield f"with {writes} writes"
    if span.attributes.get("chatkit.committer.lane") == "second":
        yield "second lane"
