"""What is done to a suite follows from a seed."""

from itertools import islice

import pytest

from services.stack.chaos.kinds import KINDS, parse_kinds
from services.stack.chaos.links import links
from services.stack.chaos.schedule import schedule
from services.stack.chaos.steps import Step
from services.stack.trouble import Trouble
from tests.stack.chaos.chosen import REPLICAS

_ALL = list(KINDS.values())


def _steps(seed: int, count: int) -> list[Step]:
    return list(islice(schedule(seed, _ALL, REPLICAS), count))


def test_the_same_seed_gives_the_same_steps_and_another_one_others() -> None:
    assert list(map(repr, _steps(7, 100))) == list(map(repr, _steps(7, 100)))
    assert list(map(repr, _steps(7, 100))) != list(map(repr, _steps(8, 100)))


def test_each_kind_comes_once_alone_before_any_two_come_together() -> None:
    steps = _steps(1, len(_ALL) + 100)
    assert sorted(step.kind for step in steps[: len(_ALL)]) == sorted(KINDS)
    assert [step.kind for step in steps[: len(_ALL)]] != list(KINDS)
    together = [step.kind.split("+") for step in steps[len(_ALL) :]]
    assert {kind for kinds in together for kind in kinds} == set(KINDS)
    assert sum(len(kinds) == 2 for kinds in together) > 50


def test_of_two_that_touch_the_same_only_one_happens() -> None:
    steps = islice(schedule(1, parse_kinds("kill"), dict.fromkeys(REPLICAS, 1)), 200)
    for step in steps:
        names = step.name.split(", and ")
        assert len(set(names)) == len(names) == step.kind.count("kill")


def test_names_are_read_and_a_wrong_one_is_a_sentence() -> None:
    assert [kind.name for kind in parse_kinds("pause, kill,pause")] == ["pause", "kill"]
    assert parse_kinds("") == _ALL
    with pytest.raises(Trouble, match=r"there is no kind 'kil' of disturbance: kill, pause, "):
        parse_kinds("cut,kil")


def test_links_are_those_of_processes_that_ask_one_another() -> None:
    found = links(REPLICAS)
    assert len(set(found)) == len(found)
    assert {("edge", "files-http"), ("rooms", "users"), ("messages-2", "nats"), ("files", "messages-1")} < set(found)
    assert not {("files", "nats"), ("messages-1", "messages-2"), ("users", "files")} & set(found)
