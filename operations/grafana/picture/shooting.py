"""A page of HTML as a picture, by Chromium."""

import os
import shutil
from pathlib import Path

from playwright.async_api import async_playwright

from operations.grafana.picture.drawing import WIDTH
from services.stack.trouble import Trouble

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def browser() -> str:
    """Return where Chromium is."""
    found = next((path for name in _BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        raise Trouble("Chromium is not on the PATH: Debian's package `chromium` brings it")
    return found


async def shoot(chromium: str, html: str, path: Path, width: int = WIDTH) -> None:
    """Write a picture of a page, as PNG, so many pixels wide."""
    # Chromium's sandbox wants to be started by a user.
    options = ["--disable-gpu", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=chromium, args=options)
        try:
            shown = await running.new_page(viewport={"width": width, "height": 100})
            await shown.set_content(html)
            await shown.screenshot(path=path, full_page=True)
        finally:
            await running.close()
