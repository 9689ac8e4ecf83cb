"""Which calls the log tells of, and what: those that fail by our fault, are slow, or were to be sampled."""

from collections.abc import Mapping, MutableMapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import grpc
import pytest
from chatkit.messages.v1 import messages_service_pb2 as pb2
from structlog.testing import capture_logs

from services.runtime.calls.call import Call, Context
from services.runtime.calls.observing import ObservedCall, Observer
from services.runtime.contract.errors import ChatkitError, Internal, NotFound, Unavailable
from services.runtime.contract.policies import methods_of
from services.runtime.metrics.registry import Metrics
from services.runtime.tracing.trace import current
from tests.support.told_spans import ToldSpans

_METHODS = {one.name: one for one in methods_of(pb2.DESCRIPTOR.services_by_name["MessagesService"])}
_TRACE = "0af7651916cd43dd8448eb211c80319c"
_SAMPLED = (("traceparent", f"00-{_TRACE}-b7ad6b7169203331-01"), ("x-request-id", "a-request"))
_UNSAMPLED = (("traceparent", f"00-{_TRACE}-b7ad6b7169203331-00"),)
_NEVER_SLOW, _ALWAYS_SLOW = 3600.0, 1e-9
_NOT_THERE = NotFound("ROOM_NOT_FOUND", "there is no such room")


def _context(metadata: Sequence[tuple[str, str]]) -> Context:
    return cast("Context", SimpleNamespace(invocation_metadata=lambda: metadata))


def _observer(slow_seconds: float = _NEVER_SLOW) -> tuple[Observer, ToldSpans]:
    spans = ToldSpans()
    return Observer(Metrics(), spans, slow_seconds), spans


def _begun(
    observer: Observer, method: str = "SendMessage", metadata: Sequence[tuple[str, str]] = ()
) -> tuple[ObservedCall, list[MutableMapping[str, Any]]]:
    with capture_logs() as logs:
        seen = observer.of(_METHODS[method]).begin(_context(metadata))
        call = SimpleNamespace(user_id="alice", query=SimpleNamespace(room_id="lobby"))
        seen.admitted(cast("Call", call))
    return seen, logs


def _told(observer: Observer, *end: Any, method: str = "SendMessage", metadata: Sequence[tuple[str, str]] = ()) -> Any:
    seen, logs = _begun(observer, method, metadata)
    assert logs == []
    with capture_logs() as logs:
        seen.end(*end)
        # The first ending counts.
        seen.end("CANCELLED")
    return logs


def test_of_a_call_that_went_well_and_fast_nothing_is_told() -> None:
    observer, spans = _observer()
    assert _told(observer, "OK") == []
    assert spans.told == []


def test_a_call_of_which_a_sample_is_wanted_is_told_with_its_ids_and_stages() -> None:
    observer, spans = _observer()
    (line,) = _told(observer, "OK", metadata=_SAMPLED)
    stages, seconds = line.pop("stages"), line.pop("seconds")
    assert 0 <= stages["admission"] <= seconds
    assert line == {
        "event": "call",
        "log_level": "info",
        "method": "/chatkit.messages.v1.MessagesService/SendMessage",
        "code": "OK",
        "reason": "",
        # printf %s alice | sha256sum
        "user_hash": "2bd806c97f0e00af",
        "room": "lobby",
        "request_id": "a-request",
        "trace_id": _TRACE,
    }
    (span,) = spans.told
    assert (span.kind, span.is_error) == ("SERVER", False)
    assert span.name == span.attributes["rpc.method"] == "chatkit.messages.v1.MessagesService/SendMessage"
    assert span.trace.parent.span_id == "b7ad6b7169203331"
    assert span.attributes["rpc.response.status_code"] == "OK"


def test_a_span_says_what_its_call_was_about() -> None:
    observer, spans = _observer()
    seen, _ = _begun(observer, metadata=_SAMPLED)
    trace = current.get()
    assert trace is not None
    for seq in ("1", "2"):
        trace.is_about(SimpleNamespace(attributes={"messaging.message.id": f"lobby/{seq}"}))
    seen.end("OK")
    (span,) = spans.told
    assert span.attributes["messaging.message.id"] == ["lobby/1", "lobby/2"]
    trace.close()
    trace.is_about(SimpleNamespace(attributes={"later": "1"}))
    assert trace.attributes == {}


def test_a_slow_call_is_told_whoever_wants_it() -> None:
    observer, spans = _observer(_ALWAYS_SLOW)
    (line,) = _told(observer, "OK")
    assert (line["event"], line["log_level"], len(spans.told)) == ("call", "warning", 1)


@pytest.mark.parametrize(
    ("error", "level", "said"),
    [
        (Unavailable("DATABASE_UNAVAILABLE", "the database is away"), "warning", {"message": "the database is away"}),
        (Internal("INTERNAL", "internal error 7", metadata={"error_id": "7"}), "error", {"error_id": "7"}),
    ],
)
def test_what_fails_by_our_fault_is_told_with_what_is_wrong(
    error: ChatkitError, level: str, said: Mapping[str, str]
) -> None:
    observer, spans = _observer()
    cause = ValueError("in the code")
    (line,) = _told(observer, error.code.name, error, cause)
    assert (line["log_level"], line["reason"]) == (level, error.reason)
    assert said.items() <= line.items()
    assert line.get("exc_info") is (cause if error.code is grpc.StatusCode.INTERNAL else None)
    assert spans.told[0].is_error


def test_an_ending_of_a_process_is_no_fault() -> None:
    observer, spans = _observer()
    assert _told(observer, "UNAVAILABLE", Unavailable("SHUTTING_DOWN", "resume elsewhere")) == []
    assert spans.told == []


def test_of_refusals_a_few_are_told_and_the_others_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    observer, spans = _observer()
    now = 1000.0
    monkeypatch.setattr("services.runtime.seldom.monotonic", lambda: now)
    told = [_told(observer, "NOT_FOUND", _NOT_THERE) for _ in range(100)]
    assert [len(lines) for lines in told] == [1] * 5 + [0] * 95
    assert told[0][0]["event"] == "call_refused"
    assert told[0][0]["unsaid"] == 0
    now += 1
    ((line,), (after,)) = [_told(observer, "NOT_FOUND", _NOT_THERE) for _ in range(2)]
    assert (line["unsaid"], after["unsaid"]) == (95, 0)
    assert spans.told == []


def _examples(observer: Observer) -> list[tuple[str, str]]:
    """Return the names of figures that have examples, and whose traces these are."""
    figures = (observer.figures.seconds, observer.figures.opening_seconds)
    return [
        (labels[-1], bucket[2].labels["trace_id"])
        for one in figures
        for labels, buckets, _ in one.samples()
        for bucket in buckets
        if len(bucket) == 3 and bucket[2] is not None
    ]


@pytest.mark.parametrize(
    ("slow_seconds", "end", "metadata"),
    [
        (_NEVER_SLOW, ("OK",), _SAMPLED),
        (_ALWAYS_SLOW, ("OK",), _UNSAMPLED),
        (_NEVER_SLOW, ("UNAVAILABLE", Unavailable("DATABASE_UNAVAILABLE", "away")), _UNSAMPLED),
    ],
)
def test_how_long_calls_took_of_which_something_is_told_has_their_trace_as_example(
    slow_seconds: float, end: tuple[Any, ...], metadata: Sequence[tuple[str, str]]
) -> None:
    observer, _ = _observer(slow_seconds)
    assert _told(observer, *end, metadata=metadata)
    assert _examples(observer) == [("SendMessage", _TRACE)]


def test_calls_of_which_nobody_can_find_a_trace_are_no_examples() -> None:
    observer, _ = _observer()
    _told(observer, "OK", metadata=_UNSAMPLED)
    _told(observer, "NOT_FOUND", _NOT_THERE, metadata=_UNSAMPLED)
    # A stream that has not opened, and failed, took no time to open.
    _told(observer, "UNAVAILABLE", Unavailable("DATABASE_UNAVAILABLE", "away"), method="SubscribeRoom")
    _told(observer, "OK", method="SubscribeRoom", metadata=_SAMPLED)
    assert _examples(observer) == []


def test_the_example_of_a_stream_is_how_it_opened() -> None:
    observer, _ = _observer()
    seen, _ = _begun(observer, "SubscribeRoom", _SAMPLED)
    seen.answers()
    seen.answers()
    assert _examples(observer) == [("SubscribeRoom", _TRACE)]
    seen.end("UNAVAILABLE", Unavailable("DATABASE_UNAVAILABLE", "away"))
    assert _examples(observer) == [("SubscribeRoom", _TRACE)]


def test_of_a_stream_its_beginning_is_told_and_no_more_is_kept() -> None:
    observer, spans = _observer(_ALWAYS_SLOW)
    seen, _ = _begun(observer, "SubscribeRoom", _SAMPLED)
    with capture_logs() as logs:
        seen.answers()
        seen.answers()
        seen.end("OK")
    (line,) = logs
    assert (line["event"], line["code"]) == ("call", "OK")
    (span,) = spans.told
    assert span.trace.stages == []


def test_how_long_an_upload_or_a_stream_takes_is_its_callers_affair() -> None:
    observer, _ = _observer(_ALWAYS_SLOW)
    assert _told(observer, "OK", method="SubscribeRoom") == []
    assert _told(observer, "OK", method="SendMessages") == []
