"""Takes the README's pictures of the console: `python -m tests.clients.console.screenshots`."""

import asyncio
from pathlib import Path

from playwright.async_api import Browser, Page, expect

from services.stack.sign_in import token
from tests.clients.console.browser import PHONE, Person, arrive, running_browser
from tests.contract.descriptors import ROOT
from tests.support.stack import RunningStack, running_stack

_FOLDER = ROOT / "docs" / "images"
_DESK = {"viewport": {"width": 820, "height": 460}}
_SAID = (("alice", "Hello, Bob"), ("bob", "Hello, Alice. See https://example.com/"), ("alice", "שלום, and thanks!"))


async def take(folder: Path) -> None:
    """Take them all, into a folder."""
    async with running_stack() as stack, running_browser() as browser:
        people = {
            "alice": await _open(stack, browser, "alice", **_DESK),
            "bob": await _open(stack, browser, "bob", color_scheme="dark", **PHONE),
        }
        for who, text in _SAID:
            await people[who].write(text)
            for person in people.values():
                await expect(person.page.locator(".message:not(.pending) .text").last).to_have_text(text)
        await people["bob"].page.get_by_placeholder("Write a message").press_sequentially("You are", delay=300)
        alice = people["alice"].page
        await expect(alice.locator(".typing")).to_have_text("Bob is typing …")
        await _shoot(alice, folder / "console-light.png")
        await alice.emulate_media(color_scheme="dark")
        await _shoot(alice, folder / "console-dark.png")
        await _shoot(people["bob"].page, folder / "console-phone.png")
        operator = await arrive(browser, f"http://{stack.address}/#token={token(stack.home, None, su=True)}", **_DESK)
        await operator.page.goto(f"http://{stack.address}/#/inspector/rooms/lobby/log")
        await expect(operator.page.get_by_role("cell", name=_SAID[-1][1])).to_be_visible()
        await _shoot(operator.page, folder / "console-log.png")


async def _open(stack: RunningStack, browser: Browser, user_id: str, **look: object) -> Person:
    person = await arrive(browser, f"http://{stack.address}/#token={token(stack.home, user_id)}", **look)
    await person.page.get_by_role("link", name="Lobby").click()
    return person


async def _shoot(page: Page, path: Path) -> None:
    await page.screenshot(path=path)
    print(path.relative_to(ROOT))


if __name__ == "__main__":
    asyncio.run(take(_FOLDER))
