"""`import` and `export` of a service, run in the test's process."""

import io
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from services.messages.transfer import exporting, importing
from services.rooms import transfer as of_rooms
from services.runtime.clock import SystemClock
from services.runtime.process.command import opened
from services.runtime.process.transferring import only_look, take
from services.users import transfer as of_users
from tests.support.suite import Suite

_IMPORTS: dict[str, Any] = {"users": of_users, "rooms": of_rooms, "messages": importing}
_EXPORTS: dict[str, Any] = {"users": of_users, "rooms": of_rooms, "messages": exporting}


@dataclass(frozen=True)
class Taken:
    """What an import has answered: its last counts, and what was refused."""

    counts: Mapping[str, int]
    refused: Sequence[Mapping[str, Any]]

    @property
    def reasons(self) -> list[tuple[str, str]]:
        """What was refused, each by its place, and why."""
        return [(refused["where"], refused["reason"]) for refused in self.refused]


async def run_import(suite: Suite, service: str, records: Sequence[object], *, dry: bool = False) -> Taken:
    """Hand records to a service; each that has no place of its own is called by its number, from 1."""
    placed = [
        {"where": str(number), **record} if isinstance(record, dict) else record
        for number, record in enumerate(records, 1)
    ]
    lines = "".join(record if isinstance(record, str) else json.dumps(record) + "\n" for record in placed)
    module, settings, clock, out = _IMPORTS[service], suite.settings_of(service), SystemClock(), io.StringIO()
    read = module.reader(settings, clock)

    @asynccontextmanager
    async def writing() -> AsyncIterator[Any]:
        async with opened(service, settings, clock) as tools, module.writer(settings, tools, clock) as write:
            yield write

    await take(io.BytesIO(lines.encode()), read, only_look if dry else writing, out)
    said = [json.loads(line) for line in out.getvalue().splitlines()]
    counts = [answer["counts"] for answer in said if "counts" in answer]
    return Taken(counts[-1] if counts else {}, [answer for answer in said if "where" in answer])


async def run_export(suite: Suite, service: str) -> list[dict[str, Any]]:
    """Return the records that a service gives, as they are as JSON."""
    settings = suite.settings_of(service)
    async with opened(service, settings, SystemClock()) as tools:
        return [json.loads(json.dumps(record)) async for record in _EXPORTS[service].export(settings, tools)]
