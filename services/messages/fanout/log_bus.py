"""What replicas tell one another over the bus: each entry once it is committed, so that all hubs may have it at once.

One subject carries the entries of all rooms: then a stream starts without waiting for the bus, what was appended within
some milliseconds travels together, and an entry that nobody here follows costs about four microseconds. A subject per
room would cost a subscription and a round trip per room, and 80 microseconds for every entry that is wanted.
"""

import struct
from datetime import UTC, datetime, timedelta
from uuid import UUID

from services.messages.fanout.deliveries import SpansOfOthers, packed
from services.messages.fanout.hubs import Hubs
from services.messages.model import EventKind, LogEntry
from services.runtime.bus.port import Bus
from services.runtime.data.epoch import Epoch
from services.runtime.ids import RoomUid
from services.runtime.tracing.context import SpanContext

# A room's uid, the epoch of the database, and a seq; 0 says only that the room's head is to be looked at.
_KEY = struct.Struct(">16s16sQ")
# Microseconds since 1970, before the serialized message of a creation.
_TIME = struct.Struct(">q")
# Before the message of an edit or a deletion: the same, the kind, and the message's seq.
_CHANGE = struct.Struct(">qBQ")
_KINDS = {int(kind): kind for kind in EventKind if kind is not EventKind.UNKNOWN}
_START, _TICK = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


class Announcements:
    """Hands new entries to this process's hubs and, over the bus, to those of the others."""

    def __init__(self, hubs: Hubs, epoch: Epoch, bus: Bus, subject: str, spans_subject: str) -> None:
        self._hubs = hubs
        self._epoch = epoch
        self._bus = bus
        self._subject = subject
        self._spans_subject = spans_subject

    async def listen(self) -> None:
        """Hear what other replicas append."""
        await self._bus.subscribe(self._spans_subject, SpansOfOthers(self._hubs.tally.deliveries))
        await self._bus.subscribe(self._subject, self)

    # What the committer tells.

    def sampled(self, room_uid: RoomUid, seq: int, span: SpanContext) -> None:
        """Have the delivery of an entry, which is about to be told, be a part of a trace, here and elsewhere."""
        deliveries = self._hubs.tally.deliveries
        if deliveries.makes_spans:
            deliveries.expect(room_uid, seq, span)
            self._bus.publish(self._spans_subject, *packed(room_uid, seq, span))

    def appended(self, room_uid: RoomUid, entry: LogEntry) -> None:
        """Hand a committed entry to the room's subscribers, here and elsewhere."""
        self._hubs.offer(room_uid, entry)
        time, message = (entry.time - _START) // _TICK, entry.message or b""
        if entry.kind is EventKind.CREATED:
            self._publish(room_uid, entry.seq, _TIME.pack(time) + message)
        else:
            payload = _CHANGE.pack(time, entry.kind, entry.message_seq) + message
            self._publish(room_uid, entry.seq, payload, is_change=True)

    def unknown(self, room_uid: RoomUid) -> None:
        """Look at the room's head at once, here and elsewhere."""
        self._hubs.unknown(room_uid)
        self._publish(room_uid, 0, b"")

    def _publish(self, room_uid: RoomUid, seq: int, payload: bytes, *, is_change: bool = False) -> None:
        epoch = self._epoch.value
        if epoch is not None:
            marked = _of_changes(epoch) if is_change else epoch.bytes
            self._bus.publish(self._subject, _KEY.pack(room_uid.bytes, marked, seq), payload)

    # What other replicas tell.

    def received(self, key: bytes, payload: bytes) -> None:
        """Take an entry, or look at the head where it can't be taken as it is.

        Raises a ValueError for a key that is none.
        """
        if len(key) != _KEY.size:
            raise ValueError("the key is not one of an entry")
        room_uid, epoch, seq = _KEY.unpack(key)
        room = RoomUid(UUID(bytes=room_uid))
        if not self._hubs.wants(room, seq):
            return
        entry = self._entry(epoch, seq, payload)
        if entry is None:
            self._hubs.unknown(room)
        else:
            self._hubs.offer(room, entry)

    def _entry(self, epoch: bytes, seq: int, payload: bytes) -> LogEntry | None:
        # An entry of another life of the database may be in no log any more.
        ours = self._epoch.value
        if ours is not None and epoch == ours.bytes and len(payload) > _TIME.size:
            return LogEntry.created(seq, _time(_TIME.unpack_from(payload)[0]), payload[_TIME.size :])
        if ours is not None and epoch == _of_changes(ours) and len(payload) > _CHANGE.size:
            time, kind, message_seq = _CHANGE.unpack_from(payload)
            if kind in _KINDS:
                return LogEntry.changed(seq, _time(time), payload[_CHANGE.size :], _KINDS[kind], message_seq)
        return None

    def missed(self) -> None:
        """Look at every head."""
        self._hubs.doubt_all()


def _of_changes(epoch: UUID) -> bytes:
    """Return what stands for the epoch where the entry is no creation.

    A replica of the release before knows only creations: it takes this for another life of the database, and looks at
    the room's head.
    """
    return bytes(byte ^ 0xFF for byte in epoch.bytes)


def _time(microseconds: int) -> datetime:
    return _START + _TICK * microseconds
