"""Structured logs: events with keys, one JSON object a line, or text for people.

Logging never raises, because most of it happens while a failure is handled. A line that can't be written is counted,
and the next one that can be written is preceded by how many are missing.
"""

import json
import logging
import os
import sys
from collections.abc import Sequence
from typing import Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from services.runtime.release import Release
from services.runtime.shown import shown

_STDERR = 2
_NEWLINE = b"\n"


def configure(log_format: Literal["json", "text"], service: str, release: Release) -> None:
    """Send the process's logs to standard error in one format; each line says which release it is of."""
    _keep_stderr_taken()
    processors: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        *rendered_as(log_format, colors=os.isatty(_STDERR)),
    ]
    lines = Lines(_STDERR)
    structlog.configure(
        processors=[rendering(processors)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service, version=release.label)
    # It drops by itself what it can't write, and so do warnings.
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)


def rendered_as(log_format: Literal["json", "text"], *, colors: bool) -> list[Processor]:
    """Return the processors that make a line of an event, in which nothing that others wrote is invisible."""
    if log_format == "json":
        return [structlog.processors.JSONRenderer(ensure_ascii=False), lambda _logger, _method, line: _shown(str(line))]
    return [_show_values, structlog.dev.ConsoleRenderer(colors=colors)]


def _show_values(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Escape texts; other values are shown by `repr`, which does. A traceback keeps its lines."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = "\n".join(map(_shown, value.split("\n"))) if key == "exception" else _shown(value)
    return event


def _shown(text: str) -> str:
    """Escape as JSON does what is hidden: ends of lines of any kind, and orders to terminals."""
    return shown(text, lambda char: json.dumps(char)[1:-1])


def complain(text: str) -> None:
    """Write a line for people to standard error, if it can be written."""
    Lines(_STDERR).msg(text)


class Lines:
    """Writes lines to a descriptor, each in one call and past every buffer, or drops them."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._dropped = 0
        # A line was written in part only, because the disk became full in the middle.
        self._is_cut = False

    def msg(self, line: str) -> None:
        """Write a line."""
        text = (line + "\n").encode("utf-8", "backslashreplace")
        if self._dropped or self._is_cut:
            # In front of the line that follows, and lost with it again.
            missing = f'{{"event": "log_lines_lost", "count": {self._dropped}, "level": "warning"}}\n'.encode()
            text = (_NEWLINE if self._is_cut else b"") + missing + text
        try:
            written = os.write(self._descriptor, text)
        except OSError:
            self._dropped += 1
            return
        self._dropped = 0 if written == len(text) else 1
        self._is_cut = written < len(text)

    debug = info = warning = error = critical = exception = msg


def rendering(processors: Sequence[Processor]) -> Processor:
    """Join processors into one that renders an event in any case: at least its name."""

    def render(logger: WrappedLogger, method: str, event: EventDict) -> str:
        rendered: object = dict(event)
        try:
            for process in processors:
                rendered = process(logger, method, rendered)  # type: ignore[arg-type]
        except Exception as error:  # noqa: BLE001 - whatever the values do when they are shown
            name, problem = json.dumps(str(event.get("event"))), type(error).__name__
            return f'{{"event": "log_unrenderable", "of": {name}, "problem": "{problem}"}}'
        return str(rendered)

    return render


def _keep_stderr_taken() -> None:
    """Let nothing else get the number of a standard error that is closed: others write there, and not only Python."""
    try:
        os.fstat(_STDERR)
    except OSError:
        nothing = os.open(os.devnull, os.O_WRONLY)
        if nothing != _STDERR:
            os.dup2(nothing, _STDERR)
            os.close(nothing)
