"""The sketch of who sends most tells what it promises, whatever is sent, beside a plain count."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from services.messages.heaviest_senders import HeaviestSenders, SpaceSaving
from services.runtime.ids import UserId
from tests.support.clock import ManualClock

# Some send much, and there are more of them than counters.
_senders = st.lists(
    st.one_of(st.sampled_from("abc"), st.integers(0, 30).map(str)).map(UserId), min_size=1, max_size=300
)


@given(sent=_senders, counters=st.integers(1, 12))
def test_who_sends_much_is_there_and_no_count_is_off_by_more_than_it_says(sent: list[UserId], counters: int) -> None:
    sketch, real = SpaceSaving(counters), Counter(sent)
    for user_id in sent:
        sketch.count(user_id)
    told = {one.user_id: one for one in sketch.heaviest()}
    assert len(told) == min(counters, len(real))
    assert sketch.messages == sum(one.messages for one in told.values()) == len(sent)
    for user_id, one in told.items():
        assert one.messages - one.too_many <= real[user_id] <= one.messages
        assert one.too_many <= len(sent) / counters
    assert {user_id for user_id, count in real.items() if count > len(sent) / counters} <= told.keys()
    counts = [one.messages for one in sketch.heaviest()]
    assert counts == sorted(counts, reverse=True)


def test_what_is_told_is_of_this_window_and_of_the_one_before() -> None:
    clock = ManualClock()
    senders = HeaviestSenders(clock, counters=2, window_seconds=60)
    for user_id in "aab":
        senders.count(UserId(user_id))
    clock.jump(70)
    senders.count(UserId("c"))
    last = [
        {"user_id": "a", "messages": 2, "too_many": 0},
        {"user_id": "b", "messages": 1, "too_many": 0},
    ]
    assert senders.told() == {
        "counters": 2,
        "current": {"seconds": 10, "messages": 1, "senders": [{"user_id": "c", "messages": 1, "too_many": 0}]},
        "last": {"seconds": 60, "messages": 3, "senders": last},
    }
    # Nobody sent for a whole window, which is the last one then.
    clock.jump(115)
    nothing = {"messages": 0, "senders": []}
    assert senders.told() == {
        "counters": 2,
        "current": {"seconds": 5, **nothing},
        "last": {"seconds": 60, **nothing},
    }
