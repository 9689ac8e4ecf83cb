"""`import` and `export` of a service: records of a Chatkit export, a JSON object a line.

`import` reads records from standard input, and answers on standard output; see records. With --dry-run a record is only
looked at, and nothing is asked or written; with --look-first those up to an empty line are, then `{"looked": true}` is
answered, and what follows is written. `export` writes records to standard output. Both end with status 2 when they
can't go on; an import that is run again goes on.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import Any, Generic, TextIO, TypeVar

from services.runtime import logs
from services.runtime.clock import Clock
from services.runtime.contract.errors import ChatkitError, InvalidArgument
from services.runtime.process.command import Tools, opened
from services.runtime.process.main import Run
from services.runtime.process.records import LOOK_FIRST, LOOKED, Answers, Record
from services.runtime.settings import Settings

# As many as a transaction takes, of which each costs a write to the disk.
_BATCH = 400
_DRY_RUN = "dry-run"

_Settings = TypeVar("_Settings", bound=Settings)
_Item = TypeVar("_Item")

# Makes of a record what can be written, or raises what the contract says of it; parts of it may be refused.
Read = Callable[[Record, Answers], _Item]
Write = Callable[[Sequence[_Item], Answers], Awaitable[None]]
Export = Callable[[_Settings, Tools], AsyncIterator[Record]]


def import_command(
    service: str,
    reader: Callable[[_Settings, Clock], Read[_Item]],
    writer: Callable[[_Settings, Tools, Clock], AbstractAsyncContextManager[Write[_Item]]],
) -> Run[_Settings]:
    """Return the command of a service that takes records."""

    async def run(settings: _Settings, clock: Clock, flags: Collection[str]) -> int:
        read = reader(settings, clock)

        @asynccontextmanager
        async def writing() -> AsyncIterator[Write[_Item]]:
            async with opened(service, settings, clock) as tools, writer(settings, tools, clock) as write:
                yield write

        try:
            if LOOK_FIRST in flags:
                await take(takewhile(bytes.strip, sys.stdin.buffer), read, only_look, sys.stdout)
                sys.stdout.write(json.dumps({LOOKED: True}) + "\n")
                sys.stdout.flush()
            await take(sys.stdin.buffer, read, only_look if _DRY_RUN in flags else writing, sys.stdout)
        except ChatkitError as error:
            logs.complain(f"{service}: {error.message}")
            return 2
        return 0

    return run


@asynccontextmanager
async def only_look() -> AsyncIterator[Write[Any]]:
    """Lend what writes nothing."""

    async def write(_items: Sequence[Any], _answers: Answers) -> None:
        """Only looked at."""

    yield write


async def take(
    lines: Iterable[bytes],
    read: Read[_Item],
    writing: Callable[[], AbstractAsyncContextManager[Write[_Item]]],
    out: TextIO,
) -> None:
    """Take records, a line each, batch by batch; `writing` is asked for when the first have come.

    Raises when it can't go on. While one batch is written the next one is read, which costs as much.
    """
    answers, rest = Answers(), iter(lines)

    def reading_on() -> "asyncio.Task[_Batch[_Item]]":
        return asyncio.create_task(asyncio.to_thread(_batch, rest, read))

    reading = reading_on()
    try:
        if not (batch := await reading).count:
            return
        async with writing() as write:
            while batch.count:
                reading = reading_on()
                answers.add(batch.answers)
                await write(batch.items, answers)
                answers.count("read", batch.count)
                answers.tell(out)
                batch = await reading
    finally:
        # It may wait for a line for ever, and nobody needs it.
        reading.cancel()


def export_command(service: str, export: Export[_Settings]) -> Run[_Settings]:
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

    return run


@dataclass(frozen=True, slots=True)
class _Batch(Generic[_Item]):
    """What so many lines hold, and what is said of them before anything is written."""

    count: int
    items: Sequence[_Item]
    answers: Answers


def _batch(rest: Iterator[bytes], read: Read[_Item]) -> _Batch[_Item]:
    lines, answers = list(islice(rest, _BATCH)), Answers()
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
