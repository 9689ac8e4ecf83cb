"""For how long messages are kept: the room's own retention, else the deployment's, never less than the contract's."""

from dataclasses import dataclass
from datetime import datetime, timedelta

# Whoever says more means for ever, and no clock can be put back so far.
_FOR_EVER_DAYS = 100 * 365


@dataclass(frozen=True, slots=True)
class Retention:
    """What the deployment says of retention; `days` is None when messages are kept for ever."""

    days: int | None
    least_days: int

    def __post_init__(self) -> None:
        if self.days is not None and self.days < self.least_days:
            raise ValueError(
                f"CHATKIT_RETENTION_DAYS is {self.days}, and messages are kept for {self.least_days} days at the least"
                " (RETENTION_DAYS): set it to that or more, or leave it out to keep them for ever"
            )

    def cutoff(self, room_days: int | None, now: datetime) -> datetime | None:
        """Return the time before which a room's messages are not kept; None keeps all."""
        days = self.days if room_days is None else room_days
        if days is None or days > _FOR_EVER_DAYS:
            return None
        # The minimum may have been raised since the room was given its own.
        return now - timedelta(days=max(days, self.least_days))
