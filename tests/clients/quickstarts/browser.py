"""A site that has the TypeScript client as one file, and a browser that shows its pages."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from playwright.async_api import Page

from protos import node
from services.stack.machine.ports import Port
from tests.clients.console.browser import chromium, running_browser
from tests.clients.quickstarts.programs import install_client
from tests.clients.typescript.tools import run
from tests.support.edge import Edge, running_edge
from tests.support.suite import Suite


class _Site(SimpleHTTPRequestHandler):
    """Serves a folder."""

    def log_message(self, *_: object) -> None:
        """Say nothing of what was asked for."""


@asynccontextmanager
async def _served(folder: Path) -> AsyncIterator[str]:
    """Lend the origin of a folder's pages."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Site, directory=str(folder))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            await asyncio.to_thread(server.shutdown)
            thread.join()


@dataclass(frozen=True)
class Visit:
    """A browser in front of a site, whose pages may call a suite."""

    edge: Edge
    origin: str
    page: Page


@asynccontextmanager
async def visiting(suite: Suite, site: Path, folder: Path) -> AsyncIterator[Visit]:
    """Serve a site with the client as `chatkit-client.js`, beside a suite; skips the test where there is no browser."""
    chromium()
    await install_client(site)
    esbuild = await asyncio.to_thread(node.packages) / ".bin" / "esbuild"
    await run(esbuild, "chatkit-client", "--bundle", "--format=esm", "--outfile=chatkit-client.js", cwd=site)
    held = Port("127.0.0.1")
    try:
        await suite.restart("files", public_url=f"http://{held.address}")
        async with (
            _served(site) as origin,
            running_edge(suite, folder, listen=held.address, CHATKIT_CORS_ORIGINS=origin) as edge,
            running_browser() as browser,
        ):
            yield Visit(edge, origin, await browser.new_page())
    finally:
        held.release()
