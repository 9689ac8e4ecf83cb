"""A page may open the console as a window, too: a host signs its users in there, and any other page is told nothing."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, Frame, Page, expect

from tests.clients.console.hosts import Host, running_host
from tests.contract.descriptors import ROOT
from tests.support import tokens
from tests.support.edge import Edge, running_edge
from tests.support.eventually import HANG_SECONDS

_SAMPLE = "https://suite.example"


_LISTENING = "<script>window.heard = []; onmessage = ({ data }) => heard.push(data)</script>"


async def test_the_page_that_is_documented_signs_in_in_its_frame_and_in_a_window(edge: Edge, browser: Browser) -> None:
    async with running_host() as host, _knowing(host, edge) as console:
        page = await _page(browser, host, _documented(console))
        await _is_signed_in(page.frames[1])
        await _is_signed_in(await _opened(page, console))


async def test_another_page_that_opens_it_is_not_asked_and_hands_nothing_over(edge: Edge, browser: Browser) -> None:
    async with running_host() as host, running_host() as stranger, _knowing(host, edge) as console:
        page = await _page(browser, stranger, _LISTENING)
        opened = await _opened(page, console)
        await _is_signed_out(opened)
        # What was posted before has arrived with it.
        await opened.evaluate("opener.postMessage('last', '*')")
        await page.wait_for_function("heard.length > 0")
        assert await page.evaluate("heard") == ["last"]
        await opened.evaluate("window.heard = 0; addEventListener('message', () => { heard += 1 })")
        offered = {"type": "chatkit.token", "token": tokens.token("alice")}
        await page.evaluate("offered => opened.postMessage(offered, '*')", offered)
        await opened.wait_for_function("heard === 1")
        await _is_signed_out(opened)
        assert await opened.evaluate("sessionStorage.length") == 0


async def test_nobody_has_a_window_of_the_console_where_no_host_is_named(edge: Edge, browser: Browser) -> None:
    async with running_host() as stranger:
        page = await _page(browser, stranger, _LISTENING)
        opened = await _opened(page, f"http://{edge.address}")
        await _is_signed_out(opened)
        assert await opened.evaluate("opener === null")
        assert await page.evaluate("opened.closed")


@asynccontextmanager
async def _knowing(host: Host, edge: Edge) -> AsyncIterator[str]:
    """Run an edge that knows the host, and return its origin."""
    folder = edge.folder / "o"
    folder.mkdir()
    async with running_edge(edge.suite, folder, CHATKIT_CORS_ORIGINS=host.origin) as started:
        yield f"http://{started.address}"


async def _page(browser: Browser, host: Host, html: str) -> Page:
    """Show a page of a host whose server knows alice."""
    host.page = f"<!doctype html><title>A page</title>{html}"
    context = await browser.new_context()
    context.set_default_timeout(HANG_SECONDS * 1000)
    await context.route(f"{host.origin}/chat-token", lambda route: route.fulfill(body=tokens.token("alice")))
    page = await context.new_page()
    await page.goto(host.origin)
    return page


def _documented(console: str) -> str:
    shown = re.findall(r"```html\n(.*?)```", (ROOT / "docs/console.md").read_text(), re.DOTALL)
    assert shown[0].count(_SAMPLE) == 2
    return str(shown[0]).replace(_SAMPLE, console)


async def _opened(page: Page, url: str) -> Page:
    async with page.expect_popup() as opened:
        await page.evaluate("url => { window.opened = window.open(url) }", url)
    return await opened.value


async def _is_signed_in(shown: Page | Frame) -> None:
    await expect(shown.get_by_role("link", name="lobby")).to_be_visible()


async def _is_signed_out(shown: Page | Frame) -> None:
    await expect(shown.get_by_label("Paste a token")).to_be_visible()
