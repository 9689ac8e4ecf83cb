"""`./chatkit bench` as a whole: what it prints, and that nothing of it is left."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from benchmarks.cli import main
from benchmarks.workloads.attacks import ATTACKS
from tests.benchmarks.command import SECONDS, left_behind, start
from tests.support.eventually import eventually


@pytest.mark.slow
async def test_a_quick_run_prints_json_whose_counts_add_up(short_path: Path) -> None:
    process = await start(short_path, "w1", "--quick", "--seconds", "0.3", "--json")
    async with asyncio.timeout(SECONDS):
        out, _ = await process.communicate()
    progress = (short_path / "err").read_text()
    assert process.returncode == 0, progress
    assert "W1: 50 senders in 50 rooms, edge" in progress
    found: dict[str, Any] = json.loads(out)
    assert found.keys() == {"machine", "options", "figures", "bars", "bars_reference", "left_out"}
    assert found["options"] == {
        "seconds": 0.3,
        "quick": True,
        "rooms": [],
        "attacks": [],
        "at_once": False,
        "rounds": 0,
        "peers": False,
    }
    figures = {figure["via"]: figure for figure in found["figures"] if "live" not in figure["case"]}
    assert figures.keys() == {"services", "edge", "bare"}
    live = [figure for figure in found["figures"] if "live" in figure["case"]]
    assert [figure["via"] for figure in live] == ["services", "edge"] * 2
    for via, figure in figures.items():
        parts = {"bare", "generator"} if via == "bare" else {"service", "database", "edge", "nats", "generator"}
        assert figure["cpu_us"].keys() == parts
        # So short a time can pass on a slow machine without an answer.
        assert figure["per_second"] == pytest.approx(figure["details"]["count"] / figure["details"]["seconds"])
        assert figure["details"]["answered_in_all"] >= figure["details"]["count"]
        assert figure["details"]["refused"] == 0
    for figure in (figures["services"], figures["edge"], *live):
        # Every send that was acknowledged is in its room's log, and nothing else is.
        assert figure["details"]["stored"] == figure["details"]["answered_in_all"] > 0
    assert [bar["name"].partition(",")[0] for bar in found["bars"]] == ["W1"]
    assert left_behind(short_path) == []


@pytest.mark.slow
async def test_what_observing_costs_is_measured_at_two_suites(short_path: Path) -> None:
    process = await start(short_path, "observing", "--quick", "--seconds", "0.3", "--rounds", "1", "--json")
    async with asyncio.timeout(2 * SECONDS):
        out, _ = await process.communicate()
    progress = (short_path / "err").read_text()
    assert process.returncode == 0, progress
    assert progress.count("starting PostgreSQL") == 2
    *pairs, always = json.loads(out)["figures"]
    cases = ["W1: 50 senders in 50 rooms", "W2: 1 send in flight", "W2: 16 sends in flight"]
    assert [figure["case"] for figure in pairs] == [
        f"{case}, {which}" for case in cases for which in ("nothing", "observed")
    ]
    for figure in pairs:
        assert (figure["workload"], figure["via"], len(figure["details"]["rounds"])) == ("observing", "edge", 1)
        assert ("to_nothing" in figure["details"]) == figure["case"].endswith("observed")
    assert always["details"]["us"] > 0
    assert left_behind(short_path) == []


@pytest.mark.slow
async def test_neighbours_are_measured_beside_attacks_that_have_come_to_their_size(short_path: Path) -> None:
    process = await start(
        *(short_path, "neighbours", "--quick", "--attack", "unread-pages", "--attack", "spellings", "--json")
    )
    async with asyncio.timeout(SECONDS):
        out, _ = await process.communicate()
    progress = (short_path / "err").read_text()
    assert process.returncode == 0, progress
    found: dict[str, Any] = json.loads(out)
    figures = {figure["case"]: figure for figure in found["figures"]}
    assert list(figures) == ["quiet", "unread-pages", "spellings", "all at once", "quiet again", "at the end"]
    for name in ("unread-pages", "spellings"):
        details = figures[name]["details"]
        assert details["count"] > 0
        assert (details["failed"], details["lost"], details["too_small"], details["ended_processes"]) == (0, 0, 0, [])
        assert details["reached"]["came"] >= details["wanted"]
        assert details["memory_mb"].keys() == {"before", "most", "after"}
        assert details["memory_mb"]["most"]["edge"] > 0
    # What nobody reads is open at the edge, and other spellings send nothing.
    assert figures["unread-pages"]["details"]["edge_sees"]["calls_active"] >= 50
    assert figures["spellings"]["details"]["reached"]["answered"] == 0
    assert {bar["name"].partition(",")[0] for bar in found["bars"]} == {"neighbours"}
    assert left_behind(short_path) == []


@pytest.mark.slow
async def test_beside_all_attacks_at_once_at_their_full_size_nothing_is_lost_and_memory_is_bounded(
    short_path: Path,
) -> None:
    # Without as many connections as the system lets the edge have, which take minutes to come.
    chosen = [option for name in ATTACKS if name != "idle-connections" for option in ("--attack", name)]
    process = await start(short_path, "neighbours", "--at-once", *chosen, "--seconds", "0.5", "--json")
    async with asyncio.timeout(5 * SECONDS):
        out, _ = await process.communicate()
    assert process.returncode == 0, (short_path / "err").read_text()
    found: dict[str, Any] = json.loads(out)
    figures = {figure["case"]: figure["details"] for figure in found["figures"]}
    beside = figures["all at once"]
    assert (beside["lost"], beside["ended_processes"]) == (0, [])
    # Those that hold something have it open at the edge, of which there are hundreds each.
    assert beside["edge_sees"]["calls_active"] >= 500
    broken = [bar["name"] for bar in found["bars"] if "MB" in bar["name"] and not bar["is_met"]]
    # What allocators keep after so short a time says nothing.
    assert [name for name in broken if "MB at the end" not in name] == []


async def test_an_interrupted_run_leaves_nothing_behind(short_path: Path) -> None:
    process = await start(short_path, "w1", "--quick")
    # PostgreSQL runs by then.
    await eventually(lambda: "migrating" in (short_path / "err").read_text(), SECONDS)
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(SECONDS):
        out, _ = await process.communicate()
    assert (process.returncode, out) == (130, b"")
    assert left_behind(short_path) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["W9"], "there is no workload W9"),
        (["--seconds", "0"], "is no number of seconds"),
        (["--rooms", "0"], "is no number of rooms"),
        (["--rounds", "101"], "is no number of rounds"),
        (["--peers", "W1", "W3"], "there is no workload beside peers W3: W1, W2, W4"),
        (["--attack", "patience"], "invalid choice: 'patience'"),
    ],
)
def test_what_can_not_be_run_is_said(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status = main(arguments)
    except SystemExit as ended:
        status = int(ended.code or 0)
    assert status > 0
    assert sentence in capsys.readouterr().err
