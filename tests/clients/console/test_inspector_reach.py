"""Every page of the inspector can be used by everybody, whatever users have written into it."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, expect

from chatkit_client import connect
from chatkit_client.types import CreateUserRequest
from tests.clients.console.browser import LOOKS, Person, arrive, found, look
from tests.support.edge import Edge
from tests.support.tokens import token

_ODD = {
    "right to left": "مرحبا بالعالم",
    "w" * 160: "x" * 160,
    "zalgo": "Z" + "\u0351\u0357\u0360" * 40,
    "\u202eturned": "around \u202e and back",
    "<b>markup</b>": "<script>alert(1)</script>",
    "a/b #%2F?": "👩‍👩‍👧‍👦",
}
_PAGES = (
    ("users",),
    ("search", "w"),
    ("users", "w" * 160),
    ("rooms",),
    ("rooms", "a/b #%2F?"),
    ("rooms", "a/b #%2F?", "log"),
    ("roles",),
    ("suite",),
    ("nowhere",),
)


@pytest.fixture
async def odd_edge(edge: Edge) -> Edge:
    """Return the edge of a suite whose users have odd names."""
    room_id = "a/b #%2F?"
    users = [CreateUserRequest(id=id_, name=name, custom_data={name: [id_]}) for id_, name in _ODD.items()]
    async with connect(edge.address, token(None, su=True)) as superuser:
        await superuser.users.batch_create_users(requests=users)
    await edge.suite.make_room(room_id, "alice", *_ODD)
    async with connect(edge.address, token("alice", su=True)) as alice:
        for sender_id, text in _ODD.items():
            await alice.send(room_id, text * 20, sender_id=sender_id)
    return edge


@pytest.fixture(params=LOOKS)
async def operator(request: pytest.FixtureRequest, odd_edge: Edge, browser: Browser) -> AsyncIterator[Person]:
    """Lend a superuser who looks at it in one way."""
    url = f"http://{odd_edge.address}/#token={token('alice', su=True)}"
    person = await arrive(browser, url, **LOOKS[request.param])
    yield person
    assert person.complaints == []


async def is_too_wide(person: Person) -> bool:
    """Tell whether a page is wider than its window, which a phone would then show smaller."""
    assert person.page.viewport_size is not None
    width: int = await person.page.evaluate("document.documentElement.scrollWidth")
    return width > person.page.viewport_size["width"]


async def test_axe_finds_nothing_and_nothing_is_wider_than_the_page(operator: Person) -> None:
    page = operator.page
    for path in _PAGES:
        await look(operator, *path)
        await expect(page.get_by_role("heading", level=1)).to_be_visible()
        await expect(page.get_by_text("Loading…")).to_have_count(0)
        assert (path, await found(operator)) == (path, [])
        assert (path, await is_too_wide(operator)) == (path, False)
    await look(operator, "rooms", "a/b #%2F?", "log")
    await page.get_by_role("button", name="Event 2", exact=True).click()
    assert not await is_too_wide(operator)
    await page.get_by_role("button", name="Delete message").click()
    await expect(page.get_by_role("dialog")).to_be_visible()
    assert await found(operator) == []
