"""matrix.md: how the table of callers and methods is written and read."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tests.permissions.callers import CALLERS, LEFT_OUT, OK

FILE = Path(__file__).with_name("matrix.md")
_WORDS = {
    OK: "ok",
    LEFT_OUT: LEFT_OUT,
    "METHOD_NOT_FOUND": "no method",
    "TOKEN_MISSING": "no token",
    "TOKEN_INVALID": "bad token",
    "SUPERUSER_REQUIRED": "su only",
    "ROOM_ACCESS_DENIED": "no room",
    "PERMISSION_MISSING": "no right",
}
_TITLE = """# Who may call what

Each cell is what a call through the edge answers. The room is private where the row does not say that it is public, and
a message is another member's where the row does not say that it is one's own. Of a stream of several rooms it is what
the room answers: the stream itself goes on. A call that reads what is in several rooms is ok, and what the caller may
not read is left out.

"""
_EXPLANATION = """
"It" is the permission that the method asks for. `su` is a superuser who acts for somebody else; `service` signs in with
a token that services use among themselves. A role that grants nothing is called `nothing` here.

"""


def written(cells: Mapping[str, Sequence[str]]) -> str:
    """Return the file's text for the reasons of each row, in the order of the callers."""
    reasons = [(word, "" if reason in {OK, LEFT_OUT} else reason) for reason, word in _WORDS.items()]
    callers = [(caller.name, caller.global_role, caller.place) for caller in CALLERS]
    rows = [(name, *(_WORDS[reason] for reason in told)) for name, told in cells.items()]
    return "".join(
        (
            _TITLE,
            _table(("cell", "reason of the refusal"), reasons),
            "\n",
            _table(("column", "global role", "in the room"), callers),
            _EXPLANATION,
            _table(("method", *(caller.name for caller in CALLERS)), rows),
        )
    )


def read() -> dict[str, list[str]]:
    """Return the reasons of each row that the file tells."""
    reasons = {word: reason for reason, word in _WORDS.items()}
    lines = [line for line in FILE.read_text().splitlines() if "Service/" in line]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {name: [reasons[word] for word in row] for name, *row in cells}


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    padded = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in padded)
