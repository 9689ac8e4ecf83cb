"""What the pages say of the contract is what the contract says, and the files that they name are there."""

import re
from pathlib import Path

import pytest

from services.runtime.contract.policies import LimitRow, limits_table
from tests.contract.descriptors import ROOT


def _line(row: LimitRow) -> str:
    planned = " (planned)" if row.planned else ""
    return f"| {row.name}{planned} | {row.default:,} | {row.unit} | {row.description} |"


def test_the_table_of_limits_is_the_contracts() -> None:
    head = ["| limit | default | unit | what it bounds |", "| --- | --- | --- | --- |"]
    table = "\n".join([*head, *map(_line, limits_table({}))])
    assert table in (ROOT / "README.md").read_text(), f"README.md must have:\n{table}"


PAGES = [
    page for pattern in ("*.md", "docs/**/*.md", "*/README.md", "services/*/README.md") for page in ROOT.glob(pattern)
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_files_that_a_page_names_are_there(page: Path) -> None:
    named = re.findall(r"`((?:benchmarks|clients|docs|protos|services|tests)/[\w./-]+\.\w+)`", page.read_text())
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_modules_that_a_page_names_are_there(page: Path) -> None:
    """A service's page names them from its own folder; others may leave out the folder that the text is about."""
    modules = {f"/{path.relative_to(ROOT)}" for path in ROOT.glob("[!.]*/**/*.py")}
    own = page.parent.relative_to(ROOT)
    for name in re.findall(r"`([\w/]+\.py)`", page.read_text()):
        if own.parts[:1] == ("services",) and len(own.parts) == 2 and not name.startswith("test_"):
            assert f"/{own}/{name}" in modules or f"/services/{name}" in modules or f"/{name}" in modules, name
        else:
            assert any(module.endswith(f"/{name}") for module in modules), name
