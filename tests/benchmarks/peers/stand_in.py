"""A chat server that speaks as much XMPP as the generator hears: it lets everybody in, and archives nothing."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

_OPENED = b"<stream:stream from='localhost'><stream:features></stream:features>"
_JOINED = b"<presence><status code='110'/></presence><message type='groupchat'><subject/></message>"
_SAID = re.compile(rb"<message to='([^']*)' type='groupchat' id='(b[0-9a-f]{16})'><body>(x*)</body></message>")
_ASKED = re.compile(rb"<iq type='set' to='[^']*' id='(p\d+)'><query .*?<max>(\d+)</max>.*?</query></iq>")


@dataclass
class StandIn:
    """What it has been told, and how it answers."""

    # What stands in each message beside its text: the id that an archive would give it.
    mark: bytes = b"<stanza-id id='1'/>"
    lets_in: bool = True
    fewer_in_a_page: int = 0
    texts: list[bytes] = field(default_factory=list)
    address: str = ""
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection to its end."""
        heard = b""
        while piece := await reader.read(65_536):
            heard = self._answer(heard + piece, writer)
        self._writers.discard(writer)
        writer.close()

    def _answer(self, heard: bytes, writer: asyncio.StreamWriter) -> bytes:
        """Answer what is whole of what was heard, and return the rest."""
        if heard.endswith(b"version='1.0'>"):
            writer.write(_OPENED)
        elif heard.startswith(b"<auth"):
            writer.write(b"<success/>" if self.lets_in else b"<failure/>")
        elif heard.startswith(b"<iq type='set' id='bind'>"):
            writer.write(b"<iq type='result' id='bind'></iq><presence/>")
        elif heard.startswith(b"<presence"):
            self._writers.add(writer)
            writer.write(_JOINED)
        else:
            return self._hear_talk(heard, writer)
        return b""

    def _hear_talk(self, heard: bytes, writer: asyncio.StreamWriter) -> bytes:
        end = 0
        for said in _SAID.finditer(heard):
            self.texts.append(said[3])
            message = b"<message from='%s' id='%s'>%s<body>x</body></message>" % (said[1], said[2], self.mark)
            for other in self._writers:
                other.write(message)
            end = said.end()
        for asked in _ASKED.finditer(heard):
            one = b"<message><result><forwarded x=''><message></message></forwarded></result></message>"
            writer.write(one * (int(asked[2]) - self.fewer_in_a_page) + b"<iq type='result' id='%s'></iq>" % asked[1])
            end = asked.end()
        return heard[end:]


@asynccontextmanager
async def standing_in(server: StandIn) -> AsyncIterator[StandIn]:
    """Let it serve while the context is open."""
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    host, port = listening.sockets[0].getsockname()
    server.address = f"{host}:{port}"
    yield server
    listening.close()
