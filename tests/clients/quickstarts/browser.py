"""Chromium, and a site whose pages tell the test what they show."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from protos import node
from tests.clients.quickstarts.programs import Program, Shown, install_client, running
from tests.clients.typescript.tools import run
from tests.polyglot.tools import tool

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
async def served(folder: Path, shown: Shown) -> AsyncIterator[str]:
    """Serve a folder and the client as one file, and lend the origin of its pages; skips the test without a browser."""
    tool("chromium")
    await install_client(folder)
    esbuild = await asyncio.to_thread(node.packages) / ".bin" / "esbuild"
    await run(esbuild, "chatkit-client", "--bundle", "--format=esm", "--outfile=chatkit-client.js", cwd=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Site, directory=str(folder), shown=shown)) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            await asyncio.to_thread(server.shutdown)
            thread.join()


def browsing(page: str, profile: Path) -> AbstractAsyncContextManager[Program]:
    """Show a page until it was left."""
    return running(tool("chromium"), *_CHROMIUM, f"--user-data-dir={profile}", page)
