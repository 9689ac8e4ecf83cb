"""What became of an import: what was taken, what was refused and why, and which limits are too small for it."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from services.runtime.contract.policies import ENVIRONMENT_PREFIX

KINDS = ("users", "rooms", "messages")
# How the counts are called, in the order in which they are shown.
COUNTS = (
    "read",
    "taken",
    "already_there",
    "repeated",
    "deleted",
    "refused",
    "taken_in_part",
    "without_time",
    "raised",
    "files",
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What was not taken: a record, by its file and line, or a part of one; and why."""

    where: str
    reason: str
    message: str
    part: str = ""

    def __str__(self) -> str:
        """Return it as a line for people."""
        without = f"without {self.part}: " if self.part else ""
        return f"{self.where}: {without}{self.reason}{': ' if self.reason else ''}{self.message}"


@dataclass(slots=True)
class LimitExceeded:
    """A limit of the instance that records exceed."""

    name: str
    maximum: int
    records: int = 0
    largest: int = 0

    @property
    def variable(self) -> str:
        """What the suite is started with to raise it."""
        return f"{ENVIRONMENT_PREFIX}{self.name}"


@dataclass
class Report:
    """Counts what happens; each refusal is told at once."""

    tell: Callable[[Refusal], None]
    counts: Mapping[str, Counter[str]] = field(default_factory=lambda: {kind: Counter() for kind in KINDS})
    limits: dict[str, LimitExceeded] = field(default_factory=dict)
    # Parts are refused when records are looked at and again when they are written.
    _parts: set[tuple[str, str, str]] = field(default_factory=set)

    def refuse(self, kind: str, refusal: Refusal, metadata: Mapping[str, str]) -> None:
        """Note that a record, or a part of one, is not taken."""
        if refusal.part:
            key = (refusal.where, refusal.reason, refusal.part)
            if key in self._parts:
                return
            self._parts.add(key)
        self.counts[kind]["taken_in_part" if refusal.part else "refused"] += 1
        if "limit" in metadata and "maximum" in metadata:
            name, actual = metadata["limit"], int(metadata.get("actual", "0"))
            limit = self.limits.setdefault(name, LimitExceeded(name, int(metadata["maximum"])))
            limit.records, limit.largest = limit.records + 1, max(limit.largest, actual)
        self.tell(refusal)

    def set(self, kind: str, counts: Mapping[str, int]) -> None:
        """Take the counts of a service, which are of all that it was given so far."""
        self.counts[kind].update({name: count - self.counts[kind][name] for name, count in counts.items()})

    @property
    def all_taken(self) -> bool:
        """Whether nothing was refused."""
        return not any(counts["refused"] or counts["taken_in_part"] for counts in self.counts.values())

    def as_json(self) -> dict[str, Any]:
        """Return everything but the refusals."""
        counts = {kind: {name: of_kind[name] for name in COUNTS} for kind, of_kind in self.counts.items()}
        limits = [asdict(limit) | {"variable": limit.variable} for limit in self.limits.values()]
        return {**counts, "limits": limits}
