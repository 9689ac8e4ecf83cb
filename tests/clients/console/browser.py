"""A real Chromium, where one is installed, and people who use the console in it."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import pytest
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, async_playwright, expect

from protos import node
from tests.support.eventually import HANG_SECONDS

_NAMES = ("chromium", "chromium-browser", "google-chrome")
# Nothing but the page is to be fetched from anywhere.
_OPTIONS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
)
_RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
_FIND = """async (rules) => (await axe.run(document, rules)).violations.map(
  ({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(" ")).join(", ")}`)"""
PHONE = {"viewport": {"width": 375, "height": 700}, "is_mobile": True, "has_touch": True}
# How people look at it.
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "phone": {"color_scheme": "light", **PHONE},
}

expect.set_options(timeout=HANG_SECONDS * 1000)


def chromium() -> str:
    """Return where Chromium is; skips the test where it is not."""
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("Chromium is not installed (apt-get install chromium)")
    return found


@asynccontextmanager
async def running_browser() -> AsyncIterator[Browser]:
    """Run Chromium until the context is left."""
    path = chromium()
    # Its sandbox wants to be started by a user.
    options = [*_OPTIONS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=options)
        try:
            yield browser
        finally:
            await browser.close()


class Person:
    """Somebody at a browser of their own."""

    def __init__(self, context: BrowserContext, page: Page) -> None:
        self.context = context
        self.page = page
        # What the browser has complained of: scripts that failed, and what the page's policy forbade.
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._hear)

    @property
    def messages(self) -> Locator:
        """The messages that are shown."""
        return self.page.locator(".message")

    @property
    def texts(self) -> Locator:
        """The texts that are shown, one for each message that has one."""
        return self.page.locator(".message .text")

    async def write(self, text: str) -> None:
        """Write a message and press Enter."""
        field = self.page.get_by_placeholder("Write a message")
        await field.fill(text)
        await field.press("Enter")

    async def act(self, text: str, action: str) -> None:
        """Press a button of the message with this text."""
        message = self.messages.filter(has_text=text)
        await message.hover()
        await message.get_by_role("button", name=action).click()

    def _hear(self, message: ConsoleMessage) -> None:
        # What could not be fetched is no fault of the page.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.complaints.append(message.text)


async def arrive(browser: Browser, url: str, **options: Any) -> Person:
    """Return somebody who has opened a link."""
    context = await browser.new_context(**options)
    context.set_default_timeout(HANG_SECONDS * 1000)
    person = Person(context, await context.new_page())
    await person.page.goto(url)
    return person


async def look(person: Person, *path: str) -> None:
    """Go to a page of the inspector."""
    fragment = "/".join(quote(segment, safe="") for segment in ("inspector", *path))
    await person.page.evaluate("hash => { location.hash = hash; }", f"#/{fragment}")


async def found(person: Person) -> list[str]:
    """Return what axe finds wrong with what is shown."""
    axe = node.packages(node.CONSOLE) / "axe-core" / "axe.min.js"
    # Into the browser's own world: the page's policy lets no script in.
    await person.page.evaluate(f"() => {{ {axe.read_text()} }}")
    violations: list[str] = await person.page.evaluate(_FIND, _RULES)
    return violations
