"""Every example of the API reference is run as it is printed, against the real edge: curl, and the Python client."""

import asyncio
import json
import os

from chatkit_client import connect
from services.edge.reference import examples
from services.edge.reference.contract import Method, answer_of, methods
from tests.support.edge import Edge
from tests.support.eventually import HANG_SECONDS
from tests.support.openapi import faults
from tests.support.reference_world import World, world
from tests.support.running_examples import run


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


async def test_the_python_client_makes_every_call_as_it_is_printed(edge: Edge) -> None:
    async with world(edge, 2) as made:
        for method in methods():
            async with connect(edge.address, made.token(method)) as client, asyncio.timeout(HANG_SECONDS):
                assert await run(client, made.here(examples.python(method))), method.full_name
