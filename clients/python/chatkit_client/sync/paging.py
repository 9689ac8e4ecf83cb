"""All pages of what the contract lists in pages, blocking."""

from collections.abc import Callable, Generator
from typing import Any, ParamSpec

from chatkit_client.paging import PageT

_Asked = ParamSpec("_Asked")


def pages(method: Callable[_Asked, PageT], *args: _Asked.args, **asked: _Asked.kwargs) -> Generator[PageT, None, None]:
    """Yield each page that a method answers which takes a `page_token`, from the first one or from that token on.

    A page is asked for when the one before was processed, and may be empty, also in between. Raises ChatkitError.
    """
    wanted: Any = asked
    while True:
        page = method(*args, **wanted)
        yield page
        if not page.next_page_token:
            return
        wanted = {**wanted, "page_token": page.next_page_token}
