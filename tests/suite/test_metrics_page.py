"""docs/metrics.md names every figure that services tell, and no other."""

import re
from pathlib import Path

from tests.checks.steps import ROOT
from tests.support.databases import TestDatabase
from tests.support.told_figures import told_figures

_ROW = re.compile(r"^\| `(\w+)` \| (\w+) \|[^|]*\| (.+) \|$", re.MULTILINE)
# What Python and the process tell is named there, and not listed.
_OTHERS = ("process_", "python_")


async def test_the_page_is_what_services_tell(database: TestDatabase, tmp_path: Path) -> None:
    figures = await told_figures(database, tmp_path)
    told = {name: figure for name, figure in figures.items() if not name.startswith(_OTHERS)}
    page = (ROOT / "docs" / "metrics.md").read_text()
    documented = {name: (kind, text) for name, kind, text in _ROW.findall(page)}
    assert documented == told, "\n".join(f"| `{name}` | {kind} | | {text} |" for name, (kind, text) in told.items())
