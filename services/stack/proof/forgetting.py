"""What a record is worth when a database was put back as it was: what came after that moment is lost by intent."""

from dataclasses import replace
from typing import TypeVar

from services.stack.proof.history import CursorMove, History, Kind, MemberChange, Outcome, Stream, Write

_Change = TypeVar("_Change", CursorMove, MemberChange)


def forget(history: History, since: float, until: float) -> None:
    """Let all stay open that was acknowledged in this time, and leave out what was seen of it."""

    def is_lost(at: float) -> bool:
        return since <= at <= until

    history.writes[:] = [_open(one) if is_lost(one.ended) else one for one in history.writes]
    history.cursor_moves[:] = [_unknown(one) if is_lost(one.at) else one for one in history.cursor_moves]
    history.member_changes[:] = [_unknown(one) if is_lost(one.at) else one for one in history.member_changes]
    history.streams[:] = [_until(one, since) for one in history.streams if not is_lost(one.opened)]
    history.pages[:] = [one for one in history.pages if not is_lost(one.began) and not is_lost(one.ended)]
    history.removals[:] = [one for one in history.removals if one.until < since or one.ended > until]
    history.mutings[:] = [one for one in history.mutings if one.ended < since or one.began > until]
    history.erasures[:] = [one for one in history.erasures if not is_lost(one.done)]
    history.attachments[:] = [one for one in history.attachments if not is_lost(one.at)]


def _open(write: Write) -> Write:
    if write.outcome is not Outcome.ACKNOWLEDGED:
        return write
    message_seq = 0 if write.kind is Kind.SEND else write.message_seq
    return replace(write, outcome=Outcome.UNKNOWN, seq=0, message_seq=message_seq, also_seqs=())


def _unknown(change: _Change) -> _Change:
    return replace(change, outcome=Outcome.UNKNOWN)


def _until(stream: Stream, since: float) -> Stream:
    return replace(stream, arrivals=tuple(one for one in stream.arrivals if one.at < since))
