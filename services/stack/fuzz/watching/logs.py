"""Tracebacks in the logs of a home, and what PostgreSQL says of processes that have ended."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

_ENDED = re.compile(r"PANIC|was terminated by signal")
_TRACEBACK = "Traceback (most recent call last)"
# What stands between a traceback and that of its consequence, and within how many lines.
_CHAINED = ("During handling of the above exception", "The above exception was the direct cause")
_MOST_LINES = 12
# gRPC's own lines about headers that are no text, and about calls whose connection has gone while they were answered.
_EXPECTED = (
    "ERROR:grpc._cython.cygrpc:Invalid encoding on",
    "ERROR:grpc._cython.cygrpc:ExecuteBatchError raised in core",
)
_NUMBERS = re.compile(r"0x[0-9a-f]+|[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{32}|\d+")


class Logs:
    """What was written to a folder of logs since it was looked at last."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[int, int] = {}

    def skip(self) -> None:
        """Leave out what is there."""
        for path in self._folder.glob("*.log*"):
            status = path.stat()
            self._read[status.st_ino] = status.st_size

    def failures(self) -> Iterator[tuple[str, str]]:
        """Yield of each new failure in which log it is, and its lines."""
        # A log that is full gets another name, and stays the same file.
        for path in sorted(self._folder.glob("*.log*")):
            with path.open("rb") as file:
                place = self._read.get(path.stat().st_ino, 0)
                file.seek(place)
                new = file.read()
            # The last line may not be whole yet.
            whole = new[: new.rfind(b"\n") + 1]
            self._read[path.stat().st_ino] = place + len(whole)
            for failure in _failures(whole.decode("utf-8", "replace")):
                yield path.name.partition(".")[0], failure


def shortened(failure: str) -> str:
    """Return what is the same in all failures of a kind."""
    lines = [line for line in failure.strip().split("\n") if line.strip()]
    return _NUMBERS.sub("…", lines[-1])[:200]


def _failures(text: str) -> Iterator[str]:
    lines = text.split("\n")
    number = 0
    while number < len(lines):
        line = lines[number]
        if _TRACEBACK in line and (told := _told(line)):
            yield told
        elif line.startswith(_TRACEBACK):
            end = _end(lines, number)
            failure = "\n".join(lines[max(0, number - 1) : end])
            if not failure.startswith(_EXPECTED):
                yield failure
            number = end - 1
        elif _ENDED.search(line):
            yield line
        number += 1


def _told(line: str) -> str:
    """Return the traceback of a line in JSON; nothing where it is none."""
    try:
        said = json.loads(line)
    except ValueError:
        return ""
    return f"{said.get('event')} {said.get('method', '')}\n{said.get('exception', line)}"


def _end(lines: list[str], number: int) -> int:
    """Return where a traceback in plain lines ends, with those of what it was caused by."""
    while number < len(lines):
        number += 1
        while number < len(lines) and lines[number].startswith(" "):
            number += 1
        # The error itself, which may have several lines, and is followed by another one or by something else.
        rest = lines[number : number + _MOST_LINES]
        chained = next((at for at, line in enumerate(rest) if line.startswith(_CHAINED)), None)
        if chained is None:
            return min(number + 1, len(lines))
        number += chained + 2
    return number
