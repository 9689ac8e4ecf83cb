"""What is kept of a call while it goes on: where it belongs, for whom it is, and what its time went into.

It is kept of every call, because it is known only at the end which ones failed or were slow, and so it costs little.
Spans and lines of the log are made of it later, and of few.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from hashlib import sha256
from time import monotonic
from typing import Any, NamedTuple, Protocol, Self

from services.runtime.tracing.context import REQUEST_ID, TRACEPARENT, SpanContext, beginning, new_span_id, parent_of

# What is known of a stage beside its name, by the names of OpenTelemetry's conventions where those have one.
Attributes = Mapping[str, Any]
_NOTHING: Attributes = {}
# Of a stage in which the database has its part.
POSTGRESQL: Attributes = {"db.system.name": "postgresql"}
# A call has a few stages; one that goes through thousands of rooms has as many questions, and tells of the first.
_MOST_STAGES = 64
# Of many things that a call does, such as the messages of a batch, the first are told.
_MOST_SUBJECTS = 8
_HASH_CHARS = 16
# The flags of one that is sampled, which is all that is looked at where the parent is known.
_WANTED = "01"
_ODD = frozenset("13579bdf")


class Stage(NamedTuple):
    """A part of a call's time, in seconds of the monotonic clock."""

    name: str
    began: float
    ended: float
    attributes: Attributes = _NOTHING
    # What another process calls the span that it makes of its part; empty where no other one has a part.
    span_id: str = ""


def hashed(text: str) -> str:
    """Return what stands for a text where nobody erases: who knows the text finds it, and it names nobody."""
    return sha256(text.encode()).hexdigest()[:_HASH_CHARS]


class Subject(Protocol):
    """Something that a call does."""

    @property
    def attributes(self) -> Mapping[str, str]:
        """What is known of it at the end of the call."""


class Trace:
    """What is kept of a call, or of something else that several processes have a part in."""

    __slots__ = (
        "_parent",
        "_traceparent",
        "began",
        "is_over",
        "request_id",
        "room_id",
        "span_id",
        "stages",
        "subjects",
        "user_id",
    )

    def __init__(self, traceparent: str = "", request_id: str = "") -> None:
        self.began = monotonic()
        # Of the call, as the edge names it.
        self.request_id = request_id
        # On whose behalf, and about which room, as soon as that is known.
        self.user_id = self.room_id = ""
        self.stages: list[Stage] = []
        self.subjects: list[Subject] = []
        self.span_id = ""
        # All was told, and nothing more is kept.
        self.is_over = False
        self._traceparent = traceparent
        self._parent: SpanContext | None = None

    @classmethod
    def beginning(cls, request_id: str = "") -> Self:
        """Return one that begins here, and of which a sample is wanted."""
        trace = cls(_WANTED, request_id)
        trace._parent = beginning()
        return trace

    @property
    def parent(self) -> SpanContext:
        """Who has made the call."""
        if self._parent is None:
            self._parent = parent_of(self._traceparent)
        return self._parent

    @property
    def user_hash(self) -> str:
        """The user where it is written down."""
        return hashed(self.user_id) if self.user_id else ""

    @property
    def is_sampled(self) -> bool:
        """Whether somebody wants to see it, however it ends."""
        # Of most calls no more is looked at than the last digit of their flags.
        return self._traceparent[-1:] in _ODD and self.parent.is_sampled

    @property
    def attributes(self) -> dict[str, Any]:
        """What is known of its subjects: one value of each attribute, or a list where there are several."""
        told: dict[str, list[str]] = {}
        for subject in self.subjects:
            for name, value in subject.attributes.items():
                told.setdefault(name, []).append(value)
        return {name: values if len(values) > 1 else values[0] for name, values in told.items()}

    @property
    def context(self) -> SpanContext:
        """Its own span."""
        if not self.span_id:
            self.span_id = new_span_id()
        return SpanContext(self.parent.trace_id, self.span_id, self.parent.is_sampled)

    def add(self, name: str, began: float, attributes: Attributes = _NOTHING, *, span_id: str = "") -> None:
        """Add a stage that ends now."""
        self.put(Stage(name, began, monotonic(), attributes, span_id))

    def put(self, stage: Stage) -> None:
        """Add a stage."""
        if not self.is_over and len(self.stages) < _MOST_STAGES:
            self.stages.append(stage)

    def is_about(self, subject: Subject) -> None:
        """Add a subject, which is asked for its attributes only where spans are made."""
        if not self.is_over and len(self.subjects) < _MOST_SUBJECTS:
            self.subjects.append(subject)

    def close(self) -> None:
        """Keep nothing more: all was told."""
        self.is_over = True
        self.stages = []
        self.subjects = []


class Outgoing:
    """A call that another one makes: what the other process is told of where it belongs, and a stage of the caller."""

    __slots__ = ("_began", "_span", "_trace")

    def __init__(self, trace: Trace) -> None:
        self._began = monotonic()
        self._trace = trace
        self._span = SpanContext(trace.parent.trace_id, new_span_id(), trace.parent.is_sampled)

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What the call carries."""
        told = (TRACEPARENT, self._span.traceparent)
        return (told, (REQUEST_ID, self._trace.request_id)) if self._trace.request_id else (told,)

    def ended(self, name: str) -> None:
        """Take note of how long it took."""
        self._trace.add(name, self._began, span_id=self._span.span_id or "")


current: ContextVar[Trace | None] = ContextVar("trace", default=None)


@contextmanager
def stage(name: str, attributes: Attributes = _NOTHING) -> Iterator[None]:
    """Let what is done here be a stage of the call that does it, if one does."""
    trace = current.get()
    if trace is None:
        yield
        return
    began = monotonic()
    try:
        yield
    finally:
        trace.add(name, began, attributes)
