"""The verdict on a history: whether every promise was kept, and the shortest that shows where one was not."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from services.stack.proof.faults import Fault, Rule
from services.stack.proof.forbidden import check_forbidden, leaks
from services.stack.proof.history import History, Kind, Outcome
from services.stack.proof.logs import check_logs, placed
from services.stack.proof.readings import check_readings
from services.stack.proof.standings import check_standings

_MOST_SHOWN = 10


@dataclass
class Verdict:
    """What was counted, and what was found; the faults that need the fewest records come first."""

    acknowledged: Counter[str] = field(default_factory=Counter)
    unknown: int = 0
    arrivals: int = 0
    resumed: int = 0
    snapshots: int = 0
    pages: int = 0
    leak_seconds: list[float] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        """Whether every promise was kept, and there was something to keep."""
        return not self.faults and self.acknowledged.total() > 0 and self.arrivals > 0

    def told(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "is_sound": self.is_sound,
            "acknowledged": dict(self.acknowledged),
            "unknown": self.unknown,
            "arrivals": self.arrivals,
            "streams_resumed": self.resumed,
            "streams_with_snapshot": self.snapshots,
            "pages": self.pages,
            "removed_users_heard_seconds": self.leak_seconds,
            "faults": [fault.told() for fault in self.faults],
        }

    def lines(self) -> list[str]:
        """Return it for people."""
        kinds = ", ".join(f"{self.acknowledged[kind]:,} {kind}s" for kind in Kind)
        counted = f"{kinds} acknowledged, {self.unknown:,} without an answer"
        read = (
            f"{self.arrivals:,} entries by streams, of which {self.resumed:,} resumed and {self.snapshots:,} began anew"
        )
        if self.is_sound:
            return [counted, read, "every promise was kept"]
        if not self.faults:
            return [counted, read, "nothing was tried, so nothing is proved"]
        by_rule = Counter(fault.rule for fault in self.faults)
        lines = [f"BROKEN: {rule} ({by_rule[rule]:,} times)" for rule in Rule if by_rule[rule]]
        return [counted, read, *lines, *(f"  {fault}" for fault in self.faults[:_MOST_SHOWN])]


def judge(history: History, leak_seconds: float) -> Verdict:
    """Decide it from the record alone; whoever was removed may hear what is on its way for so long."""
    rooms = placed(history)
    faults = [
        *check_logs(rooms),
        *check_readings(history, rooms),
        *check_forbidden(history, leak_seconds),
        *check_standings(history),
    ]
    return Verdict(
        acknowledged=Counter(str(one.kind) for one in history.writes if one.outcome is Outcome.ACKNOWLEDGED),
        unknown=sum(one.outcome is Outcome.UNKNOWN for one in history.writes),
        arrivals=sum(len(stream.arrivals) for stream in history.streams),
        resumed=sum(stream.is_resumed for stream in history.streams),
        snapshots=sum(not stream.is_resumed for stream in history.streams),
        pages=len(history.pages),
        leak_seconds=leaks(history),
        faults=sorted(faults, key=lambda fault: len(fault.shown_by)),
    )
