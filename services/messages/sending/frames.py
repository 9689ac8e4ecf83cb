"""The events of a stream of sends as bytes, each as a frame."""

from datetime import datetime

from chatkit.contract.v1 import stream_pb2
from chatkit.messages.v1 import send_event_pb2

from services.messages.frames import in_frame, send_result
from services.runtime.contract.errors import ChatkitError
from services.runtime.contract.timestamps import timestamp
from services.runtime.contract.wire import counted, embedded
from services.runtime.streaming.open_streams import closed

_NUMBER = send_event_pb2.SendEvent.NUMBER_FIELD_NUMBER
_RESULT = send_event_pb2.SendEvent.RESULT_FIELD_NUMBER


def result_event(number: int, result: bytes | ChatkitError) -> bytes:
    """Serialize what became of a message of the stream."""
    return in_frame(counted(_NUMBER, number) + embedded(_RESULT, send_result(result)))


def token_expiring_event(expire_time: datetime) -> bytes:
    """Serialize that the stream is about to end with its token."""
    expiring = stream_pb2.TokenExpiring(expire_time=timestamp(expire_time))
    return in_frame(send_event_pb2.SendEvent(token_expiring=expiring).SerializeToString())


def closed_event(error: ChatkitError) -> bytes:
    """Serialize why the stream ends."""
    return in_frame(send_event_pb2.SendEvent(closed=closed(error)).SerializeToString())


# A sign of life.
HEARTBEAT = in_frame(send_event_pb2.SendEvent(heartbeat=stream_pb2.StreamHeartbeat()).SerializeToString())
