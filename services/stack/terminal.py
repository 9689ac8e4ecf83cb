"""What is shown on somebody's terminal: what other people wrote, and tables."""

from collections.abc import Sequence

from services.runtime.shown import shown


def printable(text: str) -> str:
    """Keep control characters, and whatever else is hidden, from the terminal."""
    return shown(text, lambda _char: " ")


def columns(head: Sequence[object], rows: Sequence[Sequence[object]]) -> str:
    """Return a table as lines, two spaces between its columns; nothing is cut or wrapped."""
    lines = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = ((cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    return "\n".join("  ".join(line).rstrip() for line in padded)
