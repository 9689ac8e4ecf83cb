"""A token is fetched when there is none, shortly before it expires, and when the server says that it has."""

import time
from datetime import timedelta

import pytest

from chatkit_client.retry import SystemClock
from chatkit_client.tokens import Tokens
from tests.support.tokens import token


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


async def test_a_function_that_fails_once_is_asked_again(source: _Source) -> None:
    source.failures = 1
    assert await source.current() == 0
    source.asked, source.failures = 0, 3
    assert await source.tokens.renewed(source.fetched[0]) == source.fetched[1]


async def test_a_function_that_goes_on_failing_says_why(source: _Source) -> None:
    source.is_away = True
    with pytest.raises(OSError):  # noqa: PT011 - it says nothing
        await source.current()
    assert source.asked == 4


async def test_a_clock_that_is_wrong_fetches_no_token_for_every_call(source: _Source) -> None:
    source.now += 10_000
    assert [await source.current() for _ in range(3)] == [0, 0, 0]


@pytest.mark.parametrize("opaque", ["opaque", "a.b.c", "a.e30.c", "a.W10.c"])
async def test_a_token_that_does_not_say_when_it_expires_is_used_until_then(opaque: str) -> None:
    async def fetch() -> str:
        return opaque

    tokens = Tokens(fetch)
    assert await tokens.current() == await tokens.current() == opaque
