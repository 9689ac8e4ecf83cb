"""A user's token: given once, or fetched anew shortly before it expires, and at the latest when it has."""

import asyncio
import base64
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from chatkit_client.errors import ChatkitError, SignedOut, TokenError
from chatkit_client.reasons import Reason
from chatkit_client.retry import Backoff, Clock, SystemClock

Token = str | Callable[[], Awaitable[str]]
# A token is replaced when this much of its life is left, and never earlier than so many seconds before its end.
_LEFT_OF_LIFE = 0.2
_MOST_SECONDS_LEFT = 30.0
# How long the function that fetches tokens may take.
_FETCH_SECONDS = 15.0


class Tokens:
    """The token in use."""

    def __init__(self, token: Token, now: Callable[[], float] = time.time, clock: Clock | None = None) -> None:
        self._fetch = None if isinstance(token, str) else token
        self._token = token if isinstance(token, str) else None
        self._now = now
        self._clock = clock or SystemClock()
        # The one that was taken last.
        self._accepted: str | None = None
        # When the token is replaced before it expires; None when that is not known.
        self._renew_time: float | None = None
        self._backoff = Backoff()
        self._fetching = asyncio.Lock()

    @property
    def can_renew(self) -> bool:
        """Whether an expired token can be replaced."""
        return self._fetch is not None

    def accept(self, token: str | None) -> None:
        """Learn that the suite has taken a token: when it refuses that as invalid later, the token's key is gone."""
        self._accepted = token

    def can_replace(self, token: str | None, error: ChatkitError) -> bool:
        """Whether another token may do what this one could not, because it was good once and is no longer."""
        is_revoked = error.reason == Reason.TOKEN_INVALID and token is not None and token == self._accepted
        return self.can_renew and (error.wants_another_token or is_revoked)

    @property
    def latest(self) -> str | None:
        """The token that was fetched last; None before the first."""
        return self._token

    async def current(self) -> str:
        """Return the token, fetching the first one, and the next one when this one is about to expire.

        Raises TokenError when there is none, and SignedOut.
        """
        if self._token is None:
            return await self.renewed(None)
        if self._renew_time is not None and self._now() >= self._renew_time:
            # Whatever keeps the next one from being fetched, this one may be good for a while.
            with suppress(TokenError):
                return await self.renewed(self._token)
        return self._token

    async def renewed(self, expired: str | None) -> str:
        """Return another token than the expired one; calls that ask at once share one fetch.

        Raises TokenError when the function that fetches tokens fails, and SignedOut when it says so.
        """
        async with self._fetching:
            if self._fetch is not None and self._token == expired:
                self._token = await self._fetched(self._fetch)
                self._renew_time = self._renew_time_of(self._token)
        if self._token is None:
            raise RuntimeError("there is no token")
        return self._token

    async def keep(self, use: Callable[[], Awaitable[None]] | None = None) -> None:
        """Renew the token before each of its ends, as long as these are known: a stream itself never asks for one.

        `use` is called after each renewal, and after each that has failed.
        """
        with suppress(SignedOut):
            while self._renew_time is not None:
                await self._clock.sleep(max(0.0, self._renew_time - self._now()))
                await self.current()
                if use is not None:
                    await use()

    async def _fetched(self, fetch: Callable[[], Awaitable[str]]) -> str:
        try:
            async with asyncio.timeout(_FETCH_SECONDS):
                token = await fetch()
        except SignedOut:
            raise
        except Exception as error:
            # It is the application's function, and may fail in any way; it is not asked with every call.
            self._renew_time = self._now() + self._backoff.next_delay(None)
            raise TokenError(error) from error
        self._backoff.succeeded()
        return token

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
