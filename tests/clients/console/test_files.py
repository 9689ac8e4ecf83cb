"""Pictures and other files are sent and shown, and nothing of what others sent runs in the console."""

import base64
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, expect

from chatkit_client import connect, text
from chatkit_client.types import Part
from tests.clients.console.browser import Person, arrive
from tests.support.edge import Edge
from tests.support.tokens import token

_PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
_DROP = """([log, content, name, type]) => {
  const bytes = Uint8Array.from(atob(content), (character) => character.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], name, { type }));
  log.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
}"""


@pytest.fixture
async def alice(edge: Edge, browser: Browser) -> AsyncIterator[Person]:
    """Lend somebody at a desk."""
    person = await arrive(browser, f"http://{edge.address}/#token={token('alice')}")
    yield person
    assert person.complaints == []


async def test_a_picture_that_is_dropped_is_sent_and_shown(edge: Edge, alice: Person) -> None:
    log = await alice.page.get_by_role("log").element_handle()
    await alice.page.evaluate(_DROP, [log, base64.b64encode(_PICTURE).decode(), "dot.png", "image/png"])
    chip = alice.page.get_by_label("Files of this message")
    await expect(chip).to_contain_text("dot.png")
    await expect(chip).not_to_contain_text("sending")
    await alice.write("Look")
    picture = alice.messages.get_by_alt_text("dot.png")
    await expect(picture).to_be_visible()
    await alice.page.wait_for_function("document.querySelector('.message img')?.naturalWidth === 1")
    async with connect(edge.address, token("bob")) as bob:
        page = await bob.messages.list_messages(room_id="lobby")
    assert [part.content_type for part in page.messages[0].parts] == ["text/plain", "image/png"]


async def test_a_file_is_chosen_and_can_be_got_and_a_page_among_them_is_saved_instead(alice: Person) -> None:
    page = b"<script>document.title = 'taken'</script>"
    files = [
        {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"a note"},
        {"name": "page.html", "mimeType": "text/html", "buffer": page},
    ]
    await alice.page.locator("input[type=file]").set_input_files(files)  # type: ignore[arg-type]
    await expect(alice.page.get_by_label("Files of this message")).not_to_contain_text("sending")
    await alice.page.get_by_role("button", name="Send").click()
    async with alice.page.expect_popup() as opened:
        await alice.messages.get_by_role("link", name="notes.txt").click()
    await expect((await opened.value).get_by_text("a note")).to_be_visible()
    async with alice.context.expect_page() as another, alice.context.expect_event("download"):
        await alice.messages.get_by_role("link", name="page.html").click()
    del another


async def test_what_was_refused_says_so_and_can_be_left_out(alice: Person) -> None:
    await alice.page.locator("input[type=file]").set_input_files(
        {"name": "x" * 250 + ".txt" * 10, "mimeType": "text/plain", "buffer": b"a note"}
    )
    chip = alice.page.get_by_label("Files of this message").get_by_role("listitem")
    await expect(chip).to_have_class("bad-text")
    await expect(alice.page.get_by_role("button", name="Send")).to_be_disabled()
    await chip.get_by_role("button", name="Leave out").click()
    await alice.write("without it")
    await expect(alice.texts).to_have_text(["without it"])


async def test_videos_sounds_and_links_are_shown_by_their_types(edge: Edge, alice: Person) -> None:
    parts = [
        Part(content_type="video/mp4", url=f"http://{edge.address}/none.mp4"),
        Part(content_type="audio/ogg", url=f"http://{edge.address}/none.ogg"),
        Part(content_type="application/pdf", url=f"http://{edge.address}/none.pdf"),
        Part(content_type="application/json", content='{"a": 1}'),
    ]
    async with connect(edge.address, token("bob")) as bob:
        await bob.send("lobby", [text("All kinds"), *parts])
    message = alice.messages.filter(has_text="All kinds")
    await expect(message.locator("video")).to_have_attribute("controls", "")
    await expect(message.locator("audio")).to_have_attribute("controls", "")
    await expect(message.get_by_role("link", name="none.pdf")).to_be_visible()
    await expect(message.locator("pre")).to_have_text('{"a": 1}')
