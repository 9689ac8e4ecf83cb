"""What is wrong at the very end, or shown or done though it was forbidden, is found."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from services.stack.proof.faults import Rule
from services.stack.proof.history import (
    Arrival,
    Attachment,
    CursorMove,
    Entry,
    History,
    Kind,
    MemberChange,
    Outcome,
    Standing,
    Stream,
)
from services.stack.proof.verdict import judge
from tests.stack.proof.breaking import broken
from tests.stack.proof.model import ROOM

_LEAK_SECONDS = 0.1


def _count_one_too_much(history: History) -> None:
    history.standings[0] = replace(history.standings[0], unread_count=history.standings[0].unread_count + 1)


def _lose_a_cursor(history: History) -> None:
    moved = max(history.cursor_moves, key=lambda move: move.seq * (move.outcome is Outcome.ACKNOWLEDGED))
    number = next(number for number, one in enumerate(history.standings) if one.user_id == moved.user_id)
    history.standings[number] = replace(history.standings[number], cursor=0)


def _move_a_cursor_too_far(history: History) -> None:
    history.standings[0] = replace(history.standings[0], cursor=100_000, unread_count=0)


def _tell_an_old_message_as_the_last(history: History) -> None:
    history.standings[0] = replace(history.standings[0], last_seq=1)


def _tell_the_last_message_as_it_was(history: History) -> None:
    history.standings[0] = replace(history.standings[0], last_content="before it was edited")


def _keep_who_has_left(history: History) -> None:
    history.member_changes.append(MemberChange(ROOM, "alice", False, Outcome.ACKNOWLEDGED))


def _lose_a_member(history: History) -> None:
    history.members[ROOM] -= {"bob"}


def _take_somebody_for_offline(history: History) -> None:
    history.presences[0] = replace(history.presences[0], is_online=False)


def _lose_a_file(history: History) -> None:
    history.attachments.append(Attachment(ROOM, "f", "digest", ""))


def _change_a_file(history: History) -> None:
    history.attachments.append(Attachment(ROOM, "f", "digest", "another"))


def _take_what_one_has_no_right_to_write(history: History) -> None:
    muting = history.mutings[-1]
    number = next(
        number
        for number, one in enumerate(history.writes)
        if one.user_id == muting.user_id and muting.began < one.began < muting.ended
    )
    history.writes[number] = replace(history.writes[number], outcome=Outcome.ACKNOWLEDGED, seq=10_000)
    history.mutings[-1] = replace(muting, began=muting.began - 1)


def _show_what_was_erased(history: History) -> None:
    history.pages[-1] = replace(history.pages[-1], messages=[Entry(1, Kind.SEND, 1, "what dave said")])


def _bring_what_was_erased(history: History) -> None:
    arrival = Arrival(Entry(1, Kind.SEND, 1, "what dave said"), 5.0)
    history.streams.append(Stream(ROOM, "bob", 0.0, False, 0, arrivals=[arrival]))


def _answer_one_request_twice(history: History) -> None:
    number = next(number for number, one in enumerate(history.writes) if one.seq)
    history.writes[number] = replace(history.writes[number], also_seqs=(history.writes[number].seq + 1,))


def _stop_bringing(history: History) -> None:
    history.streams.append(Stream(ROOM, "bob", 0.0, False, len(history.logs[ROOM]) - 1, was_read_to_the_end=True))


BROKEN: dict[Callable[[History], None], Rule] = {
    _count_one_too_much: Rule.UNREAD,
    _lose_a_cursor: Rule.CURSORS,
    _move_a_cursor_too_far: Rule.CURSORS,
    _tell_an_old_message_as_the_last: Rule.NEWEST,
    _tell_the_last_message_as_it_was: Rule.NEWEST,
    _keep_who_has_left: Rule.MEMBERS,
    _lose_a_member: Rule.MEMBERS,
    _take_somebody_for_offline: Rule.PRESENCE,
    _lose_a_file: Rule.ATTACHED,
    _change_a_file: Rule.ATTACHED,
    _take_what_one_has_no_right_to_write: Rule.MUTED,
    _show_what_was_erased: Rule.ERASED,
    _bring_what_was_erased: Rule.ERASED,
    _answer_one_request_twice: Rule.DOUBLED,
    _stop_bringing: Rule.MISSED,
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("change", BROKEN, ids=lambda change: change.__name__.strip("_"))
def test_what_is_broken_is_found_and_shown_by_little(change: Callable[[History], None], seed: int) -> None:
    broken(change, BROKEN[change], seed, _LEAK_SECONDS, most=2)


@pytest.mark.parametrize(("cursor", "is_right"), [(3, True), (5, True), (4, False), (2, False)])
def test_a_cursor_may_stand_where_an_answer_was_lost(cursor: int, is_right: bool) -> None:
    history = History()
    history.cursor_moves += [
        CursorMove(ROOM, "bob", 2, Outcome.UNKNOWN),
        CursorMove(ROOM, "bob", 3, Outcome.ACKNOWLEDGED),
        CursorMove(ROOM, "bob", 5, Outcome.UNKNOWN),
        CursorMove(ROOM, "bob", 4, Outcome.REFUSED),
    ]
    history.logs[ROOM] = []
    history.standings.append(Standing(ROOM, "bob", "ListReadStates", cursor, 0, 0, ""))
    rules = {fault.rule for fault in judge(history, _LEAK_SECONDS).faults}
    assert (Rule.CURSORS not in rules) is is_right


def test_no_more_than_a_thousand_are_counted() -> None:
    history = History()
    history.logs[ROOM] = [Entry(seq, Kind.SEND, seq, f"{seq}") for seq in range(1, 1_201)]
    for unread in (1_000, 1_200):
        history.standings.append(Standing(ROOM, "bob", "ListReadStates", 0, unread, 1_200, "1200"))
    faults = [fault for fault in judge(history, _LEAK_SECONDS).faults if fault.rule is Rule.UNREAD]
    assert [fault.shown_by for fault in faults] == [(history.standings[1],)]
