"""The pages in Markdown, read: which there are, where their links lead, and which headings can be led to."""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.contract.descriptors import ROOT

_CODE = re.compile(r"```.*?```|`(?:[^`\n]|\n(?!\s*\n))*`", re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_ELSEWHERE = re.compile(r"[a-z]+:")


def pages() -> list[Path]:
    """List the pages of the repository; what tools leave behind in folders of their own is none."""
    return sorted(path for path in ROOT.rglob("*.md") if not _is_left_behind(path.relative_to(ROOT)))


def _is_left_behind(path: Path) -> bool:
    return any(part.startswith(".") or part == "node_modules" for part in path.parts)


def anchors(text: str) -> set[str]:
    """Return what the headings of a page are called in links, spelled as GitHub does."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> Iterator[str]:
    """Yield the links of a page, but for those to other places, that lead to no file or to no heading of it."""
    for link in _LINK.findall(_CODE.sub("", page.read_text())):
        if _ELSEWHERE.match(link):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
            yield link
