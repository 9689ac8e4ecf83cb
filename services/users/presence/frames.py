"""Frames of SubscribePresence as bytes: each is a response of its own, and several joined are one again."""

from datetime import datetime

from chatkit.contract.v1 import stream_pb2
from chatkit.users.v1 import presence_event_pb2 as event_pb2
from chatkit.users.v1 import presence_service_pb2 as service_pb2

from services.runtime.contract.errors import ChatkitError
from services.runtime.contract.timestamps import timestamp
from services.runtime.streaming.open_streams import closed
from services.users.model import Presence
from services.users.protos import presence_proto


def opened_event(now: datetime) -> bytes:
    """Serialize, as a frame, that the stream is open."""
    return _frame(event_pb2.PresenceEvent(time=timestamp(now), opened=event_pb2.PresenceOpened()))


def presence_event(now: datetime, user_id: str, presence: Presence) -> bytes:
    """Serialize, as a frame, how it stands with a user."""
    return _frame(event_pb2.PresenceEvent(time=timestamp(now), presence=presence_proto(user_id, presence)))


def caught_up_event(now: datetime) -> bytes:
    """Serialize, as a frame, that the state is complete."""
    return _frame(event_pb2.PresenceEvent(time=timestamp(now), caught_up=event_pb2.PresenceCaughtUp()))


def changed_event(time: datetime, user_id: str, presence: Presence) -> bytes:
    """Serialize, as a frame, that a user came or went."""
    return _frame(event_pb2.PresenceEvent(time=timestamp(time), presence_changed=presence_proto(user_id, presence)))


def heartbeat_event(time: datetime) -> bytes:
    """Serialize, as a frame, a sign of life: all that was until then was sent."""
    return _frame(event_pb2.PresenceEvent(time=timestamp(time), heartbeat=stream_pb2.StreamHeartbeat()))


def closed_event(now: datetime, error: ChatkitError) -> bytes:
    """Serialize, as a frame, why a stream ends."""
    return _frame(event_pb2.PresenceEvent(time=timestamp(now), closed=closed(error)))


def _frame(event: event_pb2.PresenceEvent) -> bytes:
    return service_pb2.SubscribePresenceResponse(events=[event]).SerializeToString()
