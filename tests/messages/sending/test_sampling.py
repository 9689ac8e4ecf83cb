"""Which messages of a stream have a trace of their own, and what is told of them."""

from datetime import UTC, datetime

import pytest

from services.messages.log.outcomes import Appended
from services.messages.model import LogEntry
from services.messages.sending.sampling import Sampling
from services.runtime.contract.errors import NotFound, Unavailable
from services.runtime.tracing.trace import Trace
from tests.support.told_spans import ToldSpans

_APPENDED = Appended(LogEntry.created(1, datetime.now(UTC), b""), is_new=True)


def _begin(sampling: Sampling, *, is_wanted: bool = True) -> Trace:
    trace = sampling.begin(Trace("", "a-stream"), is_wanted=is_wanted)
    assert trace is not None
    return trace


def test_a_message_of_a_stream_that_is_sampled_begins_a_trace_with_the_streams_request_id() -> None:
    sampling = Sampling(ToldSpans())
    one, another = _begin(sampling), _begin(sampling)
    assert one.is_sampled
    assert (one.parent.span_id, one.request_id) == (None, "a-stream")
    assert one.context.trace_id != another.context.trace_id
    assert one.context.is_sampled


@pytest.mark.parametrize(("percent", "drawn", "has_one"), [(1, 0.009, True), (1, 0.01, False), (0, 0.0, False)])
def test_of_other_streams_a_share_is_sampled(percent: float, drawn: float, *, has_one: bool) -> None:
    sampling = Sampling(ToldSpans(), percent, chance=lambda: drawn)
    assert (sampling.begin(None, is_wanted=False) is not None) is has_one


def test_where_nobody_takes_spans_no_message_has_a_trace() -> None:
    assert Sampling(None, 100).begin(None, is_wanted=True) is None


def test_a_hundred_messages_a_second_have_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 10.0
    monkeypatch.setattr("services.runtime.seldom.monotonic", lambda: now)
    sampling = Sampling(ToldSpans())
    assert sum(sampling.begin(None, is_wanted=True) is not None for _ in range(300)) == 100
    now = 11.0
    assert sampling.begin(None, is_wanted=True) is not None


def test_a_message_that_was_stored_is_told_once_with_its_stages() -> None:
    spans = ToldSpans()
    sampling = Sampling(spans)
    trace = _begin(sampling)
    trace.user_id, trace.room_id = "alice", "lobby"
    trace.add("admission", trace.began)
    sampling.end(trace, _APPENDED)
    (span,) = spans.told
    assert (span.name, span.kind, span.stages, span.is_error) == ("send", "PRODUCER", ["admission"], False)
    told = {
        "rpc.response.status_code": "OK",
        "chatkit.room_id": "lobby",
        "http.request.header.x-request-id": "a-stream",
        # printf %s alice | sha256sum
        "user.hash": "2bd806c97f0e00af",
    }
    assert told.items() <= span.attributes.items()
    # Nothing more is kept of it.
    trace.add("later", trace.began)
    assert trace.stages == []


@pytest.mark.parametrize(
    ("error", "is_fault"),
    [(NotFound("ROOM_NOT_FOUND", "no room"), False), (Unavailable("OUTCOME_UNKNOWN", "nobody knows"), True)],
)
def test_a_message_that_was_refused_says_why(error: NotFound | Unavailable, *, is_fault: bool) -> None:
    spans = ToldSpans()
    sampling = Sampling(spans)
    sampling.end(_begin(sampling), error)
    (span,) = spans.told
    told = span.attributes
    assert (told["rpc.response.status_code"], told["chatkit.reason"]) == (error.code.name, error.reason)
    assert span.is_error is is_fault
