"""A server of names, of which a test says the addresses, and changes them."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from typing import cast

_HEADER_BYTES = 12
_A, _IN, _ANSWER, _NO_SUCH_NAME = 1, 1, 0x8180, 0x8183
# Where the answer has the name: at the question's.
_NAME_OF_THE_QUESTION = 0xC00C


class Names(asyncio.DatagramProtocol):
    """Answers over UDP with the IPv4 addresses of a name; other names there are none."""

    def __init__(self) -> None:
        self.addresses: dict[str, list[str]] = {}
        # host:port of the server itself.
        self.address = ""
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)
        host, port = self._transport.get_extra_info("sockname")
        self.address = f"{host}:{port}"

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self._transport is not None
        self._transport.sendto(self._answer(data), addr)

    def _answer(self, asked: bytes) -> bytes:
        labels, place = [], _HEADER_BYTES
        while length := asked[place]:
            labels.append(asked[place + 1 : place + 1 + length].decode())
            place += 1 + length
        question = asked[_HEADER_BYTES : place + 5]
        (kind,) = struct.unpack_from("!H", asked, place + 1)
        name = ".".join(labels).lower()
        found = self.addresses.get(name, []) if kind == _A else []
        records = [
            struct.pack("!HHHIH", _NAME_OF_THE_QUESTION, _A, _IN, 0, 4) + IPv4Address(one).packed for one in found
        ]
        flags = _ANSWER if name in self.addresses else _NO_SUCH_NAME
        header = asked[:2] + struct.pack("!HHHHH", flags, 1, len(records), 0, 0)
        return header + question + b"".join(records)


@asynccontextmanager
async def serving_names() -> AsyncIterator[Names]:
    """Serve names on a port of their own."""
    transport, names = await asyncio.get_running_loop().create_datagram_endpoint(Names, local_addr=("127.0.0.1", 0))
    try:
        yield names
    finally:
        transport.close()
