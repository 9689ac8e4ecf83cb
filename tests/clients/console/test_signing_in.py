"""A token comes by a link, by hand, or from a page that hosts the console, and stays in the tab."""

import json
from datetime import UTC, datetime, timedelta

from playwright.async_api import Browser, expect

from tests.clients.console.browser import arrive
from tests.clients.console.hosts import running_host
from tests.support.edge import Edge, running_edge
from tests.support.eventually import HANG_SECONDS
from tests.support.tokens import token

_HOSTING = """<!doctype html><iframe src="{console}"></iframe>
<script>
const tokens = {tokens};
let given = 0;
addEventListener("message", (event) => {{
  if (event.origin === "{console}" && event.data?.type === "chatkit.token.wanted") {{
    given += 1;
    document.title = `given ${{given}}`;
    event.source.postMessage({{ type: "chatkit.token", token: tokens[given - 1] }}, event.origin);
  }}
}});
</script>"""


async def test_a_link_signs_in_and_loses_its_token_and_a_reload_does_not(edge: Edge, browser: Browser) -> None:
    alice = await arrive(browser, f"http://{edge.address}/#token={token('alice')}")
    await expect(alice.page.get_by_role("link", name="lobby")).to_be_visible()
    assert "token" not in alice.page.url
    await alice.page.reload()
    await expect(alice.page.get_by_role("link", name="lobby")).to_be_visible()
    await alice.page.get_by_role("button", name="Sign out").click()
    await expect(alice.page.get_by_label("Paste a token")).to_be_visible()
    await alice.page.reload()
    await expect(alice.page.get_by_label("Paste a token")).to_be_visible()
    assert alice.complaints == []


async def test_a_link_that_is_followed_in_the_tab_signs_in_as_another(edge: Edge, browser: Browser) -> None:
    person = await arrive(browser, f"http://{edge.address}/#token={token('alice')}")
    await expect(person.page.locator("strong", has_text="alice")).to_be_visible()
    await person.page.evaluate("link => { location.hash = link }", f"#token={token('bob')}")
    await expect(person.page.locator("strong", has_text="bob")).to_be_visible()
    assert "token" not in person.page.url


async def test_a_token_is_pasted_as_a_terminal_has_broken_it(edge: Edge, browser: Browser) -> None:
    alice = await arrive(browser, f"http://{edge.address}/")
    field = alice.page.get_by_label("Paste a token")
    await field.fill("no token at all")
    await alice.page.get_by_role("button", name="Sign in").click()
    await expect(alice.page.get_by_role("alert")).to_have_text("That is no token.")
    good = token("alice")
    await field.fill(f" {good[:40]}\n  {good[40:]} \n")
    await alice.page.get_by_role("button", name="Sign in").click()
    await expect(alice.page.get_by_role("link", name="lobby")).to_be_visible()


async def test_who_is_refused_is_told_why(edge: Edge, browser: Browser) -> None:
    for refused, why in (
        (token("alice", now=datetime.now(UTC) - timedelta(days=1)), "Your token has ended."),
        (token("nobody"), "There is no such user."),
        (token("alice")[:-4] + "AAAA", "does not take your token"),
    ):
        person = await arrive(browser, f"http://{edge.address}/#token={refused}")
        await expect(person.page.get_by_role("alert")).to_contain_text(why)


async def test_a_page_of_a_named_origin_hands_over_tokens_and_no_other_can(edge: Edge, browser: Browser) -> None:
    async with running_host() as named, running_host() as other:
        folder = edge.folder / "o"
        folder.mkdir()
        async with running_edge(edge.suite, folder, CHATKIT_CORS_ORIGINS=named.origin) as hosted:
            console = f"http://{hosted.address}"
            named.page = other.page = _page(console)
            page = await browser.new_page()
            page.set_default_timeout(HANG_SECONDS * 1000)
            await page.goto(named.origin)
            frame = page.frame_locator("iframe")
            await frame.get_by_role("link", name="lobby").click()
            # It asks for the next one before the first has ended.
            await page.wait_for_function("document.title === 'given 2'")
            await frame.get_by_placeholder("Write a message").fill("Hello")
            await frame.get_by_role("button", name="Send").click()
            await expect(frame.locator(".message:not(.pending)")).to_contain_text("Hello")
            # Another origin may not even show it.
            async with page.expect_console_message(lambda message: "frame-ancestors" in message.text):
                await page.goto(other.origin)
            assert await page.title() == ""


def _page(console: str) -> str:
    tokens = json.dumps([token("alice", ttl=timedelta(seconds=6)), token("alice")])
    return _HOSTING.format(console=console, tokens=tokens)
