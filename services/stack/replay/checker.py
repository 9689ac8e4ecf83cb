"""What one room's subscriber must see: every acknowledged message once, in the order of `seq`, unchanged."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field


@dataclass
class Checker:
    """Compares what was acknowledged with what arrives."""

    # The last seq of the room when the subscriber began: what is acknowledged up to there was there before.
    head_seq: int = 0
    acknowledged: dict[int, bytes] = field(default_factory=dict)
    delivered: dict[int, bytes] = field(default_factory=dict)
    already_there: int = 0
    # What the client saw within streams and put right: events sent again, and events left out.
    faults: tuple[int, int] = (0, 0)
    doubled: int = 0
    out_of_order: int = 0
    _progress: asyncio.Event = field(default_factory=asyncio.Event)
    _last_sent: int = 0
    _last_arrived: int = 0

    def acknowledge(self, seq: int, content: bytes) -> bool:
        """Note the answer to a send, in the order of sends; return whether the message is new."""
        # A later message of one sequence of sends must stand later, whether it is new or not.
        self.out_of_order += seq <= self._last_sent
        self._last_sent = max(self._last_sent, seq)
        if seq <= self.head_seq:
            self.already_there += 1
            return False
        self.acknowledged[seq] = content
        return True

    def arrive(self, seq: int, content: bytes) -> None:
        """Note what the subscriber was handed, in that order."""
        self.out_of_order += seq < self._last_arrived
        self.doubled += seq in self.delivered
        self._last_arrived = max(self._last_arrived, seq)
        self.delivered[seq] = content
        self._progress.set()

    async def arrival(self, stall_seconds: float) -> None:
        """Return when everything that was acknowledged has arrived, or when nothing has for so long."""
        with suppress(TimeoutError):
            while not self.is_complete:
                self._progress.clear()
                async with asyncio.timeout(stall_seconds):
                    await self._progress.wait()

    @property
    def is_complete(self) -> bool:
        """Whether everything that was acknowledged has arrived."""
        return self._last_arrived >= max(self.acknowledged, default=0)

    @property
    def arrived(self) -> int:
        """How many of the acknowledged messages have arrived."""
        return len(self.acknowledged.keys() & self.delivered.keys())

    @property
    def lost(self) -> int:
        """How many acknowledged messages have not arrived, or not as they were acknowledged."""
        return sum(self.delivered.get(seq) != content for seq, content in self.acknowledged.items())
