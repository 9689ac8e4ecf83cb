"""The quickstart for a browser runs in one as it is printed, and all for TypeScript's client compile strictly."""

import asyncio
import json
import re
import shutil
from pathlib import Path

from protos import node
from tests.clients.quickstarts.browser import browsing, served
from tests.clients.quickstarts.programs import HERE, QUICKSTARTS, Shown, goes_on
from tests.clients.typescript.tools import FOLDER, run
from tests.support.edge import running_edge
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


async def test_the_page_shows_each_message_once_in_a_browser(suite: Suite, tmp_path: Path, short_path: Path) -> None:
    await suite.make_users("alice", "bob")
    await suite.make_room("lobby", "alice", "bob")
    site, shown = tmp_path / "site", Shown()
    site.mkdir()
    for source in (QUICKSTARTS / "lobby.html", HERE / "watching.html"):
        shutil.copy(source, site)
    async with served(site, shown) as origin, running_edge(suite, short_path, CHATKIT_CORS_ORIGINS=origin) as edge:
        page = f"{origin}/watching.html#http://{edge.address},{token('alice')}"
        async with browsing(page, tmp_path / "profile"):
            await goes_on(shown, edge)


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
