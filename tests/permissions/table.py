"""matrix.md and internal_matrix.md: how the tables of callers and methods are written and read."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tests.permissions.callers import CALLERS, LEFT_OUT, OK

FILES = (Path(__file__).with_name("matrix.md"), Path(__file__).with_name("internal_matrix.md"))
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
not read is left out. What services ask each other is in [internal_matrix.md](internal_matrix.md).

"""
_INTERNAL_TITLE = """# Who may call what services ask each other

The cells and columns are those of [matrix.md](matrix.md).

"""
_EXPLANATION = """
"It" is the permission that the method asks for. `su` is a superuser who acts for somebody else; `service` signs in with
a token that services use among themselves. A role that grants nothing is called `nothing` here.

"""


def written(cells: Mapping[str, Sequence[str]]) -> tuple[str, str]:
    """Return the files' texts for the reasons of each row, in the order of the callers."""
    public = {name: told for name, told in cells.items() if not name.startswith("internal.")}
    internal = {name: told for name, told in cells.items() if name not in public}
    return _legend() + _methods(public), _INTERNAL_TITLE + _methods(internal)


def _legend() -> str:
    reasons = [(word, "" if reason in {OK, LEFT_OUT} else reason) for reason, word in _WORDS.items()]
    callers = [(caller.name, caller.global_role, caller.place) for caller in CALLERS]
    cells, columns = ("cell", "reason of the refusal"), ("column", "global role", "in the room")
    return f"{_TITLE}{_table(cells, reasons)}\n{_table(columns, callers)}{_EXPLANATION}"


def _methods(cells: Mapping[str, Sequence[str]]) -> str:
    rows = [(name, *(_WORDS[reason] for reason in told)) for name, told in cells.items()]
    return _table(("method", *(caller.name for caller in CALLERS)), rows)


def read() -> dict[str, list[str]]:
    """Return the reasons of each row that the files tell."""
    reasons = {word: reason for reason, word in _WORDS.items()}
    lines = [line for file in FILES for line in file.read_text().splitlines() if "Service/" in line]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {name: [reasons[word] for word in row] for name, *row in cells}


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    padded = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in padded)
