"""All pages of what the contract lists in pages."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, ParamSpec, Protocol, TypeVar


class Page(Protocol):
    """What a method of the contract answers that lists something."""

    @property
    def next_page_token(self) -> str:
        """The token of the next page; empty on the last."""


_Asked = ParamSpec("_Asked")
PageT = TypeVar("PageT", bound=Page)


async def pages(
    method: Callable[_Asked, Awaitable[PageT]], *args: _Asked.args, **asked: _Asked.kwargs
) -> AsyncGenerator[PageT, None]:
    """Yield each page that a method answers which takes a `page_token`, from the first one or from that token on.

    A page is asked for when the one before was processed, and may be empty, also in between. Raises ChatkitError.
    """
    wanted: Any = asked
    while True:
        page = await method(*args, **wanted)
        yield page
        if not page.next_page_token:
            return
        wanted = {**wanted, "page_token": page.next_page_token}
