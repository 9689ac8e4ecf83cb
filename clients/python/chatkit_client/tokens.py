"""A user's token: given once, or fetched anew shortly before it expires, and at the latest when it has."""

import asyncio
import base64
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from chatkit_client.retry import Backoff, Clock, SystemClock

Token = str | Callable[[], Awaitable[str]]
# A token is replaced when this much of its life is left, and never earlier than so many seconds before its end.
_LEFT_OF_LIFE = 0.1
_MOST_SECONDS_LEFT = 30.0
# How often a token is asked for before the calls that need it hear why there is none.
_ATTEMPTS = 4


class Tokens:
    """The token in use."""

    def __init__(self, token: Token, now: Callable[[], float] = time.time, clock: Clock | None = None) -> None:
        self._fetch = None if isinstance(token, str) else token
        self._token = token if isinstance(token, str) else None
        self._now = now
        self._clock = clock or SystemClock()
        # When the token is replaced before it expires; None when that is not known, or was tried in vain.
        self._renew_time: float | None = None
        self._fetching = asyncio.Lock()

    @property
    def can_renew(self) -> bool:
        """Whether an expired token can be replaced."""
        return self._fetch is not None

    async def current(self) -> str:
        """Return the token, fetching the first one, and the next one when this one is about to expire."""
        if self._token is None:
            return await self.renewed(None)
        if self._renew_time is not None and self._now() >= self._renew_time:
            self._renew_time = None
            # Whatever keeps the next one from being fetched, this one may be good for a while.
            with suppress(Exception):
                return await self._replaced(self._token, attempts=1)
        return self._token

    async def renewed(self, expired: str | None) -> str:
        """Return another token than the expired one; calls that ask at once share one fetch.

        A function that fails is asked a few times more, for some two seconds; then its own error is raised.
        """
        return await self._replaced(expired, _ATTEMPTS)

    async def _replaced(self, expired: str | None, attempts: int) -> str:
        async with self._fetching:
            if self._fetch is not None and self._token == expired:
                self._token = await self._fetched(self._fetch, attempts)
                self._renew_time = self._renew_time_of(self._token)
        if self._token is None:
            raise RuntimeError("there is no token")
        return self._token

    async def _fetched(self, fetch: Callable[[], Awaitable[str]], attempts: int) -> str:
        backoff = Backoff()
        for _ in range(attempts - 1):
            try:
                return await fetch()
            except Exception:  # noqa: BLE001 - it is the application's function, and may fail in any way
                await self._clock.sleep(backoff.next_delay(None))
        return await fetch()

    def _renew_time_of(self, token: str) -> float | None:
        expire_time, now = _expire_time(token), self._now()
        # A clock that is wrong by a token's life is no reason to fetch one for every call.
        if expire_time is None or expire_time <= now:
            return None
        return expire_time - min(_MOST_SECONDS_LEFT, (expire_time - now) * _LEFT_OF_LIFE)


def _expire_time(token: str) -> float | None:
    """Read when a token expires; None when it does not say so. Nothing is verified: that is the server's business."""
    try:
        payload = token.split(".")[1]
        return float(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["exp"])
    except (IndexError, KeyError, TypeError, ValueError):
        return None
