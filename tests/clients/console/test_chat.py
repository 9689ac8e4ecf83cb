"""Two people talk in the console: what one does the other sees, without a step of theirs."""

import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, expect

from chatkit_client import connect
from tests.clients.console.browser import PHONE, Person, arrive
from tests.support.edge import Edge
from tests.support.envoys import kill_envoy, start_again
from tests.support.tokens import token


def link(edge: Edge, user_id: str, path: str = "") -> str:
    return f"http://{edge.address}/{path}#token={token(user_id)}"


@pytest.fixture
async def alice(edge: Edge, browser: Browser) -> AsyncIterator[Person]:
    """Lend somebody at a desk."""
    person = await arrive(browser, link(edge, "alice"))
    yield person
    assert person.complaints == []


@pytest.fixture
async def bob(edge: Edge, browser: Browser) -> AsyncIterator[Person]:
    """Lend somebody else, with a phone, who likes it dark."""
    person = await arrive(browser, link(edge, "bob"), color_scheme="dark", **PHONE)
    yield person
    assert person.complaints == []


async def test_what_one_does_the_other_sees(alice: Person, bob: Person) -> None:
    await alice.write("Hello")
    room = bob.page.get_by_role("link", name="lobby")
    await expect(room).to_contain_text("1 unread")
    await room.click()
    await expect(bob.texts).to_have_text(["Hello"])
    await expect(alice.page.get_by_text("Read by bob")).to_be_visible()
    await expect(alice.page.get_by_role("button", name="2 members, 2 here")).to_be_visible()
    await bob.page.get_by_placeholder("Write a message").press_sequentially("Hi")
    await expect(alice.page.locator(".typing")).to_have_text("bob is typing …")
    await bob.page.get_by_role("button", name="Send").click()
    await expect(alice.texts).to_have_text(["Hello", "Hi"])

    await alice.act("Hello", "Edit")
    field = alice.page.get_by_label("Edit the message")
    await field.fill("Hello, Bob")
    await field.press("Enter")
    await expect(bob.texts).to_have_text(["Hello, Bob", "Hi"])
    await expect(bob.messages.first).to_contain_text("edited")

    await alice.act("Hello, Bob", "Delete")
    await alice.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(bob.texts).to_have_text(["Hi"])
    await expect(alice.messages.filter(has_text="Hi").get_by_role("button", name="Delete")).to_have_count(0)


async def test_it_goes_on_after_the_edge_was_killed_and_shows_every_message_once(edge: Edge, alice: Person) -> None:
    await alice.write("one")
    await expect(alice.texts).to_have_text(["one"])
    await expect(alice.messages).not_to_have_class(re.compile("pending"))
    await kill_envoy(edge)
    await alice.write("two")
    await expect(alice.messages.last).to_have_class(re.compile("pending"))
    await start_again(edge)
    async with connect(edge.address, token("bob")) as bob:
        await bob.send("lobby", "three")
    await expect(alice.texts.filter(has_text="three")).to_have_count(1)
    await expect(alice.page.locator(".pending")).to_have_count(0)
    assert sorted(await alice.texts.all_text_contents()) == ["one", "three", "two"]


async def test_older_messages_come_as_one_scrolls_and_the_place_is_kept(edge: Edge, browser: Browser) -> None:
    async with connect(edge.address, token("bob")) as bob:
        for number in range(1, 151):
            await bob.send("lobby", f"message {number}")
    alice = await arrive(browser, link(edge, "alice"))
    await expect(alice.texts.last).to_have_text("message 150")
    await expect(alice.texts.last).to_be_in_viewport()
    log = alice.page.get_by_role("log")
    while await alice.texts.first.text_content() != "message 1":
        top = await alice.texts.first.text_content()
        await log.evaluate("log => { log.scrollTop = 0; }")
        await expect(alice.texts.first).not_to_have_text(str(top))
        # What was at the top is still in sight.
        assert await alice.page.get_by_text(str(top), exact=True).is_visible()
    assert await alice.texts.all_text_contents() == [f"message {number}" for number in range(1, 151)]
    await alice.page.get_by_role("button", name="Newest").click()
    await expect(alice.texts.last).to_be_in_viewport()
    assert alice.complaints == []


async def test_what_others_wrote_is_text_whatever_it_looks_like(edge: Edge, alice: Person) -> None:
    texts = [
        "<img src=x onerror=alert(1)><script>alert(1)</script>",
        "javascript:alert(1) data:text/html,x",
        "مرحبا: https://example.com/a?b=c.",
        "x" * 2000,
        "\u202eturned around\u202c and back",
    ]
    async with connect(edge.address, token("bob")) as bob:
        for text in texts:
            await bob.send("lobby", text)
    await expect(alice.texts).to_have_text(texts)
    links = alice.page.locator(".message .text a")
    assert [await one.get_attribute("href") for one in await links.all()] == ["https://example.com/a?b=c"]
    is_wide = await alice.page.evaluate("document.documentElement.scrollWidth > innerWidth")
    assert not is_wide


async def test_rooms_are_made_found_joined_and_left(edge: Edge, alice: Person, bob: Person) -> None:
    await alice.page.get_by_role("button", name="New conversation").click()
    await alice.page.get_by_label("In a new room").fill("Lunch")
    await alice.page.get_by_role("button", name="Make the room").click()
    await expect(alice.page.get_by_role("heading", name="Lunch")).to_be_visible()
    await bob.page.get_by_role("button", name="New conversation").click()
    await bob.page.get_by_role("dialog").get_by_role("button", name="Lunch").click()
    await expect(bob.page.get_by_role("heading", name="Lunch")).to_be_visible()
    await bob.page.get_by_role("button", name="2 members").click()
    await bob.page.get_by_role("button", name="Leave the room").click()
    await expect(bob.page.get_by_role("link", name="Lunch")).to_have_count(0)
    await bob.page.get_by_role("button", name="New conversation").click()
    await bob.page.get_by_label("With somebody").fill("alice")
    await bob.page.get_by_role("dialog").get_by_role("button", name="alice").click()
    await bob.write("Just you")
    await expect(alice.page.get_by_role("link", name="bob")).to_contain_text("bob: Just you")
