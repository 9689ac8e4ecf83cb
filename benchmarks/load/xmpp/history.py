"""Reads of a room's last messages from a peer's archive, in a closed loop."""

import asyncio
import time
from itertools import count
from typing import Any

from benchmarks.load.timing import Window
from benchmarks.load.xmpp.client import Client, Refused, Stanzas, enter
from benchmarks.load.xmpp.jobs import HistoryJob

_END, _MESSAGE = b"</iq>", b"<forwarded "
_DRAIN_SECONDS = 60.0


class Reader:
    """Somebody who reads the last messages again and again."""

    def __init__(self, client: Client, job: HistoryJob, window: Window) -> None:
        self._client = client
        self._page = job.page
        self._window = window
        self._stanzas = Stanzas(_END)
        self._began = 0.0
        self._ids = count()
        self._query = (
            "<query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'>"
            f"<max>{job.page}</max><before/></set></query></iq>"
        ).encode()
        self._head = f"<iq type='set' to='{job.room.id}' id='p".encode()
        self._stopping = False
        self.idle = asyncio.Event()
        self.answered = self.answer_bytes = 0
        self.fault = ""
        client.listener = self.hear

    def start(self) -> None:
        """Ask for a page."""
        if self._stopping:
            self.idle.set()
            return
        self._began = time.monotonic()
        self._client.say(b"%s%d'>%s" % (self._head, next(self._ids), self._query))

    def stop(self) -> None:
        """Ask for no other page after the one that is under way."""
        self._stopping = True

    def hear(self, data: bytes) -> None:
        """Take a piece of a page, and ask for the next one when it is whole."""
        page = self._stanzas.whole(data)
        if not page:
            return
        if page.count(_MESSAGE) != self._page:
            self.fault = f"a page of {page.count(_MESSAGE)} messages instead of {self._page}: {page[-500:].decode()}"
            self.idle.set()
            return
        self.answered += 1
        self.answer_bytes = len(page)
        if self._window.is_open:
            self._window.counted += 1
            self._window.durations.append(time.monotonic() - self._began)
        self.start()


async def run(job: HistoryJob) -> dict[str, Any]:
    """Let everybody read for a while."""
    window = Window(job.groups)
    readers = [Reader(await enter(job.address, user, job.room), job, window) for user in job.room.users]
    # Who comes later is told to those who are there, before they listen for pages.
    for reader in readers:
        reader.start()
    await asyncio.sleep(job.warm_up_seconds)
    await window.measure(job.seconds)
    for reader in readers:
        reader.stop()
    async with asyncio.timeout(_DRAIN_SECONDS):
        for reader in readers:
            await reader.idle.wait()
    fault = next((reader.fault for reader in readers if reader.fault), "")
    if fault:
        raise Refused(fault)
    return {
        **window.report(),
        "answered_in_all": sum(reader.answered for reader in readers),
        "refused": 0,
        "answer_bytes": readers[0].answer_bytes,
    }
