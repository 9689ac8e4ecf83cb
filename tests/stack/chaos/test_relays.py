"""A relay carries bytes until it is told what happens to them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.stack.chaos.relay import Weather
from services.stack.chaos.relays import SOCKET, Relays, relaying
from tests.support.eventually import HANG_SECONDS, eventually

_LINK = ("messages", "rooms")
_HELD = 0.2


class _Echo:
    """A server that says everything again, and what it has heard."""

    def __init__(self) -> None:
        self.heard = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(65_536):
            self.heard += piece
            writer.write(piece)
        writer.close()


@asynccontextmanager
async def _relayed() -> AsyncIterator[tuple[Relays, _Echo]]:
    echo = _Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    async with server, asyncio.timeout(HANG_SECONDS):
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with relaying({_LINK: address, ("messages", "postgres"): address}) as relays:
            yield relays, echo


class _Caller:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def asks(self, text: bytes) -> bytes:
        self.writer.write(text)
        return await self.reader.readexactly(len(text))

    async def is_cut(self) -> bool:
        try:
            return await self.reader.read(1) == b""
        except ConnectionError:
            return True
        finally:
            self.writer.close()


async def _calling(relays: Relays) -> _Caller:
    host, _, port = relays.ways[_LINK].rpartition(":")
    return _Caller(*await asyncio.open_connection(host, int(port)))


async def test_bytes_are_carried_there_and_back_and_connections_end_with_one_another() -> None:
    async with _relayed() as (relays, _):
        caller = await _calling(relays)
        text = bytes(range(256)) * 4_000
        assert await caller.asks(text) == text
        caller.writer.write_eof()
        assert await caller.is_cut()
        folder = Path(relays.ways["messages", "postgres"])
        local = _Caller(*await asyncio.open_unix_connection(str(folder / SOCKET)))
        assert await local.asks(b"hello") == b"hello"
        local.writer.close()


async def test_a_cut_ends_connections_and_new_ones_are_taken() -> None:
    async with _relayed() as (relays, _):
        callers = [await _calling(relays) for _ in range(3)]
        for caller in callers:
            await caller.asks(b"x")
        assert await relays.cut(_LINK) == 3
        assert all([await caller.is_cut() for caller in callers])
        again = await _calling(relays)
        assert await again.asks(b"y") == b"y"
        again.writer.close()


async def test_while_new_ones_are_refused_those_that_are_open_go_on() -> None:
    async with _relayed() as (relays, _):
        caller = await _calling(relays)
        await caller.asks(b"x")
        async with relays.faring(_LINK, Weather(refuses=True)):
            assert await caller.asks(b"y") == b"y"
            assert await (await _calling(relays)).is_cut()
        again = await _calling(relays)
        assert await again.asks(b"z") == b"z"
        for one in (caller, again):
            one.writer.close()


@pytest.mark.parametrize("is_one_way", [False, True])
async def test_what_is_sent_while_nothing_passes_arrives_when_it_does_again(is_one_way: bool) -> None:
    async with _relayed() as (relays, echo):
        caller = await _calling(relays)
        await caller.asks(b"x")
        async with relays.faring(_LINK, Weather(stalls_there=not is_one_way, stalls_back=True)):
            late = await _calling(relays)
            answers = [asyncio.create_task(one.asks(b"late")) for one in (caller, late)]
            await eventually(lambda: not is_one_way or echo.heard == b"xlatelate")
            # What must not come is waited for: longer than it takes otherwise.
            done, _ = await asyncio.wait(answers, timeout=_HELD)
            assert not done
            assert is_one_way or echo.heard == b"x"
        assert await asyncio.gather(*answers) == [b"late", b"late"]
        for one in (caller, late):
            one.writer.close()


async def test_what_is_delayed_comes_later_both_ways_and_in_order() -> None:
    async with _relayed() as (relays, _):
        caller = await _calling(relays)
        await caller.asks(b"x")
        loop = asyncio.get_running_loop()
        async with relays.faring(_LINK, Weather(delay_seconds=0.1)):
            began = loop.time()
            assert await caller.asks(b"y") == b"y"
            assert loop.time() - began >= 0.2
            caller.writer.write(b"1")
        assert await caller.asks(b"23") == b"12"
        caller.writer.close()
