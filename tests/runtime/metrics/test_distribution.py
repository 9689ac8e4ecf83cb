"""How values are distributed, and of which of them a trace can be found."""

from prometheus_client.samples import Exemplar

from services.runtime.metrics.distribution import Bucket, Distribution

_BOUNDS = (1, 2)


def _examples(distribution: Distribution) -> dict[str, Exemplar]:
    _, buckets, _ = distribution.sample(())
    return {bucket[0]: bucket[2] for bucket in buckets if len(bucket) == 3 and bucket[2] is not None}


def _counts(buckets: list[Bucket]) -> list[tuple[str, int]]:
    return [bucket[:2] for bucket in buckets]


def test_values_are_counted_in_their_bucket_and_those_above_it() -> None:
    distribution = Distribution(_BOUNDS)
    for value in (0.5, 1.0, 1.5, 7.0):
        distribution.observe(value)
    assert distribution.sample(("a",)) == (("a",), [("1.0", 2), ("2.0", 3), ("+Inf", 4)], 10.0)


def test_each_bucket_has_its_last_example_alone() -> None:
    distribution = Distribution(_BOUNDS)
    for value, trace_id in ((0.5, "a"), (1.0, "b"), (7.0, "c"), *((9.0, f"{number}") for number in range(100))):
        distribution.observe(value)
        distribution.exemplify(value, trace_id)
    found = _examples(distribution)
    assert {name: (one.labels["trace_id"], one.value) for name, one in found.items()} == {
        "1.0": ("b", 1.0),
        "+Inf": ("99", 9.0),
    }
    # What is counted is what it was.
    assert _counts(distribution.sample(())[1]) == [("1.0", 2), ("2.0", 2), ("+Inf", 103)]
