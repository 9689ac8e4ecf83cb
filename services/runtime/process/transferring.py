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
from datetime import datetime
from itertools import islice
from typing import Any, BinaryIO, TextIO, TypeVar

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
    """What is said of the records that were read."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._counts: Counter[str] = Counter()

    def refuse(self, where: str, error: ChatkitError, part: str = "") -> None:
        """Say that a record was not taken, or was taken without a part of it, and why."""
        told = {"where": where, "reason": error.reason, "message": error.message, "metadata": error.metadata}
        self._write({**told, "part": part})

    def count(self, name: str, number: int = 1) -> None:
        """Count what became of records."""
        self._counts[name] += number

    def tell(self) -> None:
        """Say what was counted so far."""
        self._write({"counts": self._counts})
        self._out.flush()

    def _write(self, told: Mapping[str, Any]) -> None:
        self._out.write(json.dumps(told) + "\n")


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
        read, answers = reader(settings, clock), Answers(sys.stdout)
        try:
            if DRY_RUN in flags:
                await take(sys.stdin.buffer, read, None, answers)
            else:
                async with opened(service, settings, clock) as tools, writer(settings, tools, clock) as write:
                    await take(sys.stdin.buffer, read, write, answers)
        except ChatkitError as error:
            logs.complain(f"{service}: {error.message}")
            return 2
        return 0

    return Command(run, {DRY_RUN: "only say what would be refused or done"})


async def take(source: BinaryIO, read: Read[_Item], write: Write[_Item] | None, answers: Answers) -> None:
    """Take records, a line each, batch by batch; without `write` only look at them. Raises when it can't go on."""
    while lines := await asyncio.to_thread(_lines, source):
        items = list(_read(lines, read, answers))
        if write is not None:
            await write(items, answers)
        answers.count("read", len(lines))
        answers.tell()


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


def _lines(source: BinaryIO) -> list[bytes]:
    return list(islice(source, _BATCH))


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
