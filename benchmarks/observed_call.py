"""What a service keeps of every call for figures, lines of the log and spans, timed by itself."""

import timeit
from time import process_time
from types import SimpleNamespace
from typing import Any, cast

from chatkit.messages.v1 import messages_service_pb2

from services.runtime.calls.call import Call, Context
from services.runtime.calls.observing import Observer
from services.runtime.contract.policies import methods_of
from services.runtime.metrics.registry import Metrics
from services.runtime.tracing.trace import current

_CALLS, _TIMES = 10_000, 5
_MICROSECONDS = 1_000_000
_STAGES = ("committer's queue", "lock and read", "write and commit")
# As they come from the edge, without a sample.
_METADATA = (
    ("user-agent", "a client"),
    ("authorization", "Bearer a token"),
    ("x-request-id", "0c5dfbd3-0a51-4b43-a3a3-31d33a8e9d9c"),
    ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"),
)


def observed_call_us() -> float:
    """Return the microseconds that go into it for a send that ends well."""
    methods = methods_of(messages_service_pb2.DESCRIPTOR.services_by_name["MessagesService"])
    send = next(one for one in methods if one.name == "SendMessage")
    method = Observer(Metrics()).of(send)
    context = cast("Context", SimpleNamespace(invocation_metadata=lambda: _METADATA))
    call = cast("Call", SimpleNamespace(user_id="alice", query=SimpleNamespace(room_id="lobby")))

    def one() -> None:
        seen = method.begin(context)
        seen.admitted(call)
        trace: Any = current.get()
        for stage in _STAGES:
            trace.add(stage, trace.began)
        seen.answers()
        seen.end("OK")

    # In CPU time, as that of whole sends is told, so that others on the machine change it little.
    return min(timeit.repeat(one, timer=process_time, number=_CALLS, repeat=_TIMES)) / _CALLS * _MICROSECONDS
