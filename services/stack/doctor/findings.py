"""What a check has found: how bad it is, what is wrong, and what to do about it."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is, the worst first."""

    BROKEN = "broken"  # something does not work now
    SOON = "soon"  # something will not work before long
    ODD = "odd"  # all works, and not as it should


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. `check` names what was looked at."""

    level: Level
    check: str
    what: str
    advice: str

    def __str__(self) -> str:
        return f"{self.what}: {self.advice}"


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Put them into order; those of a level stay as they came."""
    levels = list(Level)
    return sorted(findings, key=lambda finding: levels.index(finding.level))
