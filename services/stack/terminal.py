"""What is shown on somebody's terminal: what other people wrote, tables, and remarks."""

import sys
from collections.abc import Sequence

from services.runtime.shown import shown

_THOUSAND = 1000
_UNITS = ("kB", "MB", "GB", "TB")


def printable(text: str) -> str:
    """Keep control characters, and whatever else is hidden, from the terminal."""
    return shown(text, lambda _char: " ")


def notice(text: str) -> None:
    """Say something beside what a command prints: on standard error, and dimmed where that is a terminal."""
    dim, plain = ("\x1b[2m", "\x1b[0m") if sys.stderr.isatty() else ("", "")
    sys.stderr.write(f"{dim}{text}{plain}\n")
    sys.stderr.flush()


def size(count: int) -> str:
    """Return a number of bytes as people read it: 17 bytes, 4.2 kB, 120.0 MB."""
    if count < _THOUSAND:
        return f"{count} byte{'s' * (count != 1)}"
    number, unit = count / _THOUSAND, 0
    while round(number, 1) >= _THOUSAND and unit < len(_UNITS) - 1:
        number, unit = number / _THOUSAND, unit + 1
    return f"{number:,.1f} {_UNITS[unit]}"


def columns(head: Sequence[object], rows: Sequence[Sequence[object]]) -> str:
    """Return a table as lines, two spaces between its columns; nothing is cut or wrapped."""
    lines = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = ((cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    return "\n".join("  ".join(line).rstrip() for line in padded)
