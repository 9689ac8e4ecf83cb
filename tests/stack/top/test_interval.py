"""What has happened between two readings of all processes."""

from dataclasses import replace

import pytest

from services.stack.figures.reading import Figures, parse
from services.stack.top.interval import Interval, MethodRow, ProcessRow, compare
from services.stack.top.samples import Reading, Sample, Usage

_SEND = 'grpc_service="chatkit.messages.v1.MessagesService",grpc_method="SendMessage",grpc_type="unary"'
_FOLLOW = 'grpc_service="chatkit.messages.v1.MessagesService",grpc_method="SubscribeRoom",grpc_type="server_stream"'
_BEGAN = (1, 1.0)


def _messages(
    *, sent: int = 0, failed: int = 0, refused: int = 0, given_up: int = 0, follows: int = 0, ended: int = 0
) -> Figures:
    """Return what a process of messages tells; half of the calls took up to 10 ms, the others up to 20."""
    calls = sent + failed + refused
    return parse(
        f"""\
chatkit_build_info{{version="1",commit=""}} 1
grpc_server_handled_total{{{_SEND},grpc_code="OK"}} {sent}
grpc_server_handled_total{{{_SEND},grpc_code="UNAVAILABLE"}} {failed}
grpc_server_handled_total{{{_SEND},grpc_code="INVALID_ARGUMENT"}} {refused}
grpc_server_handled_total{{{_FOLLOW},grpc_code="CANCELLED"}} {given_up}
grpc_server_handled_total{{{_FOLLOW},grpc_code="OK"}} {ended}
grpc_server_handling_seconds_bucket{{{_SEND},le="0.01"}} {calls / 2}
grpc_server_handling_seconds_bucket{{{_SEND},le="0.02"}} {calls}
grpc_server_handling_seconds_bucket{{{_SEND},le="+Inf"}} {calls}
chatkit_streams_open{{{_FOLLOW}}} {follows}
chatkit_event_loop_lag_seconds_bucket{{le="0.1"}} {calls}
chatkit_event_loop_lag_seconds_bucket{{le="+Inf"}} {calls}
chatkit_database_connections_in_use 3
chatkit_database_waits_total {sent}
chatkit_bus_waiting 2
chatkit_bus_dropped_total {failed}
chatkit_access_proof_age_seconds 0.5
chatkit_deliveries_total {4 * sent}
chatkit_rooms_followed 7
chatkit_committer_waiting 5
chatkit_committer_wait_seconds_bucket{{le="0.1"}} {sent}
chatkit_committer_wait_seconds_bucket{{le="+Inf"}} {sent}
"""
    )


def _reading(figures: Figures | None, cpu: float = 0.0) -> Reading:
    return Reading(figures, True, Usage(cpu, 1000), True, _BEGAN)


def _compared(before: Figures, after: Figures) -> Interval:
    """Compare one process of messages over ten seconds."""
    return compare(
        Sample(100.0, {"messages": _reading(before, 5.0)}), Sample(110.0, {"messages": _reading(after, 7.5)})
    )


def test_a_method_has_rates_errors_by_whose_fault_they_are_and_quantiles_of_the_interval() -> None:
    before = _messages(sent=1000, failed=50, refused=50)
    (row,) = _compared(before, _messages(sent=1070, failed=60, refused=70)).methods
    assert row == MethodRow(
        "chatkit.messages.v1.MessagesService",
        "SendMessage",
        rate=10.0,
        edge_rate=0.0,
        errors_ours=1.0,
        errors_theirs=2.0,
        p50_seconds=pytest.approx(0.01),  # type: ignore[arg-type]
        p99_seconds=pytest.approx(0.0198),  # type: ignore[arg-type]
        open_streams=0,
    )


def test_streams_arrive_when_they_begin_and_nobody_is_at_fault_when_they_are_given_up() -> None:
    # Of four that were open two were given up, and twelve have begun, of which one has ended.
    interval = _compared(_messages(follows=4), _messages(follows=13, given_up=2, ended=1))
    (row,) = interval.methods
    assert (row.rate, row.open_streams, row.errors_ours, row.errors_theirs) == (1.2, 13, 0, 0)
    assert row.p50_seconds is None


def test_streams_that_were_open_before_are_shown_without_a_call_and_what_nobody_uses_is_not() -> None:
    assert [row.method for row in _compared(_messages(follows=1), _messages(follows=1)).methods] == ["SubscribeRoom"]
    assert _compared(_messages(sent=5), _messages(sent=5)).methods == []


def test_the_busiest_method_is_the_first() -> None:
    names = [row.method for row in _compared(_messages(), _messages(sent=1, follows=2)).methods]
    assert names == ["SubscribeRoom", "SendMessage"]
    names = [row.method for row in _compared(_messages(), _messages(sent=3, follows=2)).methods]
    assert names == ["SendMessage", "SubscribeRoom"]


def test_replicas_are_counted_together_and_have_a_row_each() -> None:
    before = Sample(0.0, {"messages-1": _reading(_messages()), "messages-2": _reading(_messages(sent=10))})
    after = Sample(
        1.0, {"messages-1": _reading(_messages(sent=2, follows=1)), "messages-2": _reading(_messages(sent=15))}
    )
    interval = compare(before, after)
    assert [(row.name, row.deliveries) for row in interval.processes] == [("messages-1", 8), ("messages-2", 20)]
    assert {row.method: row.rate for row in interval.methods} == {"SendMessage": 7, "SubscribeRoom": 1}


def test_a_process_tells_all_that_its_row_has() -> None:
    (row,) = _compared(_messages(sent=10), _messages(sent=30, failed=10, follows=2)).processes
    assert row == ProcessRow(
        "messages",
        "up",
        cpu_share=0.25,
        memory_bytes=1000,
        loop_lag_p99_seconds=pytest.approx(0.099),  # type: ignore[arg-type]
        open_streams=2,
        database_connections=3,
        database_waits=2.0,
        bus_waiting=2,
        bus_drops=1.0,
        access_proof_age_seconds=0.5,
        deliveries=8.0,
        rooms_followed=7,
        committer_waiting=5,
        committer_wait_p99_seconds=pytest.approx(0.099),  # type: ignore[arg-type]
    )


_UP = _reading(_messages(sent=20), 9.0)


@pytest.mark.parametrize(
    ("before", "after", "state"),
    [
        (_UP, replace(_UP, usage=None, figures=None), "down"),
        (_UP, replace(_UP, figures=None, is_ready=None), "silent"),
        (_UP, replace(_UP, is_ready=False), "not ready"),
        (_UP, Reading(None, None, Usage(1.0, 1), tells_figures=False), "up"),
        (replace(_UP, figures=None), _UP, "up"),
        (None, _UP, "up"),
    ],
)
def test_a_process_that_does_not_answer_is_shown_as_such(before: Reading | None, after: Reading, state: str) -> None:
    earlier = Sample(0.0, {} if before is None else {"messages": before})
    interval = compare(earlier, Sample(1.0, {"messages": after}))
    (row,) = interval.processes
    assert (row.name, row.state) == ("messages", state)
    if before is None or before.figures is None or after.figures is None:
        assert (row.deliveries, interval.methods) == (None, [])


def test_a_process_that_was_started_meanwhile_has_no_rates_yet() -> None:
    started = Reading(_messages(sent=3, follows=1), True, Usage(0.5, 1000), True, (2, 50.0))
    interval = compare(Sample(0.0, {"messages": _UP}), Sample(1.0, {"messages": started}))
    (row,) = interval.processes
    assert (row.state, row.cpu_share, row.deliveries, row.open_streams) == ("up", None, None, 1)
    assert [(row.method, row.rate, row.open_streams) for row in interval.methods] == [("SubscribeRoom", 0, 1)]


def _edge(requests: int, refused: int, calls: int) -> Reading:
    public, send = 'envoy_http_conn_manager_prefix="edge"', _SEND.replace(',grpc_type="unary"', "")
    figures = parse(
        f"""\
envoy_http_downstream_rq_total{{{public}}} {requests}
envoy_http_downstream_rq_total{{envoy_http_conn_manager_prefix="metrics"}} {10 * requests}
envoy_http_downstream_rq_xx{{{public},envoy_response_code_class="4"}} {refused}
envoy_http_downstream_rq_active{{{public}}} 6
envoy_http_downstream_cx_active{{{public}}} 2
envoy_cluster_grpc_total{{envoy_cluster_name="messages",{send}}} {calls}
"""
    )
    return Reading(figures, None, Usage(1.0, 1), True, _BEGAN)


def test_the_edge_tells_what_came_through_it_also_of_each_method() -> None:
    before = Sample(0.0, {"edge": _edge(10, 1, 5), "messages": _reading(_messages())})
    after = Sample(2.0, {"edge": _edge(20, 3, 11), "messages": _reading(_messages(sent=8))})
    interval = compare(before, after)
    assert interval.edge is not None
    assert (interval.edge.rate, interval.edge.answers_4xx, interval.edge.answers_5xx) == (5, 1, 0)
    assert (interval.edge.open_requests, interval.edge.connections) == (6, 2)
    (row,) = interval.methods
    assert (row.rate, row.edge_rate) == (4, 3)
    assert interval.processes[0].open_streams is None
