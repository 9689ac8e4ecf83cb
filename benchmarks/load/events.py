"""What a frame of a room's stream holds. All subscribers of a room are sent the same bytes, so each is decoded once."""

from dataclasses import dataclass

from chatkit.contract.v1 import error_reason_pb2
from chatkit.messages.v1 import messages_service_pb2

_decode = messages_service_pb2.SubscribeRoomResponse.FromString
_MOST_KEPT = 2_048


@dataclass(frozen=True, slots=True)
class Frame:
    """The events of a frame that are in the log, and why the stream ends if it says so."""

    seqs: range
    is_dense: bool
    closed: str


@dataclass(frozen=True, slots=True)
class Opening:
    """How a stream starts."""

    epoch: str
    seq: int
    is_resumed: bool


class Frames:
    """Reads frames and keeps what was read."""

    def __init__(self) -> None:
        self._kept: dict[bytes, Frame] = {}

    def read(self, payload: bytes) -> Frame:
        """Return what a frame holds."""
        frame = self._kept.get(payload)
        if frame is None:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            frame = self._kept[payload] = _read(payload)
        return frame


def _read(payload: bytes) -> Frame:
    closed, seqs = "", []
    for event in _decode(payload).events:
        if event.seq:
            seqs.append(event.seq)
        elif event.HasField("closed"):
            closed = error_reason_pb2.ErrorReason.Name(event.closed.reason)
    dense = range(seqs[0], seqs[0] + len(seqs)) if seqs else range(0)
    return Frame(dense, seqs == list(dense), closed)


def read_start(payload: bytes) -> tuple[Opening | None, bool]:
    """Read a frame of a stream's beginning: how it opens, if this frame says it, and whether all is replayed."""
    opening, caught_up = None, False
    for event in _decode(payload).events:
        if event.HasField("opened"):
            position = event.opened.position
            is_resumed = event.opened.outcome == _RESUMED
            opening = Opening(position.epoch, position.seq, is_resumed)
        caught_up = caught_up or event.HasField("caught_up")
    return opening, caught_up


_RESUMED = 1
