"""Which messages of streams have a trace of their own, and the span that is made of each of those.

A stream's span tells how it begins, and it may last for days. So messages begin traces, as calls do at the edge.
"""

import random
from collections.abc import Callable
from time import monotonic

from services.messages.log.outcomes import Appended, Result
from services.runtime.calls.observing import FAULTS, attributes_of
from services.runtime.seldom import Seldom
from services.runtime.tracing.spans import Spans
from services.runtime.tracing.trace import Trace

# The others that a process may tell of are left for calls.
_MOST_A_SECOND = 100
_METHOD = "/chatkit.messages.v1.MessagesService/SendMessages"


class Sampling:
    """Says which messages have a trace: all of a stream of which a sample is wanted, and of others a share."""

    def __init__(
        self, spans: Spans | None = None, percent: float = 0.0, chance: Callable[[], float] = random.random
    ) -> None:
        self._spans = spans
        self._share = percent / 100
        self._chance = chance
        self._places = Seldom(_MOST_A_SECOND)

    def begin(self, stream: Trace | None, *, is_wanted: bool) -> Trace | None:
        """Return the trace of a message that is taken from a stream now; None for most."""
        if not is_wanted and self._chance() >= self._share:
            return None
        if self._spans is None or self._places.take() is None:
            return None
        return Trace.beginning(stream.request_id if stream is not None else "")

    def end(self, trace: Trace, result: Result) -> None:
        """Make the span of a message that has its result."""
        error = None if isinstance(result, Appended) else result
        code = "OK" if error is None else error.code.name
        if self._spans is not None:
            attributes = attributes_of(_METHOD, trace, code, error)
            seconds = monotonic() - trace.began
            self._spans.tell("send", "PRODUCER", trace, seconds, attributes, is_error=code in FAULTS)
        trace.close()
