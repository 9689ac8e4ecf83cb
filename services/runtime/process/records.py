"""What records of a Chatkit export, a JSON object a line, are answered with, and what is common to those of a kind.

Each record has a `where`, by which it is named in what is answered: a line for what is refused, as `Answers.refuse`
writes it, and after every batch `{"counts": {…}}`, which are of all batches so far.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TextIO

from services.runtime.clock import Clock
from services.runtime.contract.errors import (
    Aborted,
    ChatkitError,
    DeadlineExceeded,
    Internal,
    Unavailable,
    invalid_field,
)
from services.runtime.contract.timestamps import from_rfc3339

# The flag of an import that looks at records first, and the answer when it has seen all of them.
LOOK_FIRST, LOOKED = "look-first", "looked"

Record = Mapping[str, Any]


class Answers:
    """What is said of the records that were read: lines, until they are told, and counts of all."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.counts: Counter[str] = Counter()

    def refuse(self, where: str, error: ChatkitError, part: str = "") -> None:
        """Say that a record was not taken, or was taken without a part of it, and why."""
        told = {"where": where, "reason": error.reason, "message": error.message, "metadata": error.metadata}
        self.lines.append(json.dumps({**told, "part": part}))

    def count(self, name: str, number: int = 1) -> None:
        """Count what became of records."""
        self.counts[name] += number

    def add(self, others: "Answers") -> None:
        """Say what was said elsewhere, and count it."""
        self.lines += others.lines
        self.counts += others.counts

    def tell(self, out: TextIO) -> None:
        """Write the lines, and what was counted so far."""
        told = [*self.lines, json.dumps({"counts": self.counts})]
        self.lines.clear()
        out.write("".join(f"{line}\n" for line in told))
        out.flush()


def time_of(record: Record, field: str, clock: Clock) -> datetime:
    """Return a time of a record. Raises FIELD_INVALID for one in the future: what follows would be as late."""
    time = from_rfc3339(record[field])
    if time > clock.now():
        raise invalid_field("FIELD_INVALID", field, "is in the future")
    return time


def named(what: str, ids: Sequence[str]) -> str:
    """Return what a part of a record is called in a refusal, like `members 'a', 'b'`."""
    return f"{what}{'s' if len(ids) > 1 else ''} {', '.join(map(repr, ids))}"


@contextmanager
def refusing(where: str, answers: Answers) -> Iterator[None]:
    """Refuse a record for an error that is about it; one that says that nothing can be done now is raised."""
    try:
        yield
    except ChatkitError as error:
        refuse(where, error, answers)


def refuse(where: str, error: ChatkitError, answers: Answers) -> None:
    """Refuse a record for an error that is about it. Raises one that says that nothing can be done now.

    Where there are very many records, the context above would be a cost of its own.
    """
    if isinstance(error, Unavailable | DeadlineExceeded | Aborted | Internal):
        raise error
    answers.refuse(where, error)
