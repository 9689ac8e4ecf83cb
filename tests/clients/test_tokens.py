"""A token is fetched when there is none, shortly before it expires, and when the server says that it has."""

import asyncio
import time
from datetime import timedelta

import pytest

from chatkit_client import ChatkitError, Reason, SignedOut, TokenError, connect
from chatkit_client.retry import SystemClock
from chatkit_client.tokens import Tokens
from services.runtime.identity.api_keys import ApiKey
from tests.clients.scripted import HastyClock, Script, serve
from tests.support.edge import Edge
from tests.support.eventually import eventually, until
from tests.support.tokens import KEY, SECOND_KEY, token, write


class _Hurry(SystemClock):
    """A clock with which nobody waits."""

    async def sleep(self, seconds: float) -> None:
        assert seconds > 0


class _Source:
    """Where tokens come from, and a clock."""

    def __init__(self, ttl: timedelta = timedelta(hours=1)) -> None:
        self.ttl = ttl
        self.fetched: list[str] = []
        self.is_away = False
        # How often it was asked, and fails before it works.
        self.asked = self.failures = 0
        self.tokens = Tokens(self.fetch, now=lambda: self.now, clock=_Hurry())
        self.now = 0.0

    async def fetch(self) -> str:
        self.asked += 1
        if self.is_away or self.asked <= self.failures:
            raise OSError
        self.fetched.append(token(f"user {len(self.fetched)}", ttl=self.ttl))
        return self.fetched[-1]

    async def current(self) -> int:
        """Return which of the tokens is in use."""
        return self.fetched.index(await self.tokens.current())


@pytest.fixture
def source() -> _Source:
    """Lend a source on a clock that stands at the real time."""
    lent = _Source()
    lent.now = time.time()
    return lent


async def test_a_token_is_replaced_half_a_minute_before_it_expires(source: _Source) -> None:
    assert await source.current() == 0
    source.now += 3_600 - 35
    assert await source.current() == 0
    source.now += 10
    assert await source.current() == 1


async def test_a_token_that_can_not_be_replaced_early_is_used_until_the_server_refuses_it(source: _Source) -> None:
    assert await source.current() == 0
    source.is_away = True
    source.now += 3_600 - 10
    assert await source.current() == 0
    source.is_away = False
    # It is not asked for with every call.
    assert await source.current() == 0
    assert await source.tokens.renewed(source.fetched[0]) == source.fetched[1]


async def test_a_function_that_fails_is_told_with_its_own_error_and_may_be_asked_again(source: _Source) -> None:
    source.failures = 2
    for _ in range(2):
        with pytest.raises(TokenError) as failed:
            await source.current()
        assert isinstance(failed.value.__cause__, OSError)
    assert await source.current() == 0


async def test_a_call_asks_for_a_token_again_within_its_time() -> None:
    source, clock = _Source(), HastyClock()
    source.now, source.failures = time.time(), 3
    script = Script(log=[1])
    async with serve(script) as address, connect(address, source.fetch, clock=clock) as client:
        assert (await client.messages.list_messages(room_id="lobby")).messages[0].seq == 1
        assert source.asked == 4
        assert client.turned_away == {"TokenError": 3}
        source.is_away = True
        with pytest.raises(TokenError):
            await client.with_token(source.fetch).messages.list_messages(room_id="lobby")
    assert script.calls == 1
    assert clock.monotonic() < 40


async def test_who_has_signed_out_is_asked_no_more() -> None:
    async def sign_out() -> str:
        raise SignedOut

    async with serve(Script(log=[1])) as address, connect(address, sign_out, clock=HastyClock()) as client:
        with pytest.raises(SignedOut):
            await client.messages.list_messages(room_id="lobby")
        assert client.turned_away == {}


async def test_a_token_is_renewed_before_its_end_where_nobody_asks_for_one(source: _Source) -> None:
    clock = HastyClock()
    began = source.now
    source.tokens = Tokens(source.fetch, now=lambda: began + clock.monotonic(), clock=clock)
    source.failures = 0
    assert await source.current() == 0
    keeping = asyncio.create_task(source.tokens.keep())
    await eventually(lambda: clock.slept)
    clock.advance(3_600 - 35)
    await asyncio.sleep(0)
    assert len(source.fetched) == 1
    # Of two failures in a row none is the last word.
    source.asked, source.failures = 0, 2
    clock.advance(5)
    await eventually(lambda: len(source.fetched) == 2)
    assert clock.monotonic() < 3_600
    keeping.cancel()


async def test_a_clock_that_is_wrong_fetches_no_token_for_every_call(source: _Source) -> None:
    source.now += 10_000
    assert [await source.current() for _ in range(3)] == [0, 0, 0]


@pytest.mark.parametrize("opaque", ["opaque", "a.b.c", "a.e30.c", "a.W10.c"])
async def test_a_token_that_does_not_say_when_it_expires_is_used_until_then(opaque: str) -> None:
    async def fetch() -> str:
        return opaque

    tokens = Tokens(fetch)
    assert await tokens.current() == await tokens.current() == opaque


async def test_calls_go_on_when_the_key_of_their_token_was_taken_away(edge: Edge) -> None:
    keys = [KEY, SECOND_KEY]

    async def fetch() -> str:
        return token("alice", key=keys.pop(0))

    async def is_taken(key: ApiKey) -> bool:
        async with connect(edge.address, token("alice", key=key)) as another:
            try:
                await another.send("lobby", "hello")
            except ChatkitError as error:
                assert error.reason == Reason.TOKEN_INVALID  # noqa: PT017 - it may be refused for a while
                return False
            return True

    async def is_refused() -> bool:
        return not await is_taken(KEY)

    def write_all(*keys: ApiKey) -> None:
        for folder in (edge.folder, edge.suite.folder):
            write(folder / "keys.json", *keys)

    async with connect(edge.address, fetch) as client:
        await client.send("lobby", "before")
        write_all(SECOND_KEY, KEY)
        await until(lambda: is_taken(SECOND_KEY))
        write_all(SECOND_KEY)
        await until(is_refused)
        await client.send("lobby", "after")
    assert keys == []
