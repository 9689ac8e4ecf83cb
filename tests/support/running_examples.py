"""Runs what the reference prints for the Python client."""

import contextlib
import textwrap
from typing import Any

from chatkit_client import Client, types


class _Seen(Exception):
    """An answer was printed."""


async def run(client: Client, printed: str) -> list[object]:
    """Run what a reader would paste, until it has printed an answer, and return what it has printed."""
    seen: list[object] = []

    def show(answer: object) -> None:
        seen.append(answer)
        raise _Seen

    names: dict[str, Any] = {"client": client, "types": types, "print": show}
    exec(f"async def run():\n{textwrap.indent(printed, '    ')}", names)  # noqa: S102 - what we have written ourselves
    with contextlib.suppress(_Seen):
        await names["run"]()
    return seen
