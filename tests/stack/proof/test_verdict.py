"""The verdict finds nothing in what a sound chat has left, and each way in which a chat may be broken."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.stack.proof.faults import Rule
from services.stack.proof.history import Arrival, Entry, History, Kind, Outcome, Removal, Stream, Write
from services.stack.proof.telling import lines
from services.stack.proof.verdict import judge
from tests.stack.proof.breaking import broken
from tests.stack.proof.model import ROOM, Chat

_LEAK_SECONDS = 0.1


@settings(max_examples=200)
@given(st.integers(0, 2**32))
def test_nothing_is_found_where_every_promise_was_kept(seed: int) -> None:
    verdict = judge(Chat(seed).run(40), _LEAK_SECONDS)
    assert verdict.faults == []


def _long(history: History) -> int:
    """Return the number of a stream that has brought much."""
    return max(range(len(history.streams)), key=lambda number: len(history.streams[number].arrivals))


def _with(history: History, change: Callable[[list[Arrival]], None]) -> None:
    number = _long(history)
    arrivals = list(history.streams[number].arrivals)
    change(arrivals)
    history.streams[number] = replace(history.streams[number], arrivals=arrivals)


def _acknowledged(history: History, kind: Kind) -> int:
    """Return the place of a write that was acknowledged, in the middle of the log."""
    places = [one.seq for one in history.writes if one.kind is kind and one.outcome is Outcome.ACKNOWLEDGED]
    return places[len(places) // 2]


def _drop_a_replay(history: History) -> None:
    _with(history, lambda arrivals: arrivals.__delitem__(len(arrivals) // 2))


def _bring_twice(history: History) -> None:
    _with(history, lambda arrivals: arrivals.insert(3, arrivals[2]))


def _swap_two(history: History) -> None:
    _with(history, lambda arrivals: arrivals.insert(2, arrivals.pop(3)))


def _forget_an_acknowledged_send(history: History) -> None:
    log = history.logs[ROOM]
    last = max(one.seq for one in history.writes if one.outcome is Outcome.ACKNOWLEDGED)
    del log[last - 1 :]


def _double_a_send(history: History) -> None:
    log = history.logs[ROOM]
    first = next(entry for entry in log if entry.kind is Kind.SEND and entry.content.startswith("send"))
    log.append(replace(first, seq=len(log) + 1, message_seq=len(log) + 1))


def _skip_a_place(history: History) -> None:
    log = history.logs[ROOM]
    log[-1] = replace(log[-1], seq=log[-1].seq + 1)


def _store_what_was_refused(history: History) -> None:
    number = next(number for number, one in enumerate(history.writes) if one.seq and one.kind is Kind.SEND)
    history.writes[number] = replace(history.writes[number], outcome=Outcome.REFUSED)


def _store_what_nobody_sent(history: History) -> None:
    log = history.logs[ROOM]
    log.append(Entry(len(log) + 1, Kind.SEND, len(log) + 1, "from nowhere"))


def _let_one_overtake(history: History) -> None:
    placed = sorted((one for one in history.writes if one.seq), key=lambda one: one.seq)
    late = history.writes.index(placed[1])
    # It comes second, and has begun after the third was acknowledged.
    history.writes[late] = replace(placed[1], began=placed[2].ended + 0.001, ended=placed[2].ended + 0.002)


def _list_too_little(history: History) -> None:
    page = history.pages[-1]
    known = {one.message_seq for one in history.writes if one.seq and one.ended < page.began}
    doomed = {one.message_seq for one in history.writes if one.kind is Kind.DELETE}
    left_out = next(message for message in page.messages if message.message_seq in known - doomed)
    messages = [message for message in page.messages if message is not left_out]
    history.pages[-1] = replace(page, messages=messages)


def _show_a_message_as_it_was(history: History) -> None:
    page = history.pages[-1]
    edits = [one for one in history.writes if one.kind is Kind.EDIT and one.seq and one.ended < page.began]
    texts = {one.message_seq: one.content for one in history.writes if one.kind is Kind.SEND and one.seq}
    for number, message in enumerate(page.messages):
        if message.content in {one.content for one in edits} and message.message_seq in texts:
            messages = [*page.messages]
            messages[number] = replace(message, content=texts[message.message_seq])
            history.pages[-1] = replace(page, messages=messages)
            return
    raise LookupError("nothing was edited in this history")


def _show_what_was_deleted(history: History) -> None:
    page = history.pages[-1]
    gone = {one.message_seq for one in history.writes if one.kind is Kind.DELETE and one.seq and one.ended < page.began}
    sent = next(one for one in history.writes if one.kind is Kind.SEND and one.seq in gone)
    back = Entry(sent.seq, Kind.SEND, sent.seq, sent.content)
    messages = sorted([*page.messages, back], key=lambda message: message.seq)
    history.pages[-1] = replace(page, messages=messages)


def _begin_with_what_was_edited(history: History) -> None:
    """Let a stream begin with a message as it was before an edit that is at a place where the stream is already."""
    edits = [one for one in history.writes if one.kind is Kind.EDIT and one.seq]
    texts = {one.message_seq: one.content for one in history.writes if one.kind is Kind.SEND and one.seq}
    doomed = {one.message_seq for one in history.writes if one.kind is Kind.DELETE}
    edit = next(one for one in edits if one.message_seq in texts.keys() - doomed)
    old = Entry(edit.message_seq, Kind.SEND, edit.message_seq, texts[edit.message_seq])
    end = len(history.logs[ROOM])
    history.streams.append(Stream(ROOM, "bob", edit.ended + 1_000, False, end, snapshot=[old]))


def _resume_elsewhere(history: History) -> None:
    number = next(number for number, one in enumerate(history.streams) if one.is_resumed)
    history.streams[number] = replace(history.streams[number], asked_after=history.streams[number].after + 1)


def _go_on_in_another_log(history: History) -> None:
    number = next(number for number, one in enumerate(history.streams) if one.is_resumed)
    history.streams[number] = replace(history.streams[number], epoch="another")


def _go_on_behind_the_end(history: History) -> None:
    number = next(number for number, one in enumerate(history.streams) if one.is_resumed)
    history.streams[number] = replace(history.streams[number], head=history.streams[number].after - 1)


def _let_somebody_listen_on(history: History) -> None:
    stream = history.streams[_long(history)]
    history.removals.append(Removal(ROOM, stream.user_id, stream.arrivals[-1].at - 0.2))


def _keep_the_epoch_after_a_restore(history: History) -> None:
    """Let a reader go on as if nothing had happened where a log has lost its end, and has another one since."""
    number = _long(history)
    stream = history.streams[number]
    other = replace(stream.arrivals[-1].entry, message_seq=stream.arrivals[-1].entry.message_seq + 1_000)
    history.streams[number] = replace(stream, arrivals=[*stream.arrivals[:-1], Arrival(other, stream.arrivals[-1].at)])


BROKEN: dict[Callable[[History], None], Rule] = {
    _drop_a_replay: Rule.MISSED,
    _bring_twice: Rule.DOUBLED,
    _swap_two: Rule.REORDERED,
    _forget_an_acknowledged_send: Rule.LOST,
    _double_a_send: Rule.DOUBLED,
    _skip_a_place: Rule.DENSE,
    _store_what_was_refused: Rule.INVENTED,
    _store_what_nobody_sent: Rule.INVENTED,
    _let_one_overtake: Rule.OVERTAKEN,
    _list_too_little: Rule.STALE,
    _show_a_message_as_it_was: Rule.STALE,
    _show_what_was_deleted: Rule.RESTORED,
    _begin_with_what_was_edited: Rule.STALE,
    _resume_elsewhere: Rule.RESUMED,
    _go_on_in_another_log: Rule.RESUMED,
    _go_on_behind_the_end: Rule.RESUMED,
    _let_somebody_listen_on: Rule.LEAKED,
    _keep_the_epoch_after_a_restore: Rule.DIFFERENT,
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("change", BROKEN, ids=lambda change: change.__name__.strip("_"))
def test_what_is_broken_is_found_and_shown_by_little(change: Callable[[History], None], seed: int) -> None:
    verdict = broken(change, BROKEN[change], seed, _LEAK_SECONDS, most=3)
    assert not verdict.is_sound
    assert any(line.startswith(f"BROKEN: {BROKEN[change]}") for line in lines(verdict))


def test_a_stream_may_begin_behind_a_write_that_it_brings_then() -> None:
    history = History()
    history.logs[ROOM] = [Entry(1, Kind.SEND, 1, "new"), Entry(2, Kind.EDIT, 1, "new")]
    done = Outcome.ACKNOWLEDGED
    history.writes += [
        Write(ROOM, "bob", Kind.SEND, "old", 0.0, 1.0, done, 1, 1),
        Write(ROOM, "bob", Kind.EDIT, "new", 1.0, 2.0, done, 2, 1),
    ]
    old, edit = Entry(1, Kind.SEND, 1, "old"), Arrival(Entry(2, Kind.EDIT, 1, "new"), 4.0)
    history.streams.append(Stream(ROOM, "eve", 3.0, False, 1, snapshot=[old], arrivals=[edit]))
    assert judge(history, _LEAK_SECONDS).faults == []


def test_of_nothing_nothing_is_proved() -> None:
    verdict = judge(History(), _LEAK_SECONDS)
    assert not verdict.is_sound
    assert lines(verdict)[-1] == "Nothing was tried, so nothing is proved."


def test_how_long_removed_users_heard_is_told() -> None:
    history = Chat(1).run(100)
    entry = Entry(1, Kind.SEND, 1, "hello")
    history.removals[:] = [Removal(ROOM, "dave", 10.0), Removal(ROOM, "erin", 10.0)]
    history.streams.append(Stream(ROOM, "dave", 9.0, False, 0, arrivals=[Arrival(entry, 10.05), Arrival(entry, 10.02)]))
    assert judge(history, 1.0).leak_seconds == pytest.approx([0.0, 0.05])


def test_the_verdict_on_a_sound_history_counts_what_was_done() -> None:
    verdict = judge(Chat(1).run(300), _LEAK_SECONDS)
    assert verdict.is_sound
    assert verdict.acknowledged[Kind.SEND] > 50
    assert verdict.resumed > 0
    assert verdict.snapshots > 0
    assert lines(verdict)[-1] == "Every promise was kept."
