"""Sends an input on a connection of its own, and gives its answer a time to come in."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from services.stack.fuzz.inputs import TOKEN, Answer, End, Input
from services.stack.fuzz.making.callers import Signing
from services.stack.fuzz.wires import http1, http2

_MOST_BYTES = 2**20


class Sending:
    """Where inputs go, and who signs for their callers."""

    def __init__(self, addresses: Mapping[str, str], signing: Signing, answer_seconds: float) -> None:
        self._addresses = addresses
        self._signing = signing
        self.answer_seconds = answer_seconds

    async def send(self, made: Input) -> Answer:
        """Send an input and return the answer; a TimeoutError when none comes in time."""
        address = self._addresses[made.place]
        sent = replace(made, head=self._signed(made))
        host, _, port = address.rpartition(":")
        async with asyncio.timeout(self.answer_seconds):
            try:
                reader, writer = await asyncio.open_connection(host, int(port), limit=_MOST_BYTES)
            except ConnectionError:
                return Answer(End.CLOSED)
        try:
            async with asyncio.timeout(self.answer_seconds):
                if made.face.is_http2 or made.what == "frames":
                    return await http2.call(reader, writer, sent)
                return await http1.exchange(reader, writer, sent, address)
        finally:
            # What was not read yet is no reason to stay.
            with suppress(OSError):
                writer.transport.abort()

    def _signed(self, made: Input) -> tuple[tuple[bytes, bytes], ...]:
        token = self._signing.token(made.caller).encode()
        if not token:
            return tuple(pair for pair in made.head if TOKEN not in pair[1])
        return tuple((name, value.replace(TOKEN, token)) for name, value in made.head)
