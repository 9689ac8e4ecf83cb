"""How streams of sends end: what is under way is answered, and then the client is told why."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from chatkit.contract.v1 import error_reason_pb2
from chatkit.users.v1 import users_service_pb2

from tests.support import tokens
from tests.support.clock import LeapingClock
from tests.support.databases import TestDatabase
from tests.support.edge import Edge
from tests.support.eventually import until
from tests.support.refusals import decode
from tests.support.sending import Sender, numbered, sending, word
from tests.support.suite import Suite, running
from tests.support.tokens import bearer, su, user

# Of alice's tokens.
_LIFETIME = timedelta(minutes=10)
# 20 MB, which no buffers on the way hold.
_MANY = 4_000
End = Callable[[Suite], Coroutine[None, None, None]]


@pytest.fixture
async def suite(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Suite]:
    """Run the services on a clock that a test may move."""
    async with running(database, tmp_path, "users", "rooms", "messages", "files", clock=LeapingClock()) as started:
        yield started


def _leap(suite: Suite, seconds: float) -> None:
    assert isinstance(suite.clock, LeapingClock)
    suite.clock.leap(seconds)


async def _stop(suite: Suite) -> None:
    await suite.stop("messages")


async def _expire(suite: Suite) -> None:
    _leap(suite, _LIFETIME.total_seconds() + 1)


async def _revoke(suite: Suite) -> None:
    tokens.write(suite.folder / "keys.json", tokens.SECOND_KEY)


@pytest.mark.parametrize(
    ("reason", "end"),
    [("SHUTTING_DOWN", _stop), ("TOKEN_EXPIRED", _expire), ("TOKEN_INVALID", _revoke)],
    ids=["stopped", "expired", "revoked"],
)
async def test_the_last_frame_says_why_and_nothing_that_was_begun_is_without_its_result(
    edge: Edge, reason: str, end: End
) -> None:
    suite = edge.suite
    async with sending(suite.messages, bearer(tokens.token("alice", ttl=_LIFETIME))) as sender:
        await sender.opened()
        await sender.send(*(numbered(number) for number in range(20)))
        await sender.result(1)
        async with asyncio.TaskGroup() as group:
            group.create_task(end(suite))
            assert await sender.ending() == (reason, reason)
    assert {word(result) for result in sender.results.values()} == {"OK"}
    assert suite.database.count("messages.messages") == len(sender.results)
    assert list(sender.results) == list(range(1, len(sender.results) + 1))


async def test_a_stream_warns_before_its_token_ends_and_a_new_one_goes_on(edge: Edge) -> None:
    suite = edge.suite
    async with sending(suite.messages, bearer(tokens.token("alice", ttl=_LIFETIME))) as sender:
        await sender.opened()
        _leap(suite, _LIFETIME.total_seconds() - 30)
        while not sender.warnings:
            assert await sender.read()
        await sender.send(numbered(1))
        async with sending(suite.messages, user("alice")) as following:
            await following.send(numbered(1), numbered(2))
            assert await following.told(2) == ["OK", "OK"]
            await sender.finish()
            assert sender.results[1].message == following.results[1].message


async def test_whoever_is_deleted_sends_nothing_and_nothing_as_who_has_the_id_then(edge: Edge) -> None:
    suite = edge.suite
    async with sending(suite.messages, user("alice")) as sender, sending(suite.messages, user("bob")) as other:
        await sender.send(numbered(1))
        assert await sender.told(1) == ["OK"]
        await suite.users.DeleteUser(users_service_pb2.DeleteUserRequest(user_id="alice"), metadata=su())
        await sender.send(numbered(2))
        assert word(await sender.result(2)) == "ROOM_ACCESS_DENIED"
        await until(lambda: _is_free(suite, "alice"))
        # By somebody whose token is of any time.
        await suite.make_room("attic", "bob", "alice")
        await sender.send(numbered(3, "attic"))
        assert word(await sender.result(3)) == "USER_DELETED"
        assert await sender.ending() == ("USER_DELETED", "USER_DELETED")
        await other.send(numbered(3))
        assert await other.told(1) == ["OK"]


async def _is_free(suite: Suite, user_id: str) -> bool:
    try:
        await suite.make_users(user_id)
    except grpc.aio.AioRpcError as error:
        assert decode(error).reason == "USER_ALREADY_EXISTS"  # noqa: PT017 - until it is free
        return False
    return True


async def test_whoever_reads_no_results_is_read_no_longer_and_ended_and_others_are_not(edge: Edge) -> None:
    suite = edge.suite
    async with sending(suite.messages, su()) as sender, sending(suite.messages, user("bob")) as other:
        await sender.opened()
        writing = asyncio.create_task(_write_without_end(sender))
        seen, count = -1, 0
        # As long as any of it is taken; nothing of it comes in the time of many messages of another.
        while (stored := suite.database.count("messages.messages") - count) != seen:
            seen = stored
            for _ in range(50):
                count += 1
                await other.send(numbered(count))
                assert word(await other.result(count)) == "OK"
        _leap(suite, 60)
        await other.send(numbered(count + 1))
        await other.result(count + 1)
        with pytest.raises(grpc.aio.AioRpcError):
            await sender.drain()
        # Whoever is writing may hear of the writing, and of nothing that came after what it has read.
        assert sender.closed is None or sender.closed.reason == error_reason_pb2.SLOW_CONSUMER
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        assert list(sender.results) == list(range(1, len(sender.results) + 1))
        assert len(sender.results) <= suite.database.count("messages.messages") - (count + 1) < _MANY


async def _write_without_end(sender: Sender) -> None:
    for number in range(_MANY):
        request = numbered(number, content="x" * 5_000)
        request.sender_id = "alice"
        await sender.send(request)
