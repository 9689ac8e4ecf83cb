"""The verdict on a history: whether every promise was kept, and the shortest that shows where one was not."""

from collections import Counter
from dataclasses import dataclass, field, fields
from typing import Any, Self

from services.stack.proof.faults import Fault, Rule
from services.stack.proof.forbidden import check_forbidden, leaks
from services.stack.proof.history import History, Outcome
from services.stack.proof.logs import check_logs, placed
from services.stack.proof.readings import check_readings
from services.stack.proof.standings import check_standings


@dataclass
class Verdict:
    """What was counted, and what was found; the faults that need the fewest records come first."""

    acknowledged: Counter[str] = field(default_factory=Counter)
    unknown: int = 0
    refused: int = 0
    arrivals: int = 0
    resumed: int = 0
    snapshots: int = 0
    pages: int = 0
    cursors: int = 0
    standings: int = 0
    attachments: int = 0
    mutings: int = 0
    erasures: int = 0
    leak_seconds: list[float] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def __add__(self, other: Self) -> Self:
        """Return the verdict on both histories together, which have no room in common."""
        both = {one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(self)}
        both["leak_seconds"].sort()
        both["faults"].sort(key=_length)
        return type(self)(**both)

    @property
    def is_sound(self) -> bool:
        """Whether every promise was kept, and there was something to keep."""
        return not self.faults and self.acknowledged.total() > 0 and self.arrivals > 0

    def broken(self) -> Counter[Rule]:
        """Return how often which promise was not kept."""
        return Counter(fault.rule for fault in self.faults)

    def told(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        counts = {one.name: getattr(self, one.name) for one in fields(self) if one.type is int}
        return {
            "is_sound": self.is_sound,
            "acknowledged": dict(self.acknowledged),
            **counts,
            "leak_seconds": self.leak_seconds,
            "broken": {rule.name: count for rule, count in self.broken().items()},
            "faults": [fault.told() for fault in self.faults],
        }


def judge(history: History, leak_seconds: float) -> Verdict:
    """Decide it from the record alone; whoever was removed may hear what is on its way for so long."""
    rooms = placed(history)
    faults = [
        *check_logs(rooms),
        *check_readings(history, rooms),
        *check_forbidden(history, leak_seconds),
        *check_standings(history),
    ]
    outcomes = Counter(one.outcome for one in history.writes)
    return Verdict(
        acknowledged=Counter(str(one.kind) for one in history.writes if one.outcome is Outcome.ACKNOWLEDGED),
        unknown=outcomes[Outcome.UNKNOWN],
        refused=outcomes[Outcome.REFUSED],
        arrivals=sum(len(stream.arrivals) for stream in history.streams),
        resumed=sum(stream.is_resumed for stream in history.streams),
        snapshots=sum(not stream.is_resumed for stream in history.streams),
        pages=len(history.pages),
        cursors=sum(one.outcome is Outcome.ACKNOWLEDGED for one in history.cursor_moves),
        standings=len(history.standings),
        attachments=len(history.attachments),
        mutings=len(history.mutings),
        erasures=len(history.erasures),
        leak_seconds=leaks(history),
        faults=sorted(faults, key=_length),
    )


def _length(fault: Fault) -> int:
    return len(fault.shown_by)
