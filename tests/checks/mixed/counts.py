"""What an arrangement came to, and what is said of all of them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

_WIDTH = 120
_COLUMNS = ("acknowledged", "lost", "doubled", "out of order", "answered", "repeated", "failed")


@dataclass
class Counts:
    """What was counted while the traffic of one arrangement went."""

    arrangement: str
    # Sends that were acknowledged and must arrive at everybody who follows their rooms.
    acknowledged: int = 0
    lost: int = 0
    doubled: int = 0
    out_of_order: int = 0
    # Calls of methods that were answered as the contract says.
    answered: int = 0
    # How often something was refused in passing and made again, as the contract lets callers do.
    repeated: int = 0
    # What failed otherwise: calls, streams and processes.
    failed: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def figures(self) -> tuple[int, ...]:
        """The figures in the order of the table's columns."""
        arrived = (self.acknowledged, self.lost, self.doubled, self.out_of_order)
        return (*arrived, self.answered, self.repeated, len(self.failed))

    @property
    def is_sound(self) -> bool:
        """Whether the promise was kept, and anything at all was tried."""
        is_tried = self.acknowledged and self.answered
        return bool(is_tried) and not (self.lost or self.doubled or self.out_of_order or self.failed)


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
    """Return everything for people; what failed stands below, each thing once."""
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
    failed = [f"{counts.arrangement}: {failure}" for counts in all_counts for failure in dict.fromkeys(counts.failed)]
    verdict = "they work together" if is_sound(all_counts) else "THEY DO NOT WORK TOGETHER"
    return "\n".join((*lines, *failed, verdict))
