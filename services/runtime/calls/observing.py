"""What is seen of calls from outside: figures of all; of some a line of the log with their stages, and spans.

Of those that fail by our fault, that take long, or of which a sample is wanted. What is refused is the caller's fault,
and callers could fill disks with it: it gets a few lines a second, which say how many others there were.
"""

from time import monotonic
from typing import Any

import structlog

from services.runtime.calls.call import Call, Context
from services.runtime.contract.errors import ChatkitError
from services.runtime.contract.policies import MethodContract
from services.runtime.metrics.calls import CallMetrics, MeasuredCall, MethodMetrics
from services.runtime.metrics.registry import Metrics
from services.runtime.seldom import Seldom
from services.runtime.tracing.context import REQUEST_ID, TRACEPARENT
from services.runtime.tracing.spans import Spans
from services.runtime.tracing.trace import Trace, current

_log = structlog.get_logger()
# What callers can't do anything about; a deadline may be any that they like.
FAULTS = frozenset({"DATA_LOSS", "INTERNAL", "UNAVAILABLE", "UNKNOWN"})
# Whoever ends says so to thousands at once, and means no harm.
_ENDINGS = frozenset({"SHUTTING_DOWN"})
_MOST_REFUSALS_A_SECOND = 5


class Observer:
    """Sees the calls of a process; `slow_seconds` is what takes long for one that is no stream."""

    def __init__(self, metrics: Metrics, spans: Spans | None = None, slow_seconds: float = 1.0) -> None:
        self.figures = CallMetrics(metrics)
        self.spans = spans
        self.slow_seconds = slow_seconds
        self._refusals = Seldom(_MOST_REFUSALS_A_SECOND)

    def of(self, method: MethodContract) -> "ObservedMethod":
        """Return what sees the calls of a method."""
        return ObservedMethod(self, method)

    def tell(
        self, method: str, trace: Trace, seconds: float, code: str, error: ChatkitError | None, cause: Exception | None
    ) -> None:
        """Write a line about a call that has ended, or a stream that has begun, and make spans of it."""
        line = _line(method, trace, seconds, code, error)
        if error is not None and code == "INTERNAL":
            line.error("call", error_id=error.metadata.get("error_id", ""), exc_info=cause)
        elif error is not None and code in FAULTS:
            line.warning("call", message=error.message)
        elif seconds >= self.slow_seconds:
            line.warning("call")
        else:
            line.info("call")
        if self.spans is not None:
            attributes = attributes_of(method, trace, code, error)
            is_error = code in FAULTS
            self.spans.tell(method.removeprefix("/"), "SERVER", trace, seconds, attributes, is_error=is_error)

    def tell_refusal(self, method: str, trace: Trace, seconds: float, code: str, error: ChatkitError) -> None:
        """Write a line about what was the caller's fault, if there were not too many of them."""
        unsaid = self._refusals.take()
        if unsaid is not None:
            _line(method, trace, seconds, code, error).info("call_refused", unsaid=unsaid)


class ObservedMethod:
    """Sees the calls of one method."""

    def __init__(self, observer: Observer, method: MethodContract) -> None:
        self.observer = observer
        self.path = method.path
        self.is_stream = method.streams
        # How long a call takes that brings a stream is its caller's affair.
        self.slow_seconds = float("inf") if method.streams or method.streams_requests else observer.slow_seconds
        self._figures: MethodMetrics = observer.figures.of(method)

    def begin(self, context: Context) -> "ObservedCall":
        """See a call, which has arrived; its end must be told."""
        traceparent = request_id = ""
        for key, value in context.invocation_metadata() or ():
            if key == TRACEPARENT:
                traceparent = str(value)
            elif key == REQUEST_ID:
                request_id = str(value)
        trace = Trace(traceparent, request_id)
        current.set(trace)
        return ObservedCall(self, self._figures.begin(), trace)


class ObservedCall:
    """Sees one call."""

    __slots__ = ("_measured", "_method", "_trace")

    def __init__(self, method: ObservedMethod, measured: MeasuredCall, trace: Trace) -> None:
        self._method = method
        self._measured = measured
        self._trace = trace

    def admitted(self, call: Call) -> None:
        """Hear that the call was let in."""
        trace = self._trace
        trace.user_id = call.user_id or ""
        if call.query is not None:
            trace.room_id = call.query.room_id
        trace.add("admission", trace.began)

    def answers(self) -> None:
        """Hear that an answer goes out. What is seen of a stream is how it begins; it may last for days."""
        if self._measured.answers() and self._method.is_stream:
            if self._trace.is_sampled:
                self._measured.exemplify(self._trace.parent.trace_id)
                self._method.observer.tell(self._method.path, self._trace, self._seconds(), "OK", None, None)
            self._trace.close()

    def end(self, code: str, error: ChatkitError | None = None, cause: Exception | None = None) -> None:
        """Hear that the call has ended, and what its caller is told if it failed, and why; the first ending counts."""
        if not self._measured.end(code, error.reason if error else ""):
            return
        seconds, method, observer = self._seconds(), self._method, self._method.observer
        if error is not None and error.reason in _ENDINGS:
            return
        is_sampled = self._trace.is_sampled and not method.is_stream
        if is_sampled or code in FAULTS or seconds >= method.slow_seconds:
            if not method.is_stream:
                self._measured.exemplify(self._trace.parent.trace_id)
            observer.tell(method.path, self._trace, seconds, code, error, cause)
        elif error is not None:
            observer.tell_refusal(method.path, self._trace, seconds, code, error)

    def _seconds(self) -> float:
        return monotonic() - self._trace.began


def _line(method: str, trace: Trace, seconds: float, code: str, error: ChatkitError | None) -> Any:
    """Begin a line about a call; what its time went into is told in seconds."""
    stages: dict[str, float] = {}
    for one in trace.stages:
        stages[one.name] = round(stages.get(one.name, 0.0) + one.ended - one.began, 6)
    return _log.bind(
        method=method,
        code=code,
        reason=error.reason if error else "",
        user_hash=trace.user_hash,
        room=trace.room_id,
        request_id=trace.request_id,
        trace_id=trace.parent.trace_id,
        seconds=round(seconds, 6),
        stages=stages,
    )


def attributes_of(method: str, trace: Trace, code: str, error: ChatkitError | None) -> dict[str, Any]:
    """Describe a call by OpenTelemetry's conventions, where those have a name."""
    return {
        "rpc.system.name": "grpc",
        "rpc.method": method.removeprefix("/"),
        "rpc.response.status_code": code,
        "http.request.header.x-request-id": trace.request_id,
        "chatkit.reason": error.reason if error else "",
        "user.hash": trace.user_hash,
        "chatkit.room_id": trace.room_id,
        **trace.attributes,
    }
