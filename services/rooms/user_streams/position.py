"""Where a subscriber stands: in the changes of rooms and in those of users, each of an epoch."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class UserPosition:
    """A place in the changes of rooms and of users, from which a subscription can go on."""

    rooms_epoch: str
    rooms_version: int
    users_epoch: str
    users_version: int

    def moved_to(self, rooms_version: int, users_version: int) -> "UserPosition":
        """Return the place at other versions of the same epochs."""
        return replace(self, rooms_version=rooms_version, users_version=users_version)


class Present:
    """Where everybody stands who was told everything: it moves as changes are told."""

    def __init__(self) -> None:
        self.rooms_epoch = ""
        # The version up to which every change was handed out; None before the database was reached for the first time.
        self.rooms_version: int | None = None
        # Empty before a users has told it.
        self.users_epoch = ""
        # The version up to which every change of users was told, and that of the last one which has come.
        self.users_version = self.users_seen = 0
        self._withheld = 0

    def withhold(self, count: int = 1) -> None:
        """Give nobody a place until `give`, because some who have missed something are still to be ended."""
        self._withheld += count

    def give(self, count: int = 1) -> None:
        """Take back a `withhold`."""
        self._withheld -= count

    def position(self) -> UserPosition | None:
        """Return the place, or None where there is none."""
        return None if self.rooms_version is None else self.position_at(self.rooms_version, self.users_version)

    def position_at(self, rooms_version: int, users_version: int) -> UserPosition | None:
        """Return the place of those who were told the changes up to these versions, or None where there is none."""
        if self._withheld or not self.rooms_epoch or not self.users_epoch:
            return None
        return UserPosition(self.rooms_epoch, rooms_version, self.users_epoch, users_version)

    def of_change(self, rooms_version: int) -> UserPosition | None:
        """Return the place of those who were told a change of rooms and all before, or None where there is none."""
        return self.position_at(rooms_version, self.users_version)
