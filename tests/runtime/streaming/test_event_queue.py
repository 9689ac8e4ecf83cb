"""The queue of one stream does as a plain list would that has its bounds, whatever happens to it."""

from collections.abc import Callable

from hypothesis import settings

from services.runtime.identity.tokens import Caller
from services.runtime.streaming.event_queue import EventQueue
from tests.runtime.streaming.queue_machine import QueueMachine
from tests.support.clock import ManualClock


class _Queue(EventQueue):
    def __init__(self, caller: Caller, clock: ManualClock, may_send: Callable[[], bool]) -> None:
        super().__init__(caller, clock)
        self._is_allowed = may_send

    def _may_send(self) -> bool:
        return self._is_allowed()


class _Machine(QueueMachine):
    def __init__(self) -> None:
        super().__init__(_Queue)


TestEventQueue = _Machine.TestCase
TestEventQueue.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
