"""PostgreSQL is restarted, fails over and is put back, and messages are what they must be then."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress

import grpc
import psycopg
import pytest
import pytest_asyncio
from chatkit.messages.v1.messages_service_pb2 import ListMessagesRequest
from chatkit.messages.v1.messages_service_pb2_grpc import MessagesServiceStub

from chatkit_client.types import CreateRoomRequest, SubscribeUserRequest, UserPosition
from services.runtime.data.epoch import IDENTITY
from services.stack.chaos.steps import Losses
from services.stack.chaos.suite import Suite
from services.stack.commands.connecting import connected
from services.stack.sign_in import bearer
from tests.messages.chat import text
from tests.stack.chaos.chosen import chosen, step
from tests.support.eventually import answered

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="package")]


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def messages(suite: Suite) -> AsyncIterator[MessagesServiceStub]:
    """Call messages through the edge."""
    async with grpc.aio.insecure_channel(suite.stack.address) as channel:
        yield MessagesServiceStub(channel)


async def _send(suite: Suite, messages: MessagesServiceStub, content: str) -> None:
    await answered(lambda: messages.SendMessage(text(content, content), metadata=bearer(suite.home, "alice")))


async def _contents(suite: Suite, messages: MessagesServiceStub) -> set[str]:
    request = ListMessagesRequest(room_id="lobby", page_size=100)
    answer = await answered(lambda: messages.ListMessages(request, metadata=bearer(suite.home, "alice")))
    return {message.parts[0].content for message in answer.messages}


def _timeline(suite: Suite) -> int:
    with psycopg.connect(suite.stack.postgres.superuser_dsn) as connection:
        _, timeline = connection.execute(IDENTITY).fetchone() or (0, 0)
        return int(timeline)


def _epoch(suite: Suite) -> str:
    with psycopg.connect(suite.stack.postgres.superuser_dsn, dbname="chatkit") as connection:
        (epoch,) = connection.execute("SELECT epoch FROM messages.deployment").fetchone() or ("",)
        return str(epoch)


async def test_a_server_that_is_restarted_is_another_process(suite: Suite) -> None:
    before = suite.stack.postgres.pid
    await step("restart").cause(suite)
    assert suite.stack.postgres.pid != before


async def test_after_a_fail_over_the_standby_serves_all_that_was_acknowledged(
    suite: Suite, messages: MessagesServiceStub
) -> None:
    before, epoch = _timeline(suite), _epoch(suite)
    happening = step("fail-over")
    task = asyncio.create_task(happening.cause(suite))
    sent: list[str] = []
    while not task.done():
        sent.append(f"while it fails over {len(sent)}")
        await _send(suite, messages, sent[-1])
    await task
    assert _timeline(suite) == before + 1
    assert _epoch(suite) != epoch
    assert (happening.is_new_epoch, happening.loses_since) == (True, None)
    # A page of the last ones.
    assert set(sent[-50:]) <= await _contents(suite, messages)


async def test_a_fail_over_that_is_cancelled_leaves_a_server_that_waits_for_nobody(
    suite: Suite, messages: MessagesServiceStub
) -> None:
    before = _timeline(suite)
    context = chosen("fail-over").happening(suite, Losses())
    with suppress(asyncio.CancelledError):
        async with context:
            raise asyncio.CancelledError
    assert _timeline(suite) == before
    await _send(suite, messages, "nobody is waited for")


async def _make_rooms(suite: Suite, name: str) -> None:
    async with connected(suite.home, None) as admin:
        for number in range(3):
            request = CreateRoomRequest(
                id=f"{name}-{number}", name=name, visibility="VISIBILITY_PRIVATE", creator_id="bob"
            )
            await admin.call(request, repeatable=True)


async def _user_stream(suite: Suite, after: UserPosition | None = None) -> tuple[bool, UserPosition]:
    """Return whether a stream of bob's rooms goes on where he asks, and where he stands then."""
    is_resumed = False
    async with (
        connected(suite.home, "bob") as bob,
        aclosing(bob.stream(SubscribeUserRequest(after=after))) as frames,
    ):
        async for frame in frames:
            for event in frame.events:
                is_resumed = is_resumed or event.opened.resumed
                if event.WhichOneof("event") == "caught_up":
                    return is_resumed, event.position
    raise AssertionError("the stream has ended")


async def test_nobody_goes_on_from_a_position_of_a_future_that_was_put_back(suite: Suite) -> None:
    async with chosen("put-back").happening(suite, Losses()):
        await _make_rooms(suite, "lost")
        _, position = await _user_stream(suite)
        assert (await _user_stream(suite, position))[0]
    await suite.until_healthy("files were put back")
    # The versions of changes are as high as those that were lost, and of other changes.
    await _make_rooms(suite, "kept")
    await _make_rooms(suite, "more")
    assert not (await _user_stream(suite, position))[0]


async def test_what_was_written_after_the_copy_is_gone_when_it_was_put_back(
    suite: Suite, messages: MessagesServiceStub
) -> None:
    await _send(suite, messages, "before the copy")
    epoch, losses = _epoch(suite), Losses()
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with chosen("put-back").happening(suite, losses):
        copied = loop.time()
        await _send(suite, messages, "after the copy")
        assert losses.since is None
    await suite.until_healthy("files were put back")
    assert losses.is_new_epoch
    assert losses.since is not None
    assert began < losses.since < copied
    assert _epoch(suite) != epoch
    found = await _contents(suite, messages)
    assert "before the copy" in found
    assert "after the copy" not in found
