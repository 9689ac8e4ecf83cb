"""Rules of how all stands at the very end: what is kept beside the logs agrees with them."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TypeVar

from services.stack.proof.faults import Fault, Rule
from services.stack.proof.history import (
    CursorMove,
    Entry,
    History,
    Kind,
    MemberChange,
    Outcome,
    Standing,
)

# So many are counted, and no more.
MOST_UNREAD = 1_000
_Change = TypeVar("_Change", CursorMove, MemberChange)


def check_standings(history: History) -> Iterator[Fault]:
    """Check read cursors, unread counts, last messages, members, presence and files."""
    moves = _by_room_and_user(history.cursor_moves)
    for one in history.standings:
        yield from _check_standing(one, history.logs.get(one.room_id, []), moves[one.room_id, one.user_id])
    for (room_id, user_id), changes in _by_room_and_user(history.member_changes).items():
        if room_id in history.members:
            yield from _check_member(changes, is_member=user_id in history.members[room_id])
    for presence in history.presences:
        if presence.is_online != presence.was_online:
            said, was = _online(is_so=presence.is_online), _online(is_so=presence.was_online)
            what = f"{presence.told_by} tells that {presence.user_id} is {said}, who is {was}"
            yield Fault(Rule.PRESENCE, "", what, (presence,))
    for file in history.attachments:
        if file.found != file.sent:
            what = f"the file {file.file_id} is {'another one' if file.found else 'not there'}"
            yield Fault(Rule.ATTACHED, file.room_id, what, (file,))


def _by_room_and_user(changes: Sequence[_Change]) -> defaultdict[tuple[str, str], list[_Change]]:
    found: defaultdict[tuple[str, str], list[_Change]] = defaultdict(list)
    for change in changes:
        found[change.room_id, change.user_id].append(change)
    return found


def _check_standing(one: Standing, log: Sequence[Entry], moves: Sequence[CursorMove]) -> Iterator[Fault]:
    sure = max((move.seq for move in moves if move.outcome is Outcome.ACKNOWLEDGED), default=0)
    possible = {move.seq for move in moves if move.seq >= sure and move.outcome is not Outcome.REFUSED} | {sure}
    of = f"by {one.told_by}, of {one.user_id}"
    if one.cursor not in possible:
        yield Fault(Rule.CURSORS, one.room_id, f"the cursor is {one.cursor} and was moved to {sure} ({of})", (one,))
    there = {entry.seq: entry.content for entry in log if entry.kind is Kind.SEND and entry.content}
    unread = min(sum(seq > one.cursor for seq in there), MOST_UNREAD)
    if one.unread_count != unread:
        what = f"{one.unread_count} are told to be unread and {unread} are ({of})"
        yield Fault(Rule.UNREAD, one.room_id, what, (one,))
    last = max(there, default=0)
    if (one.last_seq, one.last_content) != (last, there.get(last, "")):
        what = f"the last message is told to be {one.last_seq} and is {last} ({of})"
        if one.last_seq == last:
            what = f"the last message, {last}, is told to say something else than the log has ({of})"
        yield Fault(Rule.NEWEST, one.room_id, what, (one,))


def _check_member(changes: Sequence[MemberChange], *, is_member: bool) -> Iterator[Fault]:
    possible: set[bool] = set()
    for change in changes:
        possible = {change.is_member} | (possible if change.outcome is Outcome.UNKNOWN else set())
    if is_member not in possible:
        what = f"{changes[-1].user_id} is {'still' if is_member else 'not'} listed as a member"
        yield Fault(Rule.MEMBERS, changes[-1].room_id, what, changes[-1:])


def _online(*, is_so: bool) -> str:
    return "online" if is_so else "offline"
