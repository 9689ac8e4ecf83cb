"""What things were serialized to last: of what pages show, most is what it was when it was shown before."""

from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

_Thing = TypeVar("_Thing")
_MOST_BYTES = 2 * 1024 * 1024


class Serialized(Generic[_Thing]):
    """Serializes things that have uids, and no thing twice as long as it is equal to what it was.

    It is compared whole, so that nothing has to be said when a thing changes. What was kept first goes first.
    """

    def __init__(self, proto_of: Callable[[_Thing], Any], *, most_bytes: int = _MOST_BYTES) -> None:
        self._proto_of = proto_of
        self._most_bytes = most_bytes
        self._kept: dict[Hashable, tuple[_Thing, bytes]] = {}
        self._bytes = 0

    def of(self, uid: Hashable, thing: _Thing) -> bytes:
        """Serialize a thing."""
        kept = self._kept.get(uid)
        if kept is not None and kept[0] == thing:
            return kept[1]
        serialized: bytes = self._proto_of(thing).SerializeToString()
        self._bytes += len(serialized) - (len(kept[1]) if kept is not None else 0)
        self._kept[uid] = thing, serialized
        while self._bytes > self._most_bytes:
            _, forgotten = self._kept.pop(next(iter(self._kept)))
            self._bytes -= len(forgotten)
        return serialized
