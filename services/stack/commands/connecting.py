"""How a command talks to the suite that runs in a home."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

from chatkit_client import ChatkitError, Client, connect
from services.stack.home import Home
from services.stack.sign_in import token
from services.stack.trouble import Trouble

# What is on this machine is asked directly.
_OPTIONS = (("grpc.enable_http_proxy", 0),)


@asynccontextmanager
async def connected(home: Home, user_id: str | None) -> AsyncIterator[Client]:
    """Connect as a user, or as a superuser without one; what the suite refuses is said in a sentence."""

    def sign_in() -> Awaitable[str]:
        return asyncio.sleep(0, token(home, user_id, su=user_id is None))

    try:
        async with connect(home.running_address(), sign_in, options=_OPTIONS) as client:
            yield client
    except ChatkitError as error:
        raise Trouble(str(error)) from None
