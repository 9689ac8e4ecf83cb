"""The records that can be taken, as JSON, in a temporary database of SQLite.

A log is written in the order of its times, which an export need not have; sorted here, it never has to fit into memory.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from zlib import crc32

_MAKE = """
    CREATE TABLE records (
        number INTEGER PRIMARY KEY, kind TEXT, lane INTEGER, room TEXT, time INTEGER, key TEXT, place TEXT, record TEXT
    )
"""
_ADD = "INSERT INTO records (kind, lane, room, time, key, place, record) VALUES (?, ?, ?, ?, ?, ?, ?)"
_ORDERED = "CREATE INDEX IF NOT EXISTS in_order ON records (kind, lane, room, time, number)"
_IN_ORDER = "SELECT number, record FROM records WHERE kind = ? AND lane = ? ORDER BY room, time, number"
_OF_KEYS = """
    SELECT number, place FROM records
    WHERE kind = ? AND key IN (SELECT value FROM json_each(?)) ORDER BY number
"""


@dataclass(frozen=True, slots=True)
class Staged:
    """Where a record stands in the export, and what it is known by: an id, of messages their sender's."""

    kind: str
    key: str
    place: str


class Staging:
    """Holds records by their numbers, from 1, those of a room in one of several lanes."""

    def __init__(self, lanes: int = 1) -> None:
        self._lanes = range(lanes)
        # Without a name it is in a file of its own, as soon as it is large, which nobody else sees.
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute(_MAKE)
        self._database.execute("BEGIN")

    def add(self, kind: str, place: str, key: str, record: str, *, room: str = "", time: int = 0) -> int:
        """Keep a record, and return its number; records come out by their rooms, times and numbers."""
        lane = crc32(room.encode()) % len(self._lanes)
        number = self._database.execute(_ADD, (kind, lane, room, time, key, _storable(place), record)).lastrowid
        if number is None:
            raise RuntimeError("SQLite has given no number")
        return number

    def find(self, number: int) -> Staged:
        """Return where a record comes from."""
        row = self._database.execute("SELECT kind, key, place FROM records WHERE number = ?", (number,)).fetchone()
        return Staged(row[0], row[1], _place(row[2]))

    def remove(self, number: int) -> None:
        """Leave a record out."""
        self._database.execute("UPDATE records SET kind = 'refused' WHERE number = ?", (number,))

    def count(self, kind: str) -> int:
        """Return how many records of a kind there are."""
        return int(self._database.execute("SELECT count(*) FROM records WHERE kind = ?", (kind,)).fetchone()[0])

    def records(self, kind: str) -> Iterator[tuple[int, str]]:
        """Yield the records of a kind with their numbers, lane by lane."""
        for lane in self._lanes:
            yield from self.lane(kind, lane)

    def lane(self, kind: str, lane: int) -> Iterator[tuple[int, str]]:
        """Yield the records of a kind that are in a lane in their order, with their numbers."""
        self._database.execute(_ORDERED)
        yield from self._database.execute(_IN_ORDER, (kind, lane))

    def keys(self, kind: str) -> Iterator[str]:
        """Yield what the records of a kind are known by, each once."""
        for row in self._database.execute("SELECT DISTINCT key FROM records WHERE kind = ?", (kind,)):
            yield row[0]

    def of_keys(self, kind: str, keys: Iterable[str]) -> Iterator[tuple[int, str]]:
        """Yield the numbers and places of the records that are known by any of these."""
        found: Iterable[Any] = self._database.execute(_OF_KEYS, (kind, json.dumps(list(keys)))).fetchall()
        for number, place in found:
            yield number, _place(place)

    def close(self) -> None:
        """Forget everything."""
        self._database.close()


def _storable(place: str) -> bytes:
    # A path may hold bytes that are no text.
    return place.encode(errors="surrogateescape")


def _place(stored: bytes) -> str:
    return stored.decode(errors="surrogateescape")
