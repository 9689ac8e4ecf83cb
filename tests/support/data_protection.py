"""docs/data-protection.md, read: which tables and columns there are, and what of them is exported."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from services.stack.roles import SERVICES
from tests.support.databases import ROOT

_PAGE = ROOT / "docs/data-protection.md"
_QUOTED = re.compile(r"`([^`]+)`")
_LEFT_OUT = "left out:"


@dataclass(frozen=True)
class Row:
    """One row of the page: tables, all their columns, and in which kinds of records they are exported."""

    tables: list[str]
    columns: set[str]
    # Whether it holds nothing of a person.
    is_of_nobody: bool
    kinds: set[str]
    left_out: set[str]


def rows() -> Iterator[Row]:
    """Yield the rows that are about tables."""
    for line in _PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        tables = [name for name in _QUOTED.findall(cells[0]) if name.partition(".")[0] in SERVICES]
        if tables:
            exported, _, left_out = cells[4].partition(_LEFT_OUT)
            yield Row(
                tables=tables,
                columns=set(_QUOTED.findall(cells[1])),
                is_of_nobody=cells[2] == "nothing",
                kinds=set(_QUOTED.findall(exported)),
                left_out=set(_QUOTED.findall(left_out)),
            )
