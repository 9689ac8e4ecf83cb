"""`import` and `export` of a service: records of a Chatkit export, a JSON object a line.

`import` reads records from standard input. Each has a `where`, by which it is named in what is answered on standard
output: a line for what is refused, as `Answers.refuse` writes it, and after every batch `{"counts": {…}}`, which are
of all batches so far. With --dry-run a record is only looked at, and nothing is asked or written. `export` writes
records to standard output. Both end with status 2 when they can't go on; an import that is run again goes on.
"""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, BinaryIO, Generic, TextIO, TypeVar

from services.runtime import logs
from services.runtime.clock import Clock
from services.runtime.contract.errors import (
    Aborted,
    ChatkitError,
    DeadlineExceeded,
    Internal,
    InvalidArgument,
    Unavailable,
    invalid_field,
)
from services.runtime.contract.timestamps import from_rfc3339
from services.runtime.process.command import Tools, opened
from services.runtime.process.main import Command
from services.runtime.settings import Settings

# As many as a transaction takes, of which each costs a write to the disk.
_BATCH = 400
DRY_RUN = "dry-run"

Record = Mapping[str, Any]
_Settings = TypeVar("_Settings", bound=Settings)
_Item = TypeVar("_Item")


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


# Makes of a record what can be written, or raises what the contract says of it; parts of it may be refused.
Read = Callable[[Record, Answers], _Item]
Write = Callable[[Sequence[_Item], Answers], Awaitable[None]]
Export = Callable[[_Settings, Tools], AsyncIterator[Record]]


def import_command(
    service: str,
    reader: Callable[[_Settings, Clock], Read[_Item]],
    writer: Callable[[_Settings, Tools, Clock], AbstractAsyncContextManager[Write[_Item]]],
) -> Command[_Settings]:
    """Return the command of a service that takes records."""

    async def run(settings: _Settings, clock: Clock, flags: Collection[str]) -> int:
        read = reader(settings, clock)
        try:
            if DRY_RUN in flags:
                await take(sys.stdin.buffer, read, None, sys.stdout)
            else:
                async with opened(service, settings, clock) as tools, writer(settings, tools, clock) as write:
                    await take(sys.stdin.buffer, read, write, sys.stdout)
        except ChatkitError as error:
            logs.complain(f"{service}: {error.message}")
            return 2
        return 0

    return Command(run, {DRY_RUN: "only say what would be refused or done"})


async def take(source: BinaryIO, read: Read[_Item], write: Write[_Item] | None, out: TextIO) -> None:
    """Take records, a line each, batch by batch; without `write` only look at them. Raises when it can't go on.

    While one batch is written the next one is read, which costs as much.
    """
    answers = Answers()
    reading = asyncio.create_task(asyncio.to_thread(_batch, source, read))
    try:
        while (batch := await reading).count:
            reading = asyncio.create_task(asyncio.to_thread(_batch, source, read))
            answers.add(batch.answers)
            if write is not None:
                await write(batch.items, answers)
            answers.count("read", batch.count)
            answers.tell(out)
    finally:
        # It may wait for a line for ever, and nobody needs it.
        reading.cancel()


def export_command(service: str, export: Export[_Settings]) -> Command[_Settings]:
    """Return the command of a service that writes its records."""

    async def run(settings: _Settings, clock: Clock, _flags: Collection[str]) -> int:
        try:
            async with opened(service, settings, clock) as tools:
                async for record in export(settings, tools):
                    sys.stdout.write(json.dumps(record, ensure_ascii=False) + "\n")
        except ChatkitError as error:
            logs.complain(f"{service}: {error.message}")
            return 2
        return 0

    return Command(run)


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
    except (Unavailable, DeadlineExceeded, Aborted, Internal):
        raise
    except ChatkitError as error:
        answers.refuse(where, error)


@dataclass(frozen=True, slots=True)
class _Batch(Generic[_Item]):
    """What so many lines hold, and what is said of them before anything is written."""

    count: int
    items: Sequence[_Item]
    answers: Answers


def _batch(source: BinaryIO, read: Read[_Item]) -> _Batch[_Item]:
    lines, answers = list(islice(source, _BATCH)), Answers()
    return _Batch(len(lines), list(_read(lines, read, answers)), answers)


def _read(lines: Sequence[bytes], read: Read[_Item], answers: Answers) -> Iterator[_Item]:
    for line in lines:
        where = ""
        try:
            record = json.loads(line.decode())
            where = str(record["where"])
            yield read(record, answers)
        except ChatkitError as error:
            answers.refuse(where, error)
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
            malformed = f"the record is not what an import takes: {type(error).__name__}: {error}"
            answers.refuse(where, InvalidArgument("REQUEST_MALFORMED", malformed))
