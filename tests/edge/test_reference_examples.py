"""Every example of the API reference is run as it is printed, against the real edge: curl, and the Python client."""

import asyncio
import contextlib
import json
import os
import textwrap
from typing import Any

from chatkit_client import Client, connect, types
from services.edge.reference import examples
from services.edge.reference.contract import Method, answer_of, methods
from tests.support.edge import Edge
from tests.support.eventually import HANG_SECONDS
from tests.support.openapi import faults
from tests.support.reference_world import World, world


async def test_curl_makes_every_call_as_it_is_printed_and_the_answers_are_as_openapi_says(edge: Edge) -> None:
    async with world(edge, 1) as made:
        for method in methods():
            if (printed := examples.curl(method)) is not None:
                answer = json.loads(await _curl(made, method, printed))
                assert faults(answer_of(method).full_name, answer) == [], method.full_name


async def _curl(made: World, method: Method, printed: str) -> str:
    """Run a command of a shell, and return the JSON of the first answer."""
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", f"exec {made.here(printed).rstrip()} --fail-with-body"),
        env={**os.environ, "TOKEN": made.token(method)},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(HANG_SECONDS):
        if not method.contract.streams:
            answer, _ = await process.communicate()
            assert process.returncode == 0, f"{method.full_name}: {answer.decode()}"
            return answer.decode()
        line = (await process.stdout.readline()).decode()
    assert line.startswith("data: "), f"{method.full_name}: {line}"
    if process.returncode is None:
        process.kill()
    await process.wait()
    return line.removeprefix("data: ")


class _Seen(Exception):
    """An answer was printed."""


async def test_the_python_client_makes_every_call_as_it_is_printed(edge: Edge) -> None:
    async with world(edge, 2) as made:
        for method in methods():
            async with connect(edge.address, made.token(method)) as client, asyncio.timeout(HANG_SECONDS):
                assert await _run(client, made.here(examples.python(method))), method.full_name


async def _run(client: Client, printed: str) -> list[object]:
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
