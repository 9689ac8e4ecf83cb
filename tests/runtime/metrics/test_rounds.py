"""The rounds of what works by itself: their number, and how long ago the last good one was."""

from services.runtime.metrics.registry import Metrics
from services.runtime.metrics.rounds import Rounds, measure_rounds
from tests.support.clock import ManualClock


def test_a_round_that_fails_makes_nothing_younger() -> None:
    clock = ManualClock()
    rounds, metrics = Rounds(clock), Metrics()
    measure_rounds(metrics, "fishing", "caught what there was", rounds)
    clock.jump(5)
    assert rounds.age == 5
    rounds.succeed()
    clock.jump(2)
    rounds.fail()
    metrics.take()
    samples = [sample for family in metrics.registry.collect() for sample in family.samples]
    told = {(one.name, *one.labels.values()): one.value for one in samples}
    assert told == {
        ("chatkit_fishing_rounds_total", "done"): 1,
        ("chatkit_fishing_rounds_total", "failed"): 1,
        ("chatkit_fishing_age_seconds",): 2,
    }
