"""`python -m services.stack.chaos.relaying`: all relays of a suite, in a process that ends with its standard input.

The first line says where each link leads, and is answered with where its relay listens. Each later line says how a link
fares from now on, or that it is cut, and is answered when that is so. All of them are JSON.
"""

import asyncio
import json
import sys
from dataclasses import dataclass
from typing import Any

from services.stack.chaos.relay import Relay, Weather


@dataclass(frozen=True, slots=True)
class Way:
    """One link, as the first line says it; a path is for those that lead to a Unix socket."""

    number: int
    to: str
    path: str
    is_nats: bool


async def _lines() -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=1024 * 1024)
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin.buffer)
    return reader


async def _run() -> None:
    lines = await _lines()
    relays: dict[int, Relay] = {}
    addresses: dict[int, str] = {}
    for told in json.loads(await lines.readline()):
        way = Way(**told)
        relays[way.number] = Relay(way.to, is_nats=way.is_nats)
        addresses[way.number] = await relays[way.number].listen(way.path)
    _answer([addresses[number] for number in sorted(addresses)])
    while line := await lines.readline():
        order: dict[str, Any] = json.loads(line)
        relay = relays[order["number"]]
        if order.get("weather") is not None:
            relay.change(Weather(**order["weather"]))
        _answer(relay.cut() if order.get("is_cut") else 0)


def _answer(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_run())
