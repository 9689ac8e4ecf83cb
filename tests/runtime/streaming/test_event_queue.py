"""The queue of one stream does as a plain list would that has its bounds, whatever happens to it."""

from hypothesis import settings

from tests.runtime.streaming.queue_machine import QueueMachine

TestEventQueue = QueueMachine.TestCase
TestEventQueue.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
