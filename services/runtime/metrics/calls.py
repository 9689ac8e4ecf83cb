"""What is measured of calls: how many, how they ended, how long they took.

The names and labels are those of the gRPC ecosystem's own middlewares, for which there are dashboards.
"""

from collections import Counter
from time import perf_counter

from services.runtime.contract.policies import MethodContract
from services.runtime.metrics.registry import Metrics

_LABELS = ("grpc_type", "grpc_service", "grpc_method")
_TYPES = {
    (False, False): "unary",
    (True, False): "client_stream",
    (False, True): "server_stream",
    (True, True): "bidi_stream",
}


class CallMetrics:
    """What is measured of the calls of a process."""

    def __init__(self, metrics: Metrics) -> None:
        self.handled: Counter[tuple[str, ...]] = Counter()
        self.errors: Counter[tuple[str, ...]] = Counter()
        self.open: Counter[tuple[str, ...]] = Counter()
        self.seconds = metrics.histograms(
            "grpc_server_handling_seconds", "How long calls took that are no streams, from their arrival on", _LABELS
        )
        self.opening_seconds = metrics.histograms(
            "chatkit_stream_opening_seconds", "How long streams took to their first answer", _LABELS
        )
        metrics.count(
            "grpc_server_handled",
            "Calls and streams that have ended, by the code that was told",
            lambda: self.handled,
            (*_LABELS, "grpc_code"),
        )
        metrics.count(
            "chatkit_errors",
            "Calls that were refused and streams that were ended, by the reason that was told",
            lambda: self.errors,
            (*_LABELS, "reason"),
        )
        metrics.gauge("chatkit_streams_open", "Streams that are open", lambda: self.open, _LABELS)

    def of(self, method: MethodContract) -> "MethodMetrics":
        """Return what measures the calls of a method."""
        return MethodMetrics(self, method)

    def answers(self) -> Counter[tuple[str, str]]:
        """Return how often each method has answered with each code, by its path and the code's name."""
        handled = self.handled.items()
        return Counter({(f"/{service}/{name}", code): count for (_, service, name, code), count in handled})


class MethodMetrics:
    """Measures the calls of one method."""

    def __init__(self, calls: CallMetrics, method: MethodContract) -> None:
        service, _, name = method.path.removeprefix("/").partition("/")
        labels = self.labels = (_TYPES[method.streams_requests, method.streams], service, name)
        self.calls = calls
        self.is_stream = method.streams
        self.durations = (calls.opening_seconds if method.streams else calls.seconds)[labels]
        # Bound once, because to find a figure by its labels costs as much as to count.
        self.observe = self.durations.observe

    def begin(self) -> "MeasuredCall":
        """Measure a call, which has arrived; its end must be told."""
        if self.is_stream:
            self.calls.open[self.labels] += 1
        return MeasuredCall(self)


class MeasuredCall:
    """Measures one call."""

    __slots__ = ("_began", "_has_ended", "_is_observed", "_of", "_seconds")

    def __init__(self, of: MethodMetrics) -> None:
        self._of = of
        self._began = perf_counter()
        self._seconds = 0.0
        self._is_observed = self._has_ended = False

    def answers(self) -> bool:
        """Hear that an answer goes out; tell whether it is the first one, which alone is of interest."""
        is_first = not self._is_observed
        if is_first:
            self._is_observed = True
            self._seconds = perf_counter() - self._began
            self._of.observe(self._seconds)
        return is_first

    def exemplify(self, trace_id: str) -> None:
        """Hear that a line of the log, or a span, tells of the call in this trace; it has answered, or ended."""
        self._of.durations.exemplify(self._seconds, trace_id)

    def end(self, code: str, reason: str = "") -> bool:
        """Hear that the call has ended, and why it did if it failed; tell whether it is the first end: that counts."""
        if self._has_ended:
            return False
        self._has_ended = True
        calls, labels = self._of.calls, self._of.labels
        calls.handled[*labels, code] += 1
        if reason:
            calls.errors[*labels, reason] += 1
        if self._of.is_stream:
            calls.open[labels] -= 1
        else:
            self.answers()
        return True
