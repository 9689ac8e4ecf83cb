"""What the pages say of the contract is what the contract says, and the files that they name are there."""

import re
from pathlib import Path

import pytest

from services.runtime.contract.policies import LimitRow, limits_table
from services.stack.commands.first_steps import OPERATOR, ready
from services.stack.home import DEFAULT, Home
from tests.contract.descriptors import ROOT
from tests.contract.pages import anchors, broken_links, pages


def _line(row: LimitRow) -> str:
    planned = " (planned)" if row.planned else ""
    return f"| {row.name}{planned} | {row.default:,} | {row.unit} | {row.description} |"


def test_the_table_of_limits_is_the_contracts() -> None:
    head = ["| limit | default | unit | what it bounds |", "| --- | --- | --- | --- |"]
    table = "\n".join([*head, *map(_line, limits_table({}))])
    assert table in (ROOT / "docs/limits.md").read_text(), f"docs/limits.md must have:\n{table}"


def test_the_first_page_shows_what_up_prints() -> None:
    # A token is longer than any page.
    tokens = dict.fromkeys(("alice", "bob", OPERATOR), "…")
    printed = ready(Home(ROOT / DEFAULT), "127.0.0.1:8080", 8.1, tokens).replace(str(ROOT), "/home/you/chatkit")
    assert f"```\n{printed}```\n" in (ROOT / "README.md").read_text(), f"README.md must have:\n{printed}"


MOST_LINES = 120

every_page = pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))


@every_page
def test_a_page_can_be_read_at_once(page: Path) -> None:
    assert len(page.read_text().splitlines()) <= MOST_LINES


@every_page
def test_the_links_of_a_page_lead_to_files_and_headings(page: Path) -> None:
    assert list(broken_links(page)) == []


def test_a_link_that_leads_nowhere_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# Other\n\n## What `it` says, and why\n\n```\n# no heading\n```\n")
    page = tmp_path / "page.md"
    page.write_text(
        "# Page\n[a](other.md) [b](other.md#what-it-says-and-why) [c](#page) [d](https://example.com) `[e](code.md)`\n"
        "[f](gone.md) [g](other.md#gone) [h](#gone) [i\nj](other.md#no-heading)\n"
    )
    assert anchors((tmp_path / "other.md").read_text()) == {"other", "what-it-says-and-why"}
    assert list(broken_links(page)) == ["gone.md", "other.md#gone", "#gone", "other.md#no-heading"]


@every_page
def test_the_files_that_a_page_names_are_there(page: Path) -> None:
    named = re.findall(r"`((?:benchmarks|clients|docs|protos|services|tests)/[\w./-]+\.\w+)`", page.read_text())
    assert [name for name in named if not (ROOT / name).exists()] == []


@every_page
def test_the_modules_that_a_page_names_are_there(page: Path) -> None:
    """A service's pages name them from their own folder or one above it; others may leave out the text's folder."""
    for name in re.findall(r"`([\w/]+\.py)`", page.read_text()):
        assert _is_there(name, page.parent.relative_to(ROOT)), name


MODULES = list(ROOT.glob("[!.]*/**/*.py"))


def _is_there(module: str, folder: Path) -> bool:
    if folder.parts[:1] == ("services",) and len(folder.parts) > 1 and not module.startswith("test_"):
        return any((ROOT / above / module).exists() for above in (folder, *folder.parents))
    return any(path.match(module) for path in MODULES)
