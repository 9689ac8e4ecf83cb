"""Rules of what was shown: by streams, which bring each entry once and in order, and by pages, which are up to date."""

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from services.stack.proof.faults import Fault, Record, Rule
from services.stack.proof.history import Arrival, Entry, History, Kind, Outcome, Page, Stream, Write
from services.stack.proof.logs import Placed


class Room:
    """What is known of a room: its log at the end, and the writes to each of its messages by their places."""

    def __init__(self, room: Placed) -> None:
        self.id = room.room_id
        self.log = {entry.seq: entry for entry in room.log}
        self._writes: dict[int, list[tuple[int, Write]]] = defaultdict(list)
        # Those without an answer of which nobody knows where they are, if anywhere.
        self._open: dict[int, list[Write]] = defaultdict(list)
        for write, entries in room.places.items():
            self._writes[entries[0].message_seq].append((entries[0].seq, write))
        for write in room.writes:
            if write.outcome is Outcome.UNKNOWN and write not in room.places:
                self._open[write.message_seq].append(write)
        for known in self._writes.values():
            known.sort(key=lambda one: one[0])

    def there_before(self, seconds: float) -> Iterator[tuple[int, Write]]:
        """Yield the messages that were there before a time, each with a write that says so."""
        for message_seq, known in self._writes.items():
            if (write := next((write for _, write in known if _is_known(write, seconds)), None)) is not None:
                yield message_seq, write

    def may_be_deleted(self, message_seq: int, seconds: float) -> bool:
        """Tell whether somebody had begun to delete a message by then."""
        return any(one.kind is Kind.DELETE and one.began < seconds for one in self._possible(message_seq))

    def _possible(self, message_seq: int) -> list[Write]:
        return [*(write for _, write in self._writes.get(message_seq, ())), *self._open[message_seq]]

    def contradiction(
        self, shown: Entry, asked: float, told: float, place: int
    ) -> tuple[Rule, str, Sequence[Record]] | None:
        """Tell what is wrong with how a message was shown to somebody who asked then and was told then, if anything is.

        It may be shown as any write has left it that was not over before they asked and followed by another one. Of
        writes behind a place of the log they may not have heard yet.
        """
        known = self._writes.get(shown.message_seq, [])
        newest = [write for seq, write in known if seq <= place and _is_known(write, asked)][-1:]
        if any(write.kind is Kind.DELETE for write in newest) and shown.content:
            return Rule.RESTORED, f"{shown.message_seq} is shown, and was deleted before", (*newest, shown)
        possible = self._possible(shown.message_seq)
        if not shown.content:
            is_deleted = self.may_be_deleted(shown.message_seq, told)
            return None if is_deleted else (Rule.DIFFERENT, f"{shown.message_seq} is shown as if deleted", (shown,))
        # Whoever sent it may have got no answer, and it was edited since: then nothing says what it was.
        possible += [write for write in self._open[0] if not known or known[0][1].kind is not Kind.SEND]
        if not any(write.content == shown.content and write.began < told for write in possible):
            return Rule.DIFFERENT, f"nobody has written what {shown.message_seq} says", (shown,)
        places = {write.content: seq for seq, write in known}
        since = places.get(shown.content, place)
        later = [write for seq, write in known if since < seq <= place and _is_known(write, asked)]
        if later:
            return Rule.STALE, f"{shown.message_seq} is shown as it was before", (later[-1], shown)
        return None


def check_readings(history: History, placed: Iterable[Placed]) -> Iterator[Fault]:
    """Check all streams and pages."""
    rooms = {room.room_id: Room(room) for room in placed if room.room_id in history.logs}
    for stream in history.streams:
        if stream.room_id in rooms:
            yield from _check_stream(stream, rooms[stream.room_id])
    for page in history.pages:
        if page.room_id in rooms:
            yield from _check_page(page, rooms[page.room_id])


def _check_stream(stream: Stream, room: Room) -> Iterator[Fault]:
    yield from _check_opening(stream, room)
    before: Arrival | None = None
    for arrival in stream.arrivals:
        last, seq = stream.after if before is None else before.entry.seq, arrival.entry.seq
        shown = (_bare(stream), *((before,) if before is not None else ()), arrival)
        if seq == last:
            yield Fault(Rule.DOUBLED, room.id, f"a stream of {stream.user_id} has brought {seq} twice", shown)
        elif seq < last:
            yield Fault(Rule.REORDERED, room.id, f"a stream of {stream.user_id} has brought {seq} after {last}", shown)
        elif seq > last + 1:
            yield Fault(Rule.MISSED, room.id, f"a stream of {stream.user_id} has brought {seq} after {last}", shown)
        yield from _same_place(arrival.entry, room)
        before = arrival
    last, end = stream.after if before is None else before.entry.seq, max(room.log, default=0)
    if stream.was_read_to_the_end and last < end:
        what = f"a stream of {stream.user_id} has brought nothing behind {last}, and the log ends with {end}"
        yield Fault(Rule.MISSED, room.id, what, (_bare(stream),))
    told = ((one.entry, one.at, one.entry.seq) for one in stream.arrivals if one.entry.kind is not Kind.DELETE)
    # A replica that has not heard of a write shows what was before, and brings the write later.
    snapshot = ((one, float("inf"), stream.after) for one in stream.snapshot)
    yield from _contradictions(room, stream.opened, (*snapshot, *told))


def _check_opening(stream: Stream, room: Room) -> Iterator[Fault]:
    if not stream.is_resumed:
        return
    asked = f"{stream.user_id} asked to go on behind {stream.asked_after}"
    if stream.after != stream.asked_after:
        yield Fault(Rule.RESUMED, room.id, f"{asked}, and went on behind {stream.after}", (_bare(stream),))
    if stream.epoch != stream.asked_epoch:
        yield Fault(Rule.RESUMED, room.id, f"{asked}, and went on in another log", (_bare(stream),))
    if stream.head is not None and stream.head < stream.asked_after:
        yield Fault(
            Rule.RESUMED, room.id, f"{asked}, and went on, though the log ended with {stream.head}", (_bare(stream),)
        )


def _check_page(page: Page, room: Room) -> Iterator[Fault]:
    listed = {message.message_seq for message in page.messages}
    if any(later.message_seq <= one.message_seq for one, later in pairwise(page.messages)):
        yield Fault(Rule.REORDERED, room.id, f"a page of {page.user_id} is not in the order of the log", (page,))
    for message_seq, write in room.there_before(page.began):
        is_missing = page.first_seq <= message_seq <= page.last_seq and message_seq not in listed
        # Pages leave out what was deleted.
        if is_missing and not room.may_be_deleted(message_seq, page.ended):
            what = f"{message_seq} was there before {page.user_id} asked, and is not listed"
            yield Fault(Rule.STALE, room.id, what, (write, _without_messages(page)))
    yield from _contradictions(room, page.began, ((message, page.ended, sys.maxsize) for message in page.messages))


def _contradictions(room: Room, asked: float, shown: Iterable[tuple[Entry, float, int]]) -> Iterator[Fault]:
    for entry, told, place in shown:
        found = room.contradiction(entry, asked, told, place)
        if found is not None:
            rule, what, records = found
            yield Fault(rule, room.id, what, records)


def _same_place(entry: Entry, room: Room) -> Iterator[Fault]:
    there = room.log.get(entry.seq)
    if there is None or (there.kind, there.message_seq) != (entry.kind, entry.message_seq):
        has = f"the {there.kind} of {there.message_seq}" if there is not None else "nothing"
        what = f"the {entry.kind} of {entry.message_seq} was brought as {entry.seq}, where the log has {has}"
        yield Fault(Rule.DIFFERENT, room.id, what, (entry, there) if there is not None else (entry,))


def _is_known(write: Write, seconds: float) -> bool:
    """Whether everybody may rely on a write from then on."""
    return write.outcome is Outcome.ACKNOWLEDGED and write.ended < seconds


def _bare(stream: Stream) -> Stream:
    """Return a stream as it began: what it has brought is shown beside it, as far as it matters."""
    return replace(stream, snapshot=(), arrivals=())


def _without_messages(page: Page) -> Page:
    return Page(page.room_id, page.user_id, page.began, page.ended, page.first_seq, page.last_seq, ())
