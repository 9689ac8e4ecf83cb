"""Everybody can use the console: by keyboard, by ear, in light and in dark, on a phone."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, expect

from chatkit_client import connect
from tests.clients.console.browser import LOOKS, Person, arrive, found
from tests.support.edge import Edge
from tests.support.tokens import token


@pytest.fixture(params=LOOKS)
async def alice(request: pytest.FixtureRequest, edge: Edge, browser: Browser) -> AsyncIterator[Person]:
    """Lend somebody who has a room with some messages open."""
    async with connect(edge.address, token("bob")) as bob:
        await bob.send("lobby", "Hello, see https://example.com/")
    person = await arrive(browser, f"http://{edge.address}/#token={token('alice')}", **LOOKS[request.param])
    await person.page.get_by_role("link", name="lobby").click()
    await expect(person.texts).to_have_count(1)
    yield person
    assert person.complaints == []


async def test_axe_finds_nothing_in_the_chat(alice: Person) -> None:
    await alice.write("Hi")
    await expect(alice.page.locator(".message:not(.pending) .text")).to_have_count(2)
    assert await found(alice) == []
    await alice.act("Hi", "Edit")
    assert await found(alice) == []
    await alice.page.get_by_role("button", name="Cancel").click()
    await alice.act("Hi", "Delete")
    assert await found(alice) == []
    await alice.page.keyboard.press("Escape")
    await alice.page.get_by_role("button", name="2 members").click()
    assert await found(alice) == []
    await alice.page.keyboard.press("Escape")


async def test_axe_finds_nothing_where_one_signs_in_and_starts_a_conversation(edge: Edge, browser: Browser) -> None:
    alice = await arrive(browser, f"http://{edge.address}/")
    await expect(alice.page.get_by_label("Paste a token")).to_be_visible()
    assert await found(alice) == []
    alice = await arrive(browser, f"http://{edge.address}/#token={token('alice')}")
    await alice.page.get_by_role("button", name="New conversation").click()
    await expect(alice.page.get_by_role("dialog")).to_be_visible()
    assert await found(alice) == []


async def test_all_of_a_conversation_is_done_by_keyboard(edge: Edge, browser: Browser) -> None:
    await edge.suite.make_room("lunch", "alice")
    alice = await arrive(browser, f"http://{edge.address}/#token={token('alice')}")
    page, keys = alice.page, alice.page.keyboard
    await expect(page.get_by_role("link")).to_have_count(2)
    await expect(page.get_by_placeholder("Write a message")).to_be_visible()
    titles = [str(await page.get_by_role("heading", level=1).text_content())]
    await keys.press("Alt+ArrowDown")
    await expect(page.get_by_role("heading", level=1)).not_to_have_text(titles[0])
    await _tab_to(alice, "document.activeElement.placeholder === 'Write a message'")
    await keys.type("first line")
    await keys.press("Shift+Enter")
    await keys.type("second")
    await keys.press("Enter")
    await expect(page.locator(".message:not(.pending) .text")).to_have_text("first line\nsecond")
    await keys.press("ArrowUp")
    await keys.press("Control+A")
    await keys.type("better")
    await keys.press("Enter")
    await expect(alice.texts).to_have_text("better")
    await _tab_to(alice, "document.activeElement.textContent === 'Delete'", back=True)
    await keys.press("Enter")
    await expect(page.get_by_role("dialog")).to_be_visible()
    await _tab_to(alice, "document.activeElement.textContent === 'Delete'")
    await keys.press("Enter")
    await expect(alice.messages).to_have_count(0)


async def _tab_to(person: Person, where: str, *, back: bool = False) -> None:
    for _ in range(50):
        await person.page.keyboard.press("Shift+Tab" if back else "Tab")
        if await person.page.evaluate(where):
            return
    raise AssertionError(f"Tab does not lead to where {where}")
