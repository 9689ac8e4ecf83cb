"""Logs that can't be written: nothing raises, and nobody takes half a line for a whole one."""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

import pytest
import structlog

from services.runtime.logs import Lines, rendered_as, rendering
from tests.support.databases import ROOT

_FULL = "/dev/full"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Lend a pipe that takes 64 KiB and then refuses to wait."""
    reading, writing = os.pipe2(os.O_NONBLOCK)
    yield reading, writing
    for descriptor in (reading, writing):
        with suppress(OSError):
            os.close(descriptor)


def test_what_is_full_or_closed_or_read_by_nobody_raises_nothing(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    full = os.open(_FULL, os.O_WRONLY)
    Lines(full).msg("a line")
    os.close(full)
    Lines(full).msg("a line")
    os.close(reading)
    Lines(writing).msg("a line")


def test_what_was_lost_is_counted_where_lines_can_be_written_again(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    lines = Lines(writing)
    lines.msg("x" * 60_000)
    # The first one fits in part only, and the others not at all.
    for _ in range(3):
        lines.msg("y" * 60_000)
    assert os.read(reading, 1 << 20).startswith(b"x" * 60_000 + b"\n" + b"y")
    lines.msg("after")
    lines.msg("last")
    cut, lost, *rest = os.read(reading, 1 << 20).decode().splitlines()
    assert (cut, rest) == ("", ["after", "last"])
    assert json.loads(lost) == {"event": "log_lines_lost", "count": 3, "level": "warning"}


def test_text_that_no_encoding_has_is_written_nevertheless(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    Lines(writing).msg("half a \ud83d pair")
    assert os.read(reading, 1000) == b"half a \\ud83d pair\n"


def test_an_event_whose_values_cannot_be_shown_still_tells_its_name() -> None:
    class Unshowable:
        def __repr__(self) -> str:
            raise LookupError

    render = rendering([structlog.processors.JSONRenderer()])
    shown = render(None, "info", {"event": "odd", "value": Unshowable()})
    assert isinstance(shown, str)
    assert json.loads(shown) == {"event": "log_unrenderable", "of": "odd", "problem": "LookupError"}


# Ends of lines by somebody's count, an order to terminals, text that runs the other way, and half a pair.
_FAMILY = "👨\u200d👩\u200d👧 🫎"
_HIDDEN = "a\n\r\x0b\x85\u2028\u2029\x1b[31m\u202e\ud83db"


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_what_others_wrote_is_one_line_of_printable_characters(log_format: Literal["json", "text"]) -> None:
    render = rendering(rendered_as(log_format, colors=False))
    shown = render(None, "info", {"event": "odd", "value": _HIDDEN, "list": [_HIDDEN], "name": f"møøse {_FAMILY}"})
    assert isinstance(shown, str)
    assert not {char for char in shown if char in _HIDDEN and not char.isprintable()}
    if log_format == "json":
        assert f"møøse {_FAMILY}" in shown
        assert json.loads(shown)["value"] == _HIDDEN


def test_a_traceback_for_people_keeps_its_lines_and_nothing_else_that_is_hidden() -> None:
    render = rendering(rendered_as("text", colors=False))
    shown = render(None, "error", {"event": "odd", "exception": "Traceback\n  x\x1b[31m"})
    assert isinstance(shown, str)
    assert all(line.isprintable() for line in shown.split("\n"))
    assert "\n  x" in shown


def test_nothing_else_gets_the_number_of_a_standard_error_that_is_closed() -> None:
    code = (
        "import os; from services.runtime import logs; from services.runtime.release import Release\n"
        "logs.configure('json', 'users', Release())\n"
        "print(os.open('/dev/null', os.O_RDONLY) > 2, os.readlink('/proc/self/fd/2'))"
    )
    command = ["sh", "-c", 'exec "$@" 2>&-', "sh", sys.executable, "-c", code]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout == "True /dev/null\n"


# What a line has by itself: what was bound, and what the processors add.
_EVERY_LINE = {"event", "exception", "level", "service", "timestamp", "version"}
_LEVELS = {"debug", "info", "warning", "error", "critical", "exception", "bind"}


def _keys(path: Path) -> Iterator[tuple[int, str | None]]:
    """Yield the keys that a file's log calls name, with their lines; None is a mapping of any keys."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="_log"), attr=level)) if level in _LEVELS:
                yield from ((node.lineno, keyword.arg) for keyword in node.keywords)


def test_no_line_says_under_a_key_of_every_line_something_else() -> None:
    keys = [(path, *key) for path in sorted((ROOT / "services").rglob("*.py")) for key in _keys(path)]
    assert len(keys) > len(_LEVELS)
    wrong = [f"{path}:{line} {key}" for path, line, key in keys if key is None or key in _EVERY_LINE]
    assert wrong == []


def test_every_line_has_these_keys_by_itself() -> None:
    code = (
        "import structlog; from services.runtime import logs; from services.runtime.release import Release\n"
        "logs.configure('json', 'users', Release())\n"
        "try: 1 / 0\n"
        "except ZeroDivisionError: structlog.get_logger().exception('odd')"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(ended.stderr).keys() == _EVERY_LINE
