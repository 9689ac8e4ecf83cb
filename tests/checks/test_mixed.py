"""What is tried of two releases together, and when they are said to work."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from services.stack.machine.processes import edge_program, service_programs
from services.stack.roles import SERVICES
from tests.checks.mixed.arrangements import PARTS, arrangements
from tests.checks.mixed.counts import Counts, is_sound, summary, table
from tests.checks.mixed.processes import machine
from tests.checks.mixed.releases import this

_SOUND = Counts("users older, the rest newer", acknowledged=1_260, answered=128, repeated=2)


def test_every_part_is_tried_alone_beside_the_rest_in_both_directions() -> None:
    tried = [arrangement.sides for arrangement in arrangements() if arrangement.replicas == 1]
    assert all(set(sides) == set(PARTS) for sides in tried)
    alone = {(part, sides[part]) for sides in tried for part in PARTS if list(sides.values()).count(sides[part]) == 1}
    assert alone == {(part, side) for part in PARTS for side in ("older", "newer")}


def test_every_process_of_an_arrangement_can_be_started(tmp_path: Path) -> None:
    with machine(tmp_path, {"older": this(), "newer": this()}, print) as lent:
        for arrangement in arrangements():
            with lent.planned(arrangement.replicas) as plan:
                programs = [*service_programs(plan), edge_program(plan, str(tmp_path / "run"))]
                assert {program.name for program in programs} == set(arrangement.sides)


def test_replicas_are_one_of_each_release_and_the_older_of_each_service_is_rolled() -> None:
    still, rolled = [arrangement for arrangement in arrangements() if arrangement.replicas == 2]
    for service in SERVICES:
        assert {rolled.sides[f"{service}-1"], rolled.sides[f"{service}-2"]} == {"older", "newer"}
    assert rolled.rolled == [f"{service}-2" for service in SERVICES]
    assert not still.rolled


@pytest.mark.parametrize(
    "worse",
    [
        {"lost": 1},
        {"doubled": 1},
        {"out_of_order": 1},
        {"failed": ["users-2 has ended"]},
        {"acknowledged": 0},
        {"answered": 0},
    ],
)
def test_one_arrangement_in_which_something_is_wrong_or_nothing_was_tried_is_enough(worse: dict[str, Any]) -> None:
    assert is_sound([_SOUND, _SOUND])
    assert not is_sound([_SOUND, replace(_SOUND, **worse)])
    assert not is_sound([])


def test_the_table_has_a_line_for_each_arrangement_and_says_below_what_failed_once() -> None:
    failed = replace(_SOUND, arrangement="a replica of each", lost=3, failed=["users-2 has ended"] * 2)
    lines = table("aaaa", "bbbb", [_SOUND, failed]).splitlines()
    assert lines[0] == "older: aaaa, newer: bbbb"
    assert lines[1].split()[:2] == ["arrangement", "acknowledged"]
    assert " ".join(lines[2].split()) == "users older, the rest newer 1,260 0 0 0 128 2 0"
    assert " ".join(lines[3].split()) == "a replica of each 1,260 3 0 0 128 2 2"
    assert lines[4:] == ["a replica of each: users-2 has ended", "THEY DO NOT WORK TOGETHER"]


def test_the_summary_for_machines_says_the_same() -> None:
    told = summary("aaaa", "bbbb", [_SOUND])
    assert (told["older"], told["newer"], told["is_sound"]) == ("aaaa", "bbbb", True)
    assert told["arrangements"][0]["acknowledged"] == _SOUND.acknowledged
