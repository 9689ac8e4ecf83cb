"""What is under way is answered in the order of its room, and there is so much of it at the most."""

import asyncio

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.messages.sending.under_way import MOST_BYTES, MOST_MESSAGES, Sent, UnderWay
from services.runtime.deadline import Deadline
from tests.support.clock import ManualClock, deadlines_by

rooms = st.sampled_from(["lobby", "attic", "cellar"])
sizes = st.sampled_from([1, 100, 5_000, 60_000])


class _Machine(RuleBasedStateMachine):
    """Messages of some rooms, answered in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.under_way = UnderWay()
        self.place = self.loop.create_task(self.under_way.wait_for_place())
        # The model: what was sent of each room, the sizes of its messages and then of their results, and what came.
        self.sent: list[Sent] = []
        self.sizes: dict[int, int] = {}
        self.answered: set[int] = set()
        self.released: list[int] = []
        self.untaken = 0

    @property
    def waiting(self) -> list[int]:
        """The messages that are under way, by their numbers."""
        return [one.number for one in self.sent if one.number not in self.released]

    @property
    def has_place(self) -> bool:
        """Whether another message may be taken."""
        size = sum(self.sizes[number] for number in self.waiting)
        return len(self.waiting) < MOST_MESSAGES and size + self.untaken < MOST_BYTES

    @rule(room_id=rooms, size=sizes, count=st.sampled_from([1, 1, 1, 200]))
    def send(self, room_id: str, size: int, count: int) -> None:
        for _ in range(count):
            one = Sent(len(self.sent) + 1, room_id, Deadline.after(10), size)
            self.sent.append(one)
            self.sizes[one.number] = size
            self.under_way.add(one)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), size=sizes)
    def answer(self, data: st.DataObject, size: int) -> None:
        number = data.draw(st.sampled_from(self.waiting))
        one = self.sent[number - 1]
        # The first of two results is the one that counts.
        result = number.to_bytes(2, "big") + bytes(size)
        if number not in self.answered:
            self.answered.add(number)
            self.sizes[number] = len(result)
        came = [int.from_bytes(one[:2], "big") for one in self.under_way.answer(one, result)]
        of_room = [number for number in self.waiting if self.sent[number - 1].room_id == one.room_id]
        ready = []
        while of_room and of_room[0] in self.answered:
            ready.append(of_room.pop(0))
        assert came == ready
        self.released += came
        self.untaken += sum(self.sizes[number] for number in came)

    @rule()
    def beat(self) -> None:
        self.under_way.waits(10)
        self.untaken += 10

    @precondition(lambda self: self.untaken)
    @rule(data=st.data())
    def take(self, data: st.DataObject) -> None:
        size = data.draw(st.integers(1, self.untaken))
        self.under_way.taken(size)
        self.untaken -= size

    @rule()
    def ask_for_a_place(self) -> None:
        if self.place.done():
            self.place = self.loop.create_task(self.under_way.wait_for_place())

    @invariant()
    def whoever_waits_for_a_place_gets_it_when_there_is_one(self) -> None:
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.run_until_complete(asyncio.sleep(0))
        assert self.place.done() or not self.has_place
        assert self.under_way.is_empty == (not self.waiting)

    def teardown(self) -> None:
        """End whoever waits."""
        self.place.cancel()
        self.loop.run_until_complete(asyncio.gather(self.place, return_exceptions=True))
        self.loop.close()


TestUnderWay = _Machine.TestCase
TestUnderWay.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


async def test_nobody_gets_a_place_that_is_not_there() -> None:
    for count, size in ((MOST_MESSAGES, 1), (1, MOST_BYTES)):
        under_way = UnderWay()
        sent = [Sent(number, "lobby", Deadline.after(10), size) for number in range(count)]
        for one in sent:
            await under_way.wait_for_place()
            under_way.add(one)
        waiting = asyncio.create_task(under_way.wait_for_place())
        await asyncio.sleep(0)
        assert not waiting.done()
        under_way.answer(sent[0], b"")
        await waiting


async def test_what_has_no_result_when_its_deadline_is_over_is_overdue() -> None:
    clock = ManualClock()
    with deadlines_by(clock):
        under_way, sent = UnderWay(), []
        for number in range(1, 5):
            sent.append(Sent(number, "lobby", Deadline.after(10), 1))
            under_way.add(sent[-1])
            clock.jump(1)
        under_way.answer(sent[1], b"second")
        assert list(under_way.overdue()) == []
        clock.jump(8.5)
        assert list(under_way.overdue()) == [sent[0], sent[2]]
        assert under_way.answer(sent[0], b"first") == [b"first", b"second"]
        assert list(under_way.overdue()) == [sent[2]]
