"""A call whose message never comes, or not as a whole, is told so at once; one that waits for it counts as a stream."""

import struct
from pathlib import Path

import pytest

from services.edge import public
from tests.support import http2, tokens
from tests.support.edge import Edge, running_edge
from tests.support.eventually import eventually
from tests.support.suite import Suite

# A stream both ways begins without one.
_METHODS = sorted({one.path for _, one in public.methods() if not (one.streams and one.streams_requests)})
_STREAM = "/chatkit.messages.v1.MessagesService/SubscribeRoom"
BODIES = {"empty": b"", "cut": b"\0" + struct.pack(">I", 100) + b"abc", "without its length": b"\0\0"}
_INVALID_ARGUMENT = "3"


async def _by_web(edge: Edge, user: str, path: str, body: bytes) -> str:
    headers = {
        "content-type": "application/grpc-web+proto",
        "authorization": f"Bearer {tokens.token(user, su=True)}",
    }
    answer = await edge.http.post(path, content=body, headers=headers)
    return str(answer.headers["grpc-status"])


@pytest.mark.parametrize("name", BODIES)
async def test_every_method_says_at_once_that_the_message_is_missing(name: str, suite: Suite, short_path: Path) -> None:
    # Nothing but an answer ends these calls.
    async with (
        running_edge(suite, short_path, "deadlines") as edge,
        http2.connected(edge.address) as connection,
    ):
        for path in _METHODS:
            # Each of another user: together they cost more than one may ask for in a second.
            user = path.rpartition("/")[2]
            assert await _by_web(edge, user, path, BODIES[name]) == _INVALID_ARGUMENT, path
            number = await connection.begin(path, *tokens.user(user))
            await connection.send(number, BODIES[name])
            await connection.until(lambda: connection.answers[number].ended)  # noqa: B023 - awaited here
        answers = connection.answers.values()
        # Some are for superusers, which is looked at first or last.
        assert {answer.headers["grpc-status"] for answer in answers} <= {_INVALID_ARGUMENT, "7"}


async def test_calls_that_wait_for_their_message_count_as_streams(suite: Suite) -> None:
    messages = suite.servers["messages"]
    async with http2.connected(messages.address) as connection:
        held = [await connection.begin(_STREAM, *tokens.user("alice")) for _ in range(100)]
        await eventually(lambda: messages.streams.count == 100)
        one_more = await connection.begin(_STREAM, *tokens.user("alice"))
        await connection.until(lambda: connection.answers[one_more].ended)
        assert connection.answers[one_more].headers["grpc-status"] == "8"
        for number in held:
            await connection.send(number, b"")
        await connection.until(lambda: all(connection.answers[number].ended for number in held))
        assert {connection.answers[number].headers["grpc-status"] for number in held} == {_INVALID_ARGUMENT}
    await eventually(lambda: messages.streams.count == 0)
