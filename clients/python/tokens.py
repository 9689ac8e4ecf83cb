"""A user's token: given once, or fetched anew whenever one has expired."""

import asyncio
from collections.abc import Awaitable, Callable

Token = str | Callable[[], Awaitable[str]]


class Tokens:
    """The token in use."""

    def __init__(self, token: Token) -> None:
        self._fetch = None if isinstance(token, str) else token
        self._token = token if isinstance(token, str) else None
        self._fetching = asyncio.Lock()

    @property
    def can_renew(self) -> bool:
        """Whether an expired token can be replaced."""
        return self._fetch is not None

    async def current(self) -> str:
        """Return the token, fetching the first one."""
        return self._token if self._token is not None else await self.renewed(None)

    async def renewed(self, expired: str | None) -> str:
        """Return another token than the expired one; calls that ask at once share one fetch."""
        async with self._fetching:
            if self._fetch is not None and self._token == expired:
                self._token = await self._fetch()
        if self._token is None:
            raise RuntimeError("there is no token")
        return self._token
