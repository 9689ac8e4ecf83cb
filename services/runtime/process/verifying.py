"""`python -m services.<name> verify`: what a service knows, compared with what the others say; nothing is changed.

Everything is read in pages, while the service serves or while it does not; the others must serve. What does not fit is
told as it is found, a line each.
"""

import json
import sys
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import asdict, dataclass
from typing import TypeVar

from services.runtime import logs
from services.runtime.clock import Clock
from services.runtime.contract.errors import ChatkitError
from services.runtime.data.epoch import Epoch
from services.runtime.process.command import Tools, opened
from services.runtime.process.main import Run
from services.runtime.settings import Settings

_Settings = TypeVar("_Settings", bound=Settings)


@dataclass(frozen=True, slots=True)
class Finding:
    """What does not fit: a kind, what it is about, and a sentence. A note is nothing wrong, and goes by itself."""

    service: str
    kind: str
    id: str
    detail: str
    is_note: bool = False


Compare = Callable[[_Settings, Tools, Clock], AsyncIterator[Finding]]


def verify_command(service: str, compare: Compare[_Settings]) -> Run[_Settings]:
    """Return the command of a service; its status is 0 when all fits, 1 when not, 2 when that can't be said."""

    async def run(settings: _Settings, clock: Clock, flags: Collection[str]) -> int:
        wrong = False
        try:
            async with opened(service, settings, clock) as tools:
                async for finding in compare(settings, tools, clock):
                    _print(finding, is_json="json" in flags)
                    wrong = wrong or not finding.is_note
        except ChatkitError as error:
            logs.complain(f"{service}: {error.message}")
            return 2
        return 1 if wrong else 0

    return run


def _print(finding: Finding, *, is_json: bool) -> None:
    line = json.dumps(asdict(finding), ensure_ascii=False) if is_json else _words(finding)
    sys.stdout.write(f"{line}\n")


def _words(finding: Finding) -> str:
    return f"{finding.service}  {finding.kind}{' (note)' if finding.is_note else ''}  {finding.id}  {finding.detail}"


async def unnoticed(service: str, tools: Tools) -> AsyncIterator[Finding]:
    """Find out whether the schema was put back and no process has noticed yet."""
    if not await Epoch(service).fits(tools.database):
        yield Finding(
            service, "PUT_BACK_UNNOTICED", service, "the schema was put back, and no process has read it since"
        )
