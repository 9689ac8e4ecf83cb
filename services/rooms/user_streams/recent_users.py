"""The last changes of users, each user once as they are by now: what those are told of who were away for a moment."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from chatkit.users.v1 import user_pb2


@dataclass(frozen=True, slots=True)
class ChangedUser:
    """A user, and the version of the last change of them."""

    version: int
    user: user_pb2.User


class RecentUsers:
    """The users who were changed after a version, in the order of their changes; bounded in number and bytes."""

    def __init__(self, *, most: int, most_bytes: int) -> None:
        # Every change after this version is there; None before users was followed.
        self.since: int | None = None
        self._most = most
        self._most_bytes = most_bytes
        self._changed: OrderedDict[str, ChangedUser] = OrderedDict()
        self._bytes = 0

    def reset(self, version: int) -> None:
        """Begin anew: nothing is known of changes up to a version."""
        self.since = version
        self._changed.clear()
        self._bytes = 0

    def add(self, changed: ChangedUser) -> None:
        """Take the newest change; the oldest ones are forgotten where that makes too many."""
        self._forget(changed.user.id)
        self._put(changed)
        while len(self._changed) > self._most or self._bytes > self._most_bytes:
            oldest = next(iter(self._changed.values()))
            self._forget(oldest.user.id)
            self.since = oldest.version

    def extend(self, since: int, until: int, older: Sequence[ChangedUser]) -> bool:
        """Take the changes between two versions, the later one that of `since`; False when they are too many."""
        if until != self.since:
            return False
        added = {changed.user.id: changed for changed in older if changed.user.id not in self._changed}
        size = sum(changed.user.ByteSize() for changed in added.values())
        if len(self._changed) + len(added) > self._most or self._bytes + size > self._most_bytes:
            return False
        for changed in sorted(added.values(), key=lambda changed: -changed.version):
            self._put(changed)
            self._changed.move_to_end(changed.user.id, last=False)
        self.since = since
        return True

    def after(self, version: int) -> list[ChangedUser] | None:
        """Return the users who were changed after a version, in order; None when those are not all there."""
        if self.since is None or version < self.since:
            return None
        found: list[ChangedUser] = []
        for changed in reversed(self._changed.values()):
            if changed.version <= version:
                break
            found.append(changed)
        return found[::-1]

    def _put(self, changed: ChangedUser) -> None:
        self._changed[changed.user.id] = changed
        self._bytes += changed.user.ByteSize()

    def _forget(self, user_id: str) -> None:
        known = self._changed.pop(user_id, None)
        if known is not None:
            self._bytes -= known.user.ByteSize()
