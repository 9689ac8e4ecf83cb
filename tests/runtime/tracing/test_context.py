"""Where a call belongs, read from a header that anybody may have written."""

import pytest

from services.runtime.tracing.context import SpanContext, parent_of, unpacked
from services.runtime.tracing.trace import Outgoing, Trace

_TRACE, _SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def test_a_header_names_trace_and_span_and_is_written_as_it_was_read() -> None:
    told = f"00-{_TRACE}-{_SPAN}-01"
    assert parent_of(told) == SpanContext(_TRACE, _SPAN, is_sampled=True)
    assert parent_of(told).traceparent == told
    assert unpacked(parent_of(told).pack()) == parent_of(told)


@pytest.mark.parametrize(("flags", "is_sampled"), [("00", False), ("01", True), ("02", False), ("0b", True)])
def test_the_last_bit_asks_for_a_sample(flags: str, is_sampled: bool) -> None:
    told = f"00-{_TRACE}-{_SPAN}-{flags}"
    assert (parent_of(told).is_sampled, Trace(told).is_sampled) == (is_sampled, is_sampled)


def test_what_a_later_version_adds_is_passed_over() -> None:
    assert parent_of(f"01-{_TRACE}-{_SPAN}-01-more").span_id == _SPAN


@pytest.mark.parametrize(
    "told",
    [
        "",
        "1",
        "ff" + f"-{_TRACE}-{_SPAN}-01",
        f"00-{'0' * 32}-{_SPAN}-01",
        f"00-{_TRACE}-{'0' * 16}-01",
        f"00-{_TRACE.upper()}-{_SPAN}-01",
        f"00-{_TRACE}-{_SPAN}-1",
        f"00-{_TRACE}-{_SPAN}-01\n",
        f"00-{_TRACE[:-1]}é-{_SPAN}-01",
    ],
)
def test_what_is_no_header_begins_a_trace_of_its_own_that_nobody_samples(told: str) -> None:
    first, second = parent_of(told), parent_of(told)
    assert (first.span_id, first.is_sampled, Trace(told).is_sampled) == (None, False, False)
    assert first.trace_id != second.trace_id
    assert len(first.trace_id) == 32


@pytest.mark.parametrize("packed", [b"", b"x" * 23, b"x" * 25])
def test_other_bytes_are_no_span(packed: bytes) -> None:
    with pytest.raises(ValueError, match="24 bytes"):
        unpacked(packed)


def test_who_is_called_hears_of_the_trace_and_of_the_stage_that_calls() -> None:
    trace = Trace(f"00-{_TRACE}-{_SPAN}-01", "a-request")
    outgoing = Outgoing(trace)
    told = dict(outgoing.metadata)
    outgoing.ended("call rooms")
    (stage,) = trace.stages
    assert told == {"traceparent": f"00-{_TRACE}-{stage.span_id}-01", "x-request-id": "a-request"}
    assert stage.name == "call rooms"
    assert stage.began <= stage.ended


def test_a_call_keeps_so_many_stages_and_none_once_it_was_told() -> None:
    trace = Trace()
    for _ in range(1_000):
        trace.add("one of many", trace.began)
    assert len(trace.stages) == 64
    trace.close()
    trace.add("after that", trace.began)
    assert trace.stages == []
