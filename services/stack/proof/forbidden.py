"""Rules of what nobody may see or do any more: after a removal, without a right, of what was erased."""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from services.stack.proof.faults import Fault, Record, Rule
from services.stack.proof.history import Arrival, Entry, History, Outcome, Removal, Stream


def check_forbidden(history: History, leak_seconds: float) -> Iterator[Fault]:
    """Check it; what is on its way when it is forbidden may arrive, and be done, for so long."""
    for removal, arrival in _after_removals(history):
        after = arrival.at - removal.ended
        if after > leak_seconds:
            what = f"{removal.user_id} heard of {arrival.entry.seq} {after:.3f} s after the removal"
            yield Fault(Rule.LEAKED, removal.room_id, what, (removal, arrival))
    yield from _muted(history, leak_seconds)
    yield from _erased(history, leak_seconds)


def leaks(history: History) -> list[float]:
    """Return for how long each removed user still heard of the room, in seconds; of those who heard nothing 0."""
    longest: dict[Removal, float] = dict.fromkeys(history.removals, 0.0)
    for removal, arrival in _after_removals(history):
        longest[removal] = max(longest[removal], arrival.at - removal.ended)
    return sorted(longest.values())


def _after_removals(history: History) -> Iterator[tuple[Removal, Arrival]]:
    streams: Mapping[tuple[str, str], list[Stream]] = defaultdict(list)
    for stream in history.streams:
        streams[stream.room_id, stream.user_id].append(stream)
    for removal in history.removals:
        for stream in streams[removal.room_id, removal.user_id]:
            yield from ((removal, one) for one in stream.arrivals if removal.ended < one.at < removal.until)


def _muted(history: History, leak_seconds: float) -> Iterator[Fault]:
    for muting in history.mutings:
        for write in history.writes:
            is_within = muting.began + leak_seconds < write.began and write.ended < muting.ended
            if write.user_id == muting.user_id and is_within and write.outcome is Outcome.ACKNOWLEDGED:
                what = f"{write.user_id} had no right to write, and a {write.kind} was acknowledged at {write.seq}"
                yield Fault(Rule.MUTED, write.room_id, what, (muting, write))


def _erased(history: History, leak_seconds: float) -> Iterator[Fault]:
    erasures = {content: erasure for erasure in history.erasures for content in erasure.contents}
    if not erasures:
        return
    for room_id, who, entry, at, shown_by in _shown(history):
        erasure = erasures.get(entry.content)
        if erasure is not None and at > erasure.done + leak_seconds:
            yield Fault(
                Rule.ERASED, room_id, f"{who} was shown what was erased with {erasure.what}", (erasure, shown_by)
            )


def _shown(history: History) -> Iterator[tuple[str, str, Entry, float, Record]]:
    """Yield every entry that somebody was shown, with the time at which it was, at the earliest, read."""
    for page in history.pages:
        for entry in page.messages:
            yield page.room_id, page.user_id, entry, page.began, entry
    for stream in history.streams:
        for entry in stream.snapshot:
            yield stream.room_id, stream.user_id, entry, stream.opened, entry
        for arrival in stream.arrivals:
            yield stream.room_id, stream.user_id, arrival.entry, arrival.at, arrival
    for room_id, log in history.logs.items():
        for entry in log:
            yield room_id, "whoever reads the log at the end", entry, float("inf"), entry
