"""A room's messages as they are, put together from a stream, pages and late events in any order.

Of each message the copy with the highest revision counts, so nothing has to be read in a certain order, or only once.
"""

from collections.abc import Iterator

from chatkit_client.proto.messages.v1 import message_pb2, room_event_pb2

_WITH_A_MESSAGE = {
    field.name
    for field in room_event_pb2.RoomEvent.DESCRIPTOR.oneofs_by_name["event"].fields
    if field.message_type is message_pb2.Message.DESCRIPTOR
}


def message_of(event: room_event_pb2.RoomEvent) -> message_pb2.Message | None:
    """Return the message that an event shows; None for one that shows none."""
    kind = event.WhichOneof("event")
    return getattr(event, kind) if kind in _WITH_A_MESSAGE else None


class Messages:
    """The newest known copy of each message."""

    def __init__(self) -> None:
        # Deleted ones, too: an older copy that comes late must find that it is old.
        self._copies: dict[int, message_pb2.Message] = {}
        self._gone: set[int] = set()
        self._oldest_seq = 0

    def __iter__(self) -> Iterator[message_pb2.Message]:
        """Iterate over the messages that are there, from older to newer."""
        return iter([self._copies[seq] for seq in sorted(self._copies) if self._is_there(seq)])

    def see(self, event: room_event_pb2.RoomEvent) -> None:
        """Take an event, of whatever kind."""
        kind = event.WhichOneof("event")
        message = message_of(event)
        if message is not None:
            self.put(message)
        elif kind == "message_gone":
            self._gone.add(event.message_gone.seq)
        elif kind == "opened":
            self._oldest_seq = max(self._oldest_seq, event.opened.oldest_seq)

    def put(self, message: message_pb2.Message) -> None:
        """Take a message as some answer has it."""
        known = self._copies.get(message.seq)
        if known is None or known.revision < message.revision:
            self._copies[message.seq] = message

    def keep(self, first_seq: int, most: int) -> int:
        """Keep at most so many, those before a seq not among them; return the seq from which on they are kept."""
        if len(self._copies) > most:
            seqs = sorted(seq for seq in self._copies if seq >= first_seq)
            if len(seqs) > most:
                first_seq = seqs[-most]
            self._copies = {seq: self._copies[seq] for seq in seqs if seq >= first_seq}
            self._gone = {seq for seq in self._gone if seq >= first_seq}
        return first_seq

    def clear(self) -> None:
        """Forget everything, because the log is another: after a Gap of the reason EPOCH."""
        self._copies.clear()
        self._gone.clear()
        self._oldest_seq = 0

    def _is_there(self, seq: int) -> bool:
        return seq >= self._oldest_seq and seq not in self._gone and not self._copies[seq].HasField("delete_time")
