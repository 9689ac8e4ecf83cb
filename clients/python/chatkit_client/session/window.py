"""The newest messages of a room without a hole, and older ones in front of them as they are loaded."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from chatkit_client.messages import Messages
from chatkit_client.proto.messages.v1 import message_pb2, room_event_pb2


class Window:
    """The messages of a room from one seq on; at most so many, and as many more as were asked for."""

    def __init__(self, most: int, first_seq: int = 0, oldest_seq: int = 0) -> None:
        # From here on all messages are here.
        self.first_seq = first_seq
        self.has_older = first_seq > oldest_seq
        self._messages = Messages()
        self._most = most
        # While older ones are loaded, what happens to these is kept: the page may show them as they were.
        self._loads = 0

    def __iter__(self) -> Iterator[message_pb2.Message]:
        """Iterate over the messages that are there, from older to newer."""
        return (message for message in self._messages if message.seq >= self.first_seq)

    def see(self, event: room_event_pb2.RoomEvent) -> None:
        """Take an event of the log, or the opening of a stream that begins anew."""
        self._messages.see(event)
        if not self._loads:
            self._trim()

    def resume(self, event: room_event_pb2.RoomEvent) -> bool:
        """Take the opening of a stream that goes on, and return whether some of the oldest are there no longer."""
        first = next(iter(self), None)
        self._messages.see(event)
        return first is not None and first.seq < event.opened.oldest_seq

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Keep what happens to messages that are about to come."""
        self._loads += 1
        try:
            yield
        finally:
            self._loads -= 1

    def put_older(self, messages: Iterable[message_pb2.Message], *, are_all: bool) -> int:
        """Take a page of the messages before the first one, and return how many of it are new here."""
        new = [message for message in messages if message.seq < self.first_seq]
        for message in new:
            self._messages.put(message)
        self._most += len(new)
        self.first_seq = min([self.first_seq, *(message.seq for message in new)])
        self.has_older = not are_all
        return len(new)

    def _trim(self) -> None:
        first_seq = self._messages.keep(self.first_seq, self._most)
        if first_seq > self.first_seq:
            self.first_seq, self.has_older = first_seq, True
