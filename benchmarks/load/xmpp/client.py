"""The least of XMPP that the loads need: log in, come into a room, say bytes, and cut what is heard into stanzas.

No stanza is made a tree: of a peer's answers only the closing tags, ids and a few marks are looked for.
"""

import asyncio
import base64
from collections.abc import Callable
from typing import cast

from benchmarks.load.xmpp.jobs import DOMAIN, PASSWORD, Chat

_SECONDS = 60.0
_OPENING = (
    f"<?xml version='1.0'?><stream:stream to='{DOMAIN}' xmlns='jabber:client'"
    " xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"
).encode()
_FEATURES = b"</stream:features>"
_BIND = (
    b"<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>b</resource></bind></iq>"
    b"<presence/>"
)


class Refused(Exception):
    """The peer did not answer as it should."""


class Stanzas:
    """Cuts what comes in pieces of any size behind the closing tags that are waited for."""

    def __init__(self, end: bytes) -> None:
        self._end = end
        self._rest = b""

    def whole(self, data: bytes) -> bytes:
        """Return all that is whole by now, or nothing; what is left waits for more."""
        if self._rest:
            data = self._rest + data
        cut = data.rfind(self._end) + len(self._end)
        if cut < len(self._end):
            self._rest = data
            return b""
        self._rest = data[cut:]
        return data[:cut]


class Client(asyncio.Protocol):
    """One user's connection."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._heard = b""
        self._awaited: tuple[bytes, asyncio.Future[bytes]] | None = None
        # Takes what comes when nothing is awaited.
        self.listener: Callable[[bytes], None] = lambda _: None

    async def log_in(self, user: str) -> None:
        """Say who it is, and be there."""
        await self.ask(_OPENING, _FEATURES)
        plain = base64.b64encode(f"\0{user}\0{PASSWORD}".encode()).decode()
        said = f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{plain}</auth>"
        answer = await self.ask(said.encode(), b">")
        if b"<success" not in answer:
            raise Refused(f"{user} was not let in: {answer.decode()}")
        await self.ask(_OPENING, _FEATURES)
        await self.ask(_BIND, b"<presence")

    async def enter(self, room: Chat, user: str) -> None:
        """Come into a room; what was said there before is not wanted."""
        join = "<x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x>"
        answer = await self.ask(f"<presence to='{room.id}/{user}'>{join}</presence>".encode(), b"<subject/></message>")
        if b"code='110'" not in answer:
            raise Refused(f"{user} did not come into {room.id}: {answer[-500:].decode()}")

    async def ask(self, said: bytes, until: bytes) -> bytes:
        """Say something and return what is heard up to the piece with these bytes in it."""
        self._heard = b""
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._awaited = (until, answer)
        self.say(said)
        try:
            async with asyncio.timeout(_SECONDS):
                return await answer
        except TimeoutError:
            raise Refused(f"no answer within {_SECONDS:g} s to {said.decode()}: {self._heard.decode()}") from None

    def say(self, said: bytes) -> None:
        """Say something."""
        if self._transport is None:
            raise RuntimeError("not connected")
        self._transport.write(said)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, _error: Exception | None) -> None:
        """Tell whoever waits."""
        if self._awaited is not None and not self._awaited[1].done():
            self._awaited[1].set_exception(Refused(f"the connection ended: {self._heard.decode()}"))

    def data_received(self, data: bytes) -> None:
        """Take a piece."""
        if self._awaited is None:
            self.listener(data)
            return
        self._heard += data
        until, answer = self._awaited
        if until in self._heard:
            self._awaited = None
            if not answer.done():
                answer.set_result(self._heard)


async def enter(address: str, user: str, room: Chat) -> Client:
    """Connect, log in and come into a room."""
    host, _, port = address.rpartition(":")
    _, client = await asyncio.get_running_loop().create_connection(Client, host, int(port))
    await client.log_in(user)
    await client.enter(room, user)
    return client
