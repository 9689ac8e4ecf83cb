"""The quickstart for a browser runs in one as it is printed, and all for TypeScript's client compile strictly."""

import asyncio
import json
import re
import shutil
from pathlib import Path

from playwright.async_api import Page, expect

from protos import node
from tests.clients.quickstarts.browser import visiting
from tests.clients.quickstarts.programs import QUICKSTARTS, Shown, goes_on
from tests.clients.typescript.tools import FOLDER, run
from tests.support.suite import Suite
from tests.support.tokens import token

_TSCONFIG = {
    "compilerOptions": {
        "strict": True,
        "noEmit": True,
        "allowJs": True,
        "checkJs": True,
        "target": "es2023",
        "module": "nodenext",
        "jsx": "react-jsx",
        "types": ["node"],
        "paths": {
            "chatkit-client": [f"{FOLDER}/src/index.ts"],
            **{f"chatkit-client/{name}": [f"{FOLDER}/src/{name}.ts"] for name in ("node", "react")},
        },
    },
    "include": ["*.tsx", "*.mjs"],
}


class _Paragraphs(Shown):
    """What a page shows, a paragraph for each message."""

    def __init__(self, page: Page) -> None:
        super().__init__()
        self._page = page

    async def becomes(self, *lines: str) -> None:
        await expect(self._page.locator("p")).to_have_text(list(lines))


async def test_the_page_shows_each_message_once_in_a_browser(suite: Suite, tmp_path: Path, short_path: Path) -> None:
    await suite.make_users("alice", "bob")
    await suite.make_room("lobby", "alice", "bob")
    async with visiting(suite, tmp_path / "site", short_path) as visit:
        shutil.copy(QUICKSTARTS / "lobby.html", tmp_path / "site")
        await visit.page.goto(f"{visit.origin}/lobby.html#http://{visit.edge.address},{token('alice')}")
        await goes_on(_Paragraphs(visit.page), visit.edge)


async def test_all_of_them_compile_strictly(tmp_path: Path) -> None:
    packages = await asyncio.to_thread(node.packages)
    (tmp_path / "node_modules").symlink_to(packages)
    (tmp_path / "package.json").write_text(json.dumps({"type": "module"}))
    (tmp_path / "tsconfig.json").write_text(json.dumps(_TSCONFIG))
    (script,) = re.findall(
        r'<script type="module">\n(.*?)</script>', (QUICKSTARTS / "lobby.html").read_text(), re.DOTALL
    )
    (tmp_path / "page.mjs").write_text(script)
    for name in ("lobby.mjs", "Lobby.tsx"):
        shutil.copy(QUICKSTARTS / name, tmp_path)
    await run(packages / ".bin" / "tsc", "--project", tmp_path)
