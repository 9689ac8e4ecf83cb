"""What an arrangement came to, and what is said of all of them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

from services.stack.proof.faults import Rule
from services.stack.proof.verdict import Verdict

_WIDTH = 120
_COLUMNS = ("acknowledged", "arrived", "resumed", "broken", "answered", "repeated", "failed")
_MOST_SHOWN = 10


@dataclass
class Counts:
    """What was counted while the traffic of one arrangement went."""

    arrangement: str
    # Of what clients have recorded: writes that were acknowledged, entries that streams have brought, streams that went
    # on where they were, and how often each promise was broken, by the name of its rule.
    acknowledged: int = 0
    arrived: int = 0
    resumed: int = 0
    broken: dict[str, int] = field(default_factory=dict)
    # The promises that were broken which the fewest records show.
    faults: list[str] = field(default_factory=list)
    # Calls of methods that were answered as the contract says.
    answered: int = 0
    # How often something was refused in passing and made again, as the contract lets callers do.
    repeated: int = 0
    # What failed otherwise: calls, streams and processes.
    failed: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def take(self, verdict: Verdict) -> None:
        """Count what is said of the record of the clients."""
        self.acknowledged += verdict.acknowledged.total()
        self.arrived += verdict.arrivals
        self.resumed += verdict.resumed
        self.broken = {rule.name: times for rule, times in verdict.broken().items()}
        self.faults = [f"{fault.rule.name}: {fault}" for fault in verdict.faults[:_MOST_SHOWN]]

    @property
    def figures(self) -> tuple[int, ...]:
        """The figures in the order of the table's columns."""
        recorded = (self.acknowledged, self.arrived, self.resumed, sum(self.broken.values()))
        return (*recorded, self.answered, self.repeated, len(self.failed))

    @property
    def troubles(self) -> list[str]:
        """What was wrong, each thing once."""
        broken = [f"BROKEN: {Rule[rule]} ({times:,} times)" for rule, times in self.broken.items()]
        return list(dict.fromkeys([*broken, *self.faults, *self.failed]))

    @property
    def is_sound(self) -> bool:
        """Whether every promise was kept, nothing failed, and everything was tried at all."""
        return bool(self.acknowledged and self.arrived and self.answered) and not (self.broken or self.failed)


def is_sound(all_counts: Sequence[Counts]) -> bool:
    """Tell whether the releases work together; nothing tried is nothing shown."""
    return bool(all_counts) and all(counts.is_sound for counts in all_counts)


def summary(older: str, newer: str, all_counts: Sequence[Counts]) -> dict[str, Any]:
    """Return everything for machines."""
    return {
        "older": older,
        "newer": newer,
        "is_sound": is_sound(all_counts),
        "arrangements": [asdict(counts) for counts in all_counts],
    }


def table(older: str, newer: str, all_counts: Sequence[Counts]) -> str:
    """Return everything for people; what was wrong stands below."""
    shown = Table(box=None, title=f"older: {older}, newer: {newer}", title_justify="left")
    shown.add_column("arrangement")
    for name in _COLUMNS:
        shown.add_column(name, justify="right")
    for counts in all_counts:
        shown.add_row(counts.arrangement, *(f"{figure:,}" for figure in counts.figures))
    console = Console(width=_WIDTH)
    with console.capture() as captured:
        console.print(shown)
    lines = [line.rstrip() for line in captured.get().splitlines()]
    troubles = [f"{counts.arrangement}: {trouble}" for counts in all_counts for trouble in counts.troubles]
    verdict = "they work together" if is_sound(all_counts) else "THEY DO NOT WORK TOGETHER"
    return "\n".join((*lines, *troubles, verdict))
