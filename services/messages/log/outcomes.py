"""What becomes of a write."""

import asyncio
from dataclasses import dataclass

from services.messages.model import LogEntry
from services.runtime.contract.errors import ChatkitError


@dataclass(frozen=True, slots=True)
class Appended:
    """A write that is in the log, was there already, or has nothing to change."""

    entry: LogEntry
    is_new: bool

    @property
    def message(self) -> bytes:
        """The message as it is now, serialized. Raises a RuntimeError where retention has swept it."""
        if self.entry.message is None:
            raise RuntimeError("only what is read from the log can have lost its message")
        return self.entry.message


Result = Appended | ChatkitError


def outcome_of(done: "asyncio.Future[Appended]") -> Result:
    """Return what became of a write that is done; raises what is no error of its caller's."""
    error = done.exception()
    if error is None:
        return done.result()
    if not isinstance(error, ChatkitError):
        raise error
    return error
