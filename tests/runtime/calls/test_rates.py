"""Whoever is too fast waits as long as the bucket says, and nobody else waits for them."""

from bisect import bisect_right

from hypothesis import given
from hypothesis import strategies as st

from services.runtime.calls.rates import Rate
from services.runtime.ids import UserId
from tests.support.clock import ManualClock

ALICE, BOB = UserId("alice"), UserId("bob")


async def test_a_burst_goes_at_once_and_what_follows_is_spread_evenly() -> None:
    clock = ManualClock()
    rate = Rate(10, clock)
    assert [rate.take(ALICE) for _ in range(20)] == [0.0] * 20
    assert [rate.take(ALICE) for _ in range(3)] == [0.1, 0.2, 0.3]
    # What is owed is waited for by whoever comes next, too.
    clock.jump(0.3)
    assert rate.take(ALICE) == 0.1
    clock.jump(60)
    assert [rate.take(ALICE) for _ in range(21)] == [0.0] * 20 + [0.1]


async def test_each_user_has_a_bucket_and_who_is_nobody_has_none() -> None:
    rate = Rate(1, ManualClock())
    assert [rate.take(ALICE) for _ in range(4)] == [0.0, 0.0, 1.0, 2.0]
    assert rate.take(BOB) == 0.0
    assert [rate.take(None) for _ in range(100)] == [0.0] * 100


async def test_so_many_users_are_remembered_and_who_was_quiet_for_the_longest_is_forgotten() -> None:
    rate = Rate(1, ManualClock(), remembered_users=2)
    carol = UserId("carol")
    for user in (ALICE, BOB, ALICE, carol):
        rate.take(user)
    assert rate.take(ALICE) == 1.0
    # Bob made way for carol, and starts with a full bucket.
    assert [rate.take(BOB) for _ in range(3)] == [0.0, 0.0, 1.0]


@given(
    per_second=st.integers(1, 50),
    pauses=st.lists(st.sampled_from([0.0, 0.0, 0.001, 0.03, 0.5, 3.0]), min_size=1, max_size=200),
)
def test_no_more_than_the_rate_and_a_burst_in_any_stretch_of_time(per_second: int, pauses: list[float]) -> None:
    clock = ManualClock()
    rate = Rate(per_second, clock)
    times = []
    for pause in pauses:
        clock.jump(pause)
        times.append(clock.monotonic() + rate.take(ALICE))
    assert times == sorted(times)
    for first, began in enumerate(times):
        for seconds in (0.0, 0.1, 1.0, 10.0):
            count = bisect_right(times, began + seconds) - first
            assert count <= 2 * per_second + seconds * per_second + 1e-6
