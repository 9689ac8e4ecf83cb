"""Rules of what is in the logs at the end: every write once, none that nobody made, in an order that time allows."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from services.stack.proof.faults import Fault, Rule
from services.stack.proof.history import Entry, History, Kind, Outcome, Write


@dataclass(frozen=True, slots=True)
class Placed:
    """A room's log at the end, what was written to it, and which entries each write has made."""

    room_id: str
    log: Sequence[Entry]
    writes: Sequence[Write]
    places: Mapping[Write, Sequence[Entry]]


def placed(history: History) -> list[Placed]:
    """Compare each room's log at the end with what was written to it, once for all rules."""
    writes: dict[str, list[Write]] = defaultdict(list)
    for write in _without_repeated_deletions(history.writes):
        writes[write.room_id].append(write)
    rooms = sorted(history.logs.keys() | writes.keys())
    logs = {room_id: history.logs.get(room_id, []) for room_id in rooms}
    return [Placed(one, logs[one], writes[one], places_of(logs[one], writes[one])) for one in rooms]


def _without_repeated_deletions(writes: Iterable[Write]) -> Iterator[Write]:
    """Yield the writes; of deletions of one message, of which all but one find nothing to do, those that began first.

    All are answered with the place of the one that did it.
    """
    deletions: dict[tuple[str, int], list[Write]] = defaultdict(list)
    for write in writes:
        if write.kind is Kind.DELETE and write.message_seq:
            deletions[write.room_id, write.message_seq].append(write)
        else:
            yield write
    for found in deletions.values():
        told = [one for one in found if one.outcome is Outcome.ACKNOWLEDGED]
        if len({one.seq for one in told}) == 1:
            # It may be any of them that did it, and then it was over when the first answer came.
            began, ended = min(one.began for one in found), min(one.ended for one in told)
            yield replace(told[0], began=began, ended=ended)
        else:
            yield from found


def check_logs(rooms: Iterable[Placed]) -> Iterator[Fault]:
    """Check what is in the logs at the end."""
    for room in rooms:
        yield from _dense(room.room_id, room.log)
        yield from _each_once(room.room_id, room.log, room.places, room.writes)
        yield from _invented(room.room_id, room.log, room.places, room.writes)
        yield from _overtaken(room.room_id, room.places, room.writes)


def places_of(log: Sequence[Entry], writes: Sequence[Write]) -> Mapping[Write, list[Entry]]:
    """Return the entries that each write has made, as far as the record says it.

    An answer says the place. Of a send without one the content does, until it is edited or deleted: logs show messages
    as they are now. An edit or a deletion without an answer is known where there is one entry that it alone can have
    made.
    """
    by_place = {write.seq: write for write in writes if write.seq}
    sends = {write.content: write for write in writes if write.kind is Kind.SEND}
    found: dict[Write, list[Entry]] = defaultdict(list)
    open_entries: dict[tuple[Kind, int], list[Entry]] = defaultdict(list)
    for entry in log:
        write = by_place.get(entry.seq)
        if write is None or write.kind is not entry.kind:
            write = sends.get(entry.content) if entry.kind is Kind.SEND else None
        if write is not None:
            found[write].append(entry)
        elif entry.kind is not Kind.SEND:
            open_entries[entry.kind, entry.message_seq].append(entry)
    for (kind, message_seq), entries in open_entries.items():
        unanswered = _unanswered(writes, kind, message_seq)
        if len(entries) == len(unanswered) == 1:
            found[unanswered[0]] = entries
    return found


def _unanswered(writes: Sequence[Write], kind: Kind, message_seq: int) -> list[Write]:
    return [
        write
        for write in writes
        if (write.kind, write.message_seq, write.outcome) == (kind, message_seq, Outcome.UNKNOWN)
    ]


def _dense(room_id: str, log: Sequence[Entry]) -> Iterator[Fault]:
    for number, entry in enumerate(log, 1):
        if entry.seq != number:
            what = f"where {number} should be there is {entry.seq}"
            yield Fault(Rule.DENSE, room_id, what, (*log[number - 2 : number - 1], entry))
            return


def _each_once(
    room_id: str, log: Sequence[Entry], places: Mapping[Write, Sequence[Entry]], writes: Sequence[Write]
) -> Iterator[Fault]:
    by_seq = {entry.seq: entry for entry in log}
    for write in writes:
        entries = places.get(write, ())
        if len(entries) > 1:
            where = ", ".join(str(entry.seq) for entry in entries)
            yield Fault(
                Rule.DOUBLED, room_id, f"a {write.kind} is there {len(entries)} times: {where}", (write, *entries)
            )
        if strange := set(write.also_seqs) - {write.seq}:
            what = f"one request for a {write.kind} was answered as {write.seq} and as {min(strange)}"
            yield Fault(Rule.DOUBLED, room_id, what, (write,))
        if write.outcome is Outcome.REFUSED and entries:
            what = f"a {write.kind} that was refused is there, at {entries[0].seq}"
            yield Fault(Rule.INVENTED, room_id, what, (write, entries[0]))
        if write.outcome is Outcome.ACKNOWLEDGED and write.seq not in [entry.seq for entry in entries]:
            there = by_seq.get(write.seq)
            instead = f"there is the {there.kind} of {there.message_seq}" if there is not None else "there is nothing"
            what = f"a {write.kind} was acknowledged at {write.seq}, and {instead}"
            yield Fault(Rule.LOST, room_id, what, (write, there) if there is not None else (write,))


def _invented(
    room_id: str, log: Sequence[Entry], places: Mapping[Write, Sequence[Entry]], writes: Sequence[Write]
) -> Iterator[Fault]:
    """Look for entries that nobody can have made: more of a kind than there are writes without an answer."""
    known = {entry.seq for entries in places.values() for entry in entries}
    left: dict[tuple[Kind, int], list[Entry]] = defaultdict(list)
    for entry in log:
        if entry.seq not in known:
            # Whose a message is that was edited or deleted since, nothing says.
            left[entry.kind, 0 if entry.kind is Kind.SEND else entry.message_seq].append(entry)
    for (kind, message_seq), entries in left.items():
        possible = [write for write in _unanswered(writes, kind, message_seq) if write not in places]
        changed = {write.content for write in writes if write.kind is Kind.EDIT} | {""}
        strange = [entry for entry in entries if entry.content not in changed] if kind is Kind.SEND else []
        for entry in strange or entries[len(possible) :]:
            yield Fault(Rule.INVENTED, room_id, f"nobody has made the {kind} at {entry.seq}", (entry,))


def _overtaken(room_id: str, places: Mapping[Write, Sequence[Entry]], writes: Sequence[Write]) -> Iterator[Fault]:
    """Go through writes by their places from the last to the first: none may have ended before one below it began."""
    placed = sorted(((places[write][0].seq, write) for write in writes if places.get(write)), key=lambda one: -one[0])
    earliest: tuple[int, Write] | None = None
    for seq, write in placed:
        if earliest is not None and earliest[1].ended < write.began:
            what = f"{earliest[0]} was acknowledged before {seq} began, and comes after it"
            yield Fault(Rule.OVERTAKEN, room_id, what, (earliest[1], write))
            return
        if write.outcome is Outcome.ACKNOWLEDGED and (earliest is None or write.ended < earliest[1].ended):
            earliest = seq, write
