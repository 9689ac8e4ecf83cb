"""Operators look into a suite in the console, do what they would miss at once, and follow the log of a room."""

import json
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Locator, expect

from chatkit_client import Client, connect
from chatkit_client.types import CreateUserRequest, RoleScope
from tests.clients.console.browser import Person, arrive, look
from tests.support.edge import Edge
from tests.support.envoys import kill_envoy, start_again
from tests.support.tokens import token

# Go elsewhere in the moment in which there is a link to that, and in which a room is about to be opened.
_WHEN_SHOWN = """
const going = new MutationObserver(() => {
  if (document.querySelector("a[href='#/inspector']")) {
    going.disconnect();
    location.hash = "#/inspector/users";
  }
});
going.observe(document, { childList: true, subtree: true });
"""
_WHEN_OPENED = """
const matches = window.matchMedia.bind(window);
window.matchMedia = (query) => {
  if (document.querySelector("a[href='#/rooms/lobby']")) {
    location.hash = "#/inspector/users";
  }
  return matches(query);
};
"""


async def do(person: Person, action: str, does: str, **fields: str) -> None:
    """Press a button, fill in what its dialog asks for, and do it."""
    await person.page.get_by_role("button", name=action, exact=True).click()
    dialog = person.page.get_by_role("dialog")
    for label, text in fields.items():
        await dialog.get_by_label(label.replace("_", " "), exact=True).fill(text)
    await dialog.get_by_role("button", name=does, exact=True).click()


def rows(person: Person) -> Locator:
    """Return the rows of the page's tables."""
    return person.page.locator("main tbody tr")


async def say(person: Client, *texts: str) -> None:
    """Send messages to the lobby."""
    for text in texts:
        await person.send("lobby", text)


@pytest.fixture
async def operator(edge: Edge, browser: Browser) -> AsyncIterator[Person]:
    """Lend a superuser."""
    person = await arrive(browser, f"http://{edge.address}/#token={token('alice', su=True)}")
    await expect(person.page.get_by_role("link", name="Inspector")).to_be_visible()
    yield person
    assert person.complaints == []


@pytest.fixture
async def bob(edge: Edge) -> AsyncIterator[Client]:
    """Lend a client of one who chats."""
    async with connect(edge.address, token("bob")) as client:
        yield client


@pytest.fixture
async def log(bob: Client, operator: Person) -> Person:
    """Return the superuser before the log of the lobby, which has one event."""
    await say(bob, "one")
    await look(operator, "rooms", "lobby", "log")
    await expect(rows(operator)).to_have_count(1)
    return operator


@pytest.mark.parametrize("script", [_WHEN_SHOWN, _WHEN_OPENED], ids=["shown", "opened"])
async def test_whoever_goes_on_at_once_gets_there(edge: Edge, browser: Browser, script: str) -> None:
    page = await browser.new_page()
    await page.add_init_script(script)
    await page.goto(f"http://{edge.address}/#token={token('alice', su=True)}")
    await expect(page.locator("main tbody tr")).to_have_count(2)
    assert page.url.endswith("#/inspector/users")


async def test_users_rooms_roles_and_limits_are_found_by_links(edge: Edge, operator: Person) -> None:
    page = operator.page
    await page.get_by_role("link", name="Inspector").click()
    await page.get_by_role("link", name="bob").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("bob")
    await expect(page.get_by_text("Never was online")).to_be_visible()
    await expect(page.get_by_role("row", name="everywhere default")).to_be_visible()
    await page.get_by_role("link", name="lobby", exact=True).click()
    await expect(page.get_by_role("heading", level=2)).to_have_text(["Room", "Members"])
    await expect(rows(operator)).to_have_text(["aliceRemove", "bobRemove"])
    await page.go_back()
    await expect(page.get_by_role("heading", level=1)).to_have_text("bob")
    await page.get_by_role("link", name="Roles").click()
    await expect(rows(operator).get_by_role("rowheader")).to_have_text(["admin", "default"])
    await page.get_by_role("link", name="Suite").click()
    about = (await edge.http.get("/", headers={"accept": "application/json"})).json()
    await expect(page.get_by_text(about["version"], exact=True)).to_be_visible()
    limits = [limit["name"] for limit in about["limits"]]
    await expect(rows(operator).get_by_role("rowheader")).to_have_text(limits)


async def test_lists_come_page_by_page_and_users_are_found(edge: Edge, operator: Person) -> None:
    async with connect(edge.address, token(None, su=True)) as superuser:
        for first in range(0, 30, 10):
            names = [f"user-{number:02}" for number in range(first, first + 10)]
            await superuser.users.batch_create_users(requests=[CreateUserRequest(id=name, name=name) for name in names])
    page = operator.page
    await look(operator, "users")
    await expect(rows(operator)).to_have_count(20)
    await page.get_by_role("button", name="Load more").click()
    await expect(rows(operator)).to_have_count(32)
    await expect(page.get_by_text("These are all 32.")).to_be_visible()
    await expect(page.get_by_role("button", name="Load more")).to_have_count(0)
    search = page.get_by_label("Name or id begins with")
    await search.fill("user-2")
    await search.press("Enter")
    await expect(rows(operator).get_by_role("rowheader")).to_have_text([f"user-2{number}" for number in range(10)])
    await page.get_by_label("Name or id begins with").fill("nobody/%2F #?")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("No user's name or id begins like this.")).to_be_visible()


async def test_users_rooms_members_and_roles_are_made_and_taken_away(edge: Edge, operator: Person) -> None:
    page = operator.page
    async with connect(edge.address, token(None, su=True)) as superuser:
        await superuser.roles.create_role(
            scope=RoleScope.ROLE_SCOPE_ROOM, name="helper", permissions=["message:moderate"]
        )
    await look(operator, "users")
    await do(operator, "Create user", "Create", Id="bob", Name="Carol")
    await expect(page.get_by_role("alert")).to_have_text("There is a user with this id.")
    await page.get_by_role("dialog").get_by_label("Id").fill("carol / 1")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Carol")
    await do(operator, "Assign role", "Assign", Role="helper", Id_of_the_room="lobby")
    await expect(page.get_by_role("row", name="lobby helper")).to_be_visible()
    await do(operator, "Unassign helper", "Unassign")
    await expect(page.get_by_role("row", name="lobby helper")).to_have_count(0)
    await look(operator, "rooms")
    await do(operator, "Create room", "Create", Name="Lunch", Id="lunch")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Lunch")
    await do(operator, "Add member", "Add", Id_of_the_user="carol / 1")
    await expect(page.get_by_role("rowheader")).to_have_text(["alice", "carol / 1"])
    await do(operator, "Remove alice", "Cancel")
    await do(operator, "Remove alice", "Remove")
    await expect(page.get_by_role("rowheader")).to_have_text(["carol / 1"])
    async with connect(edge.address, token(None, su=True)) as superuser:
        members = await superuser.memberships.list_members(room_id="lunch")
    assert members.user_ids == ["carol / 1"]


async def test_the_keyboard_is_where_one_looks(operator: Person) -> None:
    page, keys = operator.page, operator.page.keyboard
    await look(operator, "users")
    button = page.get_by_role("button", name="Create user")
    await button.focus()
    await keys.press("Enter")
    await expect(page.get_by_role("dialog").get_by_label("Id")).to_be_focused()
    await keys.press("Escape")
    await expect(button).to_be_focused()
    await page.get_by_role("link", name="bob").focus()
    await keys.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("bob")
    await expect(page.get_by_role("main")).to_be_focused()


async def test_the_log_of_a_room_is_live_and_opens_to_what_it_says(bob: Client, operator: Person) -> None:
    page = operator.page
    await say(bob, "one", "two")
    await look(operator, "rooms", "lobby", "log")
    await expect(page.locator("tbody bdi")).to_have_text(["bob", "two", "bob", "one"])
    await expect(page.get_by_text("SNAPSHOT (NEW)")).to_be_visible()
    await say(bob, "three")
    await expect(rows(operator).first).to_contain_text("three")
    await page.get_by_role("button", name="Event 2").click()
    event = json.loads(await page.locator("main pre").inner_text())
    assert (event["seq"], event["messageCreated"]["parts"]) == ("2", [{"contentType": "text/plain", "content": "two"}])
    await do(operator, "Delete message", "Delete")
    await expect(rows(operator).first).to_contain_text("deleted 2")
    await expect(page.locator("main")).not_to_contain_text("two")


async def test_a_log_goes_on_where_it_stands_after_the_edge_was_killed(edge: Edge, bob: Client, log: Person) -> None:
    page = log.page
    await _restart(edge)
    await say(bob, "two")
    await expect(rows(log)).to_have_count(2)
    await expect(page.get_by_text("RESUMED, at")).to_be_visible()
    await expect(page.get_by_role("rowheader")).to_have_text(["Event 2", "Event 1"])


async def test_a_log_begins_anew_where_more_was_missed_than_is_replayed(edge: Edge, bob: Client, log: Person) -> None:
    page = log.page
    # The tab sleeps, as a laptop does.
    await log.context.set_offline(True)
    await _restart(edge)
    await say(bob, *(str(number) for number in range(2, 131)))
    await log.context.set_offline(False)
    await expect(page.get_by_text("SNAPSHOT (TOO_FAR), at 130")).to_be_visible()
    await expect(rows(log)).to_have_count(100)
    await page.get_by_role("button", name="Load older").click()
    await expect(rows(log)).to_have_count(130)
    await expect(page.get_by_text("This is the beginning of the log.")).to_be_visible()


async def test_what_the_token_may_not_do_is_said_in_a_sentence(edge: Edge, browser: Browser) -> None:
    person = await arrive(browser, f"http://{edge.address}/#token={token('bob')}")
    alert = person.page.get_by_role("alert")
    for part in ("users", "rooms", "roles"):
        await look(person, part)
        await expect(alert).to_contain_text("This is for superusers only")
    await look(person, "search", "a")
    await expect(alert).to_contain_text("permission user:search")
    await look(person, "rooms", "nowhere", "log")
    await expect(person.page.get_by_text("You are no member of this room, or there is no such room.")).to_be_visible()
    await look(person, "users", "nobody")
    await expect(alert.first).to_have_text('There is no such user: "nobody".')
    assert [text for text in person.complaints if "Failed to load" not in text] == []


async def _restart(edge: Edge) -> None:
    """Kill the edge, and start it again."""
    await kill_envoy(edge)
    await start_again(edge)
