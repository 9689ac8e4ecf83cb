"""A room of a peer under load: its order, who has been given what, and what was acknowledged.

A peer gives everybody what was said, the sender too, in one order. The sender's own copy is the acknowledgement: it has
the id that the archive gave the message, so that it is stored.
"""

import re
import time
from collections.abc import Callable, Sequence

from benchmarks.load.timing import Window
from benchmarks.load.xmpp.client import Client, Stanzas

_END = b"</message>"
_IDS = re.compile(rb"<message[^>]* id='b([0-9a-f]{16})'")
_ARCHIVED, _ERROR = b"<stanza-id ", b"type='error'"


class RoomLog:
    """What is known of one room, over all who are in it."""

    def __init__(self, window: Window, *, counts_sends: bool) -> None:
        self._window = window
        self._counts_sends = counts_sends
        self.members: list[Member] = []
        # The messages as whoever was given them first was.
        self.order: list[bytes] = []
        self.seen: set[bytes] = set()
        self.acknowledged: dict[bytes, float] = {}
        self.delivered = 0
        # Sends that were acknowledged in the window.
        self.sends = 0
        self._left: dict[bytes, int] = {}
        self._complete_at: dict[bytes, float] = {}
        self.fault = ""
        self.on_change: Callable[[], None] = lambda: None

    def acknowledge(self, number: bytes, began: float) -> None:
        """Learn that a send is archived; `began` is when it was due."""
        self.acknowledged[number] = began
        if self._window.is_open:
            self.sends += 1
            if self._counts_sends:
                self._window.counted += 1
                self._window.durations.append(time.monotonic() - began)

    def deliver(self, numbers: Sequence[bytes]) -> None:
        """Learn that one member was given these."""
        self.delivered += len(numbers)
        if self._window.is_open and not self._counts_sends:
            self._window.counted += len(numbers)
        for number in numbers:
            left = self._left.get(number, len(self.members)) - 1
            self._left[number] = left
            if not left:
                self._complete_at[number] = time.monotonic()
                del self._left[number]

    def last_deliveries(self, begin: float, end: float) -> list[float]:
        """Return how long each send due in that time took to reach the last one."""
        return [
            self._complete_at[number] - began
            for number, began in self.acknowledged.items()
            if begin <= began <= end and number in self._complete_at
        ]

    @property
    def lost(self) -> int:
        """Deliveries that did not come, and sends that were not acknowledged."""
        missing = sum(len(self.order) - member.given for member in self.members)
        return missing + sum(len(member.unanswered) for member in self.members)

    @property
    def doubled(self) -> int:
        """Deliveries that came twice, or in another order than somebody else's."""
        return sum(member.out_of_order for member in self.members)

    @property
    def is_complete(self) -> bool:
        """Whether everybody has everything."""
        return all(member.given == len(self.order) and not member.unanswered for member in self.members)


class Member:
    """Somebody in the room, who may send."""

    def __init__(self, log: RoomLog, client: Client) -> None:
        self._log = log
        self._client = client
        self._stanzas = Stanzas(_END)
        self.given = self.out_of_order = 0
        # When each send was due, and what is done when it is acknowledged.
        self.unanswered: dict[bytes, tuple[float, Callable[[], None]]] = {}
        log.members.append(self)
        client.listener = self.hear

    def send(self, number: bytes, said: bytes, due: float, done: Callable[[], None]) -> None:
        """Send bytes in which this number stands."""
        self.unanswered[number] = (due, done)
        self._client.say(said)

    def hear(self, data: bytes) -> None:
        """Take a piece of what the peer sends."""
        whole = self._stanzas.whole(data)
        if not whole:
            return
        if _ERROR in whole:
            self._log.fault = whole.decode()
        numbers = _IDS.findall(whole)
        self._check(numbers)
        self._log.deliver(numbers)
        if self.unanswered:
            self._take_answers(numbers, whole)
        self._log.on_change()

    def _check(self, numbers: Sequence[bytes]) -> None:
        order, seen = self._log.order, self._log.seen
        for number in numbers:
            if self.given == len(order) and number not in seen:
                order.append(number)
                seen.add(number)
            elif self.given == len(order) or order[self.given] != number:
                self.out_of_order += 1
                continue
            self.given += 1

    def _take_answers(self, numbers: Sequence[bytes], whole: bytes) -> None:
        for number in numbers:
            answered = self.unanswered.pop(number, None)
            if answered is not None:
                if _ARCHIVED not in whole:
                    self._log.fault = f"a message has no id of the archive: {whole.decode()}"
                due, done = answered
                self._log.acknowledge(number, due)
                done()
