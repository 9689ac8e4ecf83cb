"""What NATS sends to a client, split into its frames, of which some are dropped, doubled or put in another order."""

import random
from collections.abc import Iterator

_LINE_END = b"\r\n"
# Of the messages that arrive, the share that something is done to.
_SHARE = 0.5
# A message that is kept back is let go behind so many others at the most.
_MOST_BEHIND = 3


class Frames:
    """The bytes of one connection, as whole frames."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> Iterator[tuple[bool, bytes]]:
        """Yield the frames that are whole now, each with whether it is a message."""
        self._rest += piece
        while (size := self._size()) is not None and size <= len(self._rest):
            frame, self._rest = self._rest[:size], self._rest[size:]
            yield frame.startswith((b"MSG ", b"HMSG ")), frame

    def _size(self) -> int | None:
        """Return the size of the frame that has begun; None while that is not known."""
        line, end, _ = self._rest.partition(_LINE_END)
        if not end:
            return None
        size = len(line) + len(end)
        # The last word says how long the payload is, headers included.
        return size + int(line.split()[-1]) + len(end) if line.startswith((b"MSG ", b"HMSG ")) else size


class Mangling:
    """What becomes of the frames of one connection: `how` is drop, double or reorder; without it they pass."""

    def __init__(self) -> None:
        self._frames = Frames()
        self._how = ""
        self._chance = random.Random(0)
        # A message that is kept back, and behind how many others it comes.
        self._kept: list[tuple[int, bytes]] = []

    def begin(self, how: str, seed: int) -> list[bytes]:
        """Do something else from now on; return what was kept back."""
        self._how, self._chance = how, random.Random(seed)
        kept, self._kept = [frame for _, frame in self._kept], []
        return kept

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Yield what is sent on when these bytes have come."""
        for is_message, frame in self._frames.feed(piece):
            yield from self._take(frame) if is_message else (frame,)

    def _take(self, frame: bytes) -> Iterator[bytes]:
        is_chosen = bool(self._how) and self._chance.random() < _SHARE
        match self._how if is_chosen else "":
            case "drop":
                pass
            case "double":
                yield from (frame, frame)
            case "reorder":
                self._kept.append((self._chance.randint(1, _MOST_BEHIND) + 1, frame))
            case _:
                yield frame
        yield from self._let_go()

    def _let_go(self) -> Iterator[bytes]:
        waiting = [(behind - 1, frame) for behind, frame in self._kept]
        self._kept = [one for one in waiting if one[0] > 0]
        yield from (frame for behind, frame in waiting if behind <= 0)
