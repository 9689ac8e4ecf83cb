"""The quickstart for a browser runs in one as it is printed, and all for TypeScript's client compile strictly."""

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from protos import node
from tests.clients.quickstarts.programs import HERE, QUICKSTARTS, Shown, goes_on, install_client, running
from tests.clients.typescript.tools import FOLDER, run
from tests.polyglot.tools import tool
from tests.support.edge import running_edge
from tests.support.suite import Suite
from tests.support.tokens import token

_CHROMIUM = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)
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


class _Site(SimpleHTTPRequestHandler):
    """Serves a folder, and is told what the page shows."""

    def __init__(self, *arguments: Any, shown: Shown, **options: Any) -> None:
        self._shown = shown
        super().__init__(*arguments, **options)

    def do_POST(self) -> None:
        self._shown.lines.append(self.rfile.read(int(self.headers["content-length"])).decode())
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing of what was asked for."""


@asynccontextmanager
async def _site(folder: Path, shown: Shown) -> AsyncIterator[str]:
    """Serve a folder, and lend the origin of its pages."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Site, directory=str(folder), shown=shown)) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            await asyncio.to_thread(server.shutdown)
            thread.join()


async def test_the_page_shows_each_message_once_in_a_browser(suite: Suite, tmp_path: Path, short_path: Path) -> None:
    chromium = tool("chromium")
    await suite.make_users("alice", "bob")
    await suite.make_room("lobby", "alice", "bob")
    site, shown = tmp_path / "site", Shown()
    site.mkdir()
    await install_client(site)
    for source in (QUICKSTARTS / "lobby.html", HERE / "watching.html"):
        shutil.copy(source, site)
    esbuild = await asyncio.to_thread(node.packages) / ".bin" / "esbuild"
    await run(esbuild, "chatkit-client", "--bundle", "--format=esm", "--outfile=chatkit-client.js", cwd=site)
    async with (
        _site(site, shown) as origin,
        running_edge(suite, short_path, CHATKIT_CORS_ORIGINS=origin) as edge,
    ):
        page = f"{origin}/watching.html#http://{edge.address},{token('alice')}"
        async with running(chromium, *_CHROMIUM, f"--user-data-dir={tmp_path / 'profile'}", page):
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
