"""A tab with the console in it, which is watched with every change of what it shows."""

from typing import Any

from playwright.async_api import Browser, Page, expect

from tests.support.eventually import HANG_SECONDS

# Whatever is shown, even for a moment: no message twice, and all that are stored in their order.
_WATCH = """
window.seen = new Set();
window.faults = [];
let newest = 0;
const look = () => {
  const stored = [...document.querySelectorAll(".message[data-seq]")].map(({ dataset }) => Number(dataset.seq));
  const texts = [...document.querySelectorAll(".message .text")].map(({ textContent }) => textContent);
  stored.forEach((seq) => window.seen.add(seq));
  const last = stored.at(-1) ?? 0;
  if (last > newest) {
    window.showed((newest = last));
  }
  if (stored.some((seq, place) => place > 0 && seq <= stored[place - 1])) {
    window.faults.push(`out of order: ${stored}`);
  }
  if (new Set(texts).size !== texts.length) {
    window.faults.push(`twice: ${texts.filter((text, place) => texts.indexOf(text) !== place)}`);
  }
};
new MutationObserver(look).observe(document, { childList: true, subtree: true, attributes: true, characterData: true });
"""


class Tab:
    """What it shows and has shown."""

    def __init__(self, page: Page) -> None:
        self.page = page
        # The seq of the newest message that it has shown.
        self.newest = 0

    async def seen(self) -> set[int]:
        """Return the seqs of all messages that were shown."""
        return set(await self.page.evaluate("[...window.seen]"))

    async def faults(self) -> list[str]:
        """Return what was shown and should not have been."""
        faults: list[str] = await self.page.evaluate("window.faults")
        return faults

    async def shown(self) -> list[tuple[int, str]]:
        """Return the stored messages that are shown, from older to newer."""
        found: list[Any] = await self.page.evaluate(
            "[...document.querySelectorAll('.message[data-seq]')].map((message) => "
            "[Number(message.dataset.seq), message.querySelector('.text')?.textContent ?? ''])"
        )
        return [(seq, text) for seq, text in found]

    async def write(self, text: str) -> None:
        """Write a message and press Enter."""
        field = self.page.get_by_placeholder("Write a message")
        await field.fill(text)
        await field.press("Enter")


async def opened(browser: Browser, origin: str, user_id: str, count: int) -> list[Tab]:
    """Open the console from an application's page in several tabs of a browser of its own."""
    context = await browser.new_context()
    context.set_default_timeout(HANG_SECONDS * 1000)
    tabs: list[Tab] = []

    def showed(source: dict[str, Any], seq: int) -> None:
        for tab in tabs:
            if tab.page == source["page"]:
                tab.newest = seq

    await context.expose_binding("showed", showed)
    await context.add_init_script(_WATCH)
    host = await context.new_page()
    await host.goto(f"{origin}/?user={user_id}")
    for _ in range(count):
        async with context.expect_page() as opening:
            await host.get_by_role("button", name="Chat").click()
        page = await opening.value
        await expect(page.get_by_placeholder("Write a message")).to_be_visible()
        tabs.append(Tab(page))
    return tabs
