"""A room's last messages as they are now, for snapshots: bounded, in order, without those that were deleted."""

from collections.abc import Callable, Sequence
from itertools import islice

from services.messages.model import LogEntry

# An entry, and its frame.
KeptEntry = tuple[LogEntry, bytes]


class RecentMessages:
    """The creations of the last messages: all from `from_seq` on that are not deleted."""

    def __init__(self, most: int, serialized: Callable[[LogEntry], KeptEntry]) -> None:
        self.from_seq = 0
        self._most = most
        self._serialized = serialized
        # By seq, in order.
        self._kept: dict[int, KeptEntry] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def start(self, from_seq: int) -> None:
        """Forget everything: all from a seq on is going to be added."""
        self._kept.clear()
        self.from_seq = from_seq

    def add(self, kept: KeptEntry) -> None:
        """Take the newest message."""
        entry = kept[0]
        if not entry.is_deleted:
            self._kept[entry.seq] = kept
        if len(self._kept) > self._most:
            oldest = next(iter(self._kept))
            del self._kept[oldest]
            self.from_seq = oldest + 1

    def put_before(self, older: Sequence[LogEntry], *, is_all: bool) -> None:
        """Take the messages before the first one, oldest first; `is_all` when there are none before them."""
        self._kept = {entry.seq: self._serialized(entry) for entry in older} | self._kept
        self.from_seq = 0 if is_all else older[0].seq

    def change(self, event: LogEntry) -> None:
        """Let a message be as an edit or a deletion has left it, unless what is here is newer."""
        kept = self._kept.get(event.message_seq)
        if kept is None or kept[0].revision >= event.revision:
            return
        if event.message is None or event.is_deleted:
            del self._kept[event.message_seq]
        else:
            self._kept[event.message_seq] = self._serialized(kept[0].showing(event))

    def sweep(self, oldest_seq: int) -> None:
        """Forget the messages before a seq."""
        self._kept = {seq: kept for seq, kept in self._kept.items() if seq >= oldest_seq}

    def lacks(self, most: int, oldest_seq: int) -> bool:
        """Tell whether there may be more of the last `most` messages than those that are here."""
        return len(self._kept) < most and self.from_seq > oldest_seq

    def last(self, most: int) -> list[KeptEntry]:
        """Return the last messages, oldest first."""
        return list(islice(self._kept.values(), max(0, len(self._kept) - most), None))
