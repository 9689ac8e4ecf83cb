"""What is tried of two releases together, and when they are said to work."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from services.stack.machine.processes import edge_program, service_programs
from services.stack.proof.history import Arrival, Entry, History, Kind, Outcome, Stream, Write
from services.stack.proof.verdict import judge
from services.stack.roles import SERVICES
from tests.checks.mixed.arrangements import PARTS, Migration, Restart, arrangements
from tests.checks.mixed.counts import Counts, is_sound, summary, table
from tests.checks.mixed.processes import machine
from tests.checks.mixed.releases import this

_SOUND = Counts("users older, the rest newer", acknowledged=1_260, arrived=9_870, answered=128, repeated=2)
_SENT = Write("lobby", "ada", Kind.SEND, "hello", 1.0, 2.0, Outcome.ACKNOWLEDGED, seq=1, message_seq=1)
_ENTRY = Entry(1, Kind.SEND, 1, "hello")


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
    _, still, rolled = [arrangement for arrangement in arrangements() if arrangement.replicas == 2]
    for service in SERVICES:
        assert {rolled.sides[f"{service}-1"], rolled.sides[f"{service}-2"]} == {"older", "newer"}
    assert [*rolled.steps[::2]] == [Restart(f"{service}-2", "newer") for service in SERVICES]
    assert [*rolled.steps[1::2]] == [Restart(f"{service}-2", "older") for service in SERVICES]
    assert not still.steps


def test_first_the_schemas_of_a_deployment_become_newer_while_it_is_older_and_then_each_process() -> None:
    upgraded, *others = arrangements()
    assert set(upgraded.sides.values()) == {"older"}
    assert (upgraded.schemas, upgraded.steps[0]) == ("older", Migration("newer"))
    assert [*upgraded.steps[1:5]] == [Restart(f"{service}-1", "older") for service in SERVICES]
    assert [*upgraded.steps[5:]] == [Restart(process, "newer") for process in upgraded.sides]
    assert len(upgraded.sides) == 2 * len(SERVICES) + 1
    assert {other.schemas for other in others} == {"newer"}


@pytest.mark.parametrize(
    "worse",
    [
        {"broken": {"LOST": 1}},
        {"failed": ["users-2 has ended"]},
        {"acknowledged": 0},
        {"arrived": 0},
        {"answered": 0},
    ],
)
def test_one_arrangement_in_which_something_is_wrong_or_nothing_was_tried_is_enough(worse: dict[str, Any]) -> None:
    assert is_sound([_SOUND, _SOUND])
    assert not is_sound([_SOUND, replace(_SOUND, **worse)])
    assert not is_sound([])


def test_what_the_verdict_says_is_counted_by_rule_and_makes_an_arrangement_fail() -> None:
    arrivals = [Arrival(_ENTRY, 3.0)]
    stream = Stream("lobby", "ben", 0.0, is_resumed=False, after=0, arrivals=arrivals)
    counts = Counts("users older, the rest newer", answered=128)
    counts.take(judge(History([_SENT], [stream], logs={"lobby": [_ENTRY]}), leak_seconds=0.0))
    assert (counts.acknowledged, counts.arrived, counts.troubles, counts.is_sound) == (1, 1, [], True)
    counts = Counts("users older, the rest newer", answered=128)
    twice = replace(stream, arrivals=arrivals * 3)
    counts.take(judge(History([_SENT], [twice], logs={"lobby": [_ENTRY]}), leak_seconds=0.0))
    assert counts.broken == {"DOUBLED": 2}
    assert counts.troubles == [
        "BROKEN: a write is there once (2 times)",
        "DOUBLED: lobby: a stream of ben has brought 1 twice",
    ]
    assert not counts.is_sound


def test_the_table_has_a_line_for_each_arrangement_and_says_below_what_was_wrong_once() -> None:
    broken, faults = {"LOST": 3}, ["LOST: lobby: 1 is not there"]
    failed = replace(_SOUND, arrangement="a replica of each", broken=broken, faults=faults, failed=["it has ended"] * 2)
    lines = table("aaaa", "bbbb", [_SOUND, failed]).splitlines()
    assert lines[0] == "older: aaaa, newer: bbbb"
    assert lines[1].split()[:2] == ["arrangement", "acknowledged"]
    assert " ".join(lines[2].split()) == "users older, the rest newer 1,260 9,870 0 0 128 2 0"
    assert " ".join(lines[3].split()) == "a replica of each 1,260 9,870 0 3 128 2 2"
    assert lines[4:] == [
        "a replica of each: BROKEN: what was acknowledged is there (3 times)",
        "a replica of each: LOST: lobby: 1 is not there",
        "a replica of each: it has ended",
        "THEY DO NOT WORK TOGETHER",
    ]


def test_the_summary_for_machines_says_the_same() -> None:
    told = summary("aaaa", "bbbb", [_SOUND])
    assert (told["older"], told["newer"], told["is_sound"]) == ("aaaa", "bbbb", True)
    assert told["arrangements"] == [asdict(_SOUND)]
