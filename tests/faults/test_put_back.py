"""One schema is put back to an earlier state while everything runs: whoever believes something of it is told."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from uuid import UUID

import grpc
import psycopg
import pytest
from chatkit.contract.v1 import error_reason_pb2
from chatkit.messages.v1 import messages_service_pb2 as pb2
from chatkit.messages.v1 import position_pb2, room_event_pb2
from chatkit.rooms.v1 import memberships_service_pb2 as memberships_pb2
from chatkit.rooms.v1 import rooms_service_pb2

from services.runtime.data.database import Database, create_engine
from services.runtime.data.epoch import Epoch
from services.stack.machine.postgres import Postgres
from tests.messages.chat import Reader, text
from tests.support.copies import copy, put_back
from tests.support.databases import TEMPLATE, TestDatabase, make_template
from tests.support.eventually import HANG_SECONDS, eventually
from tests.support.refusals import check, refused
from tests.support.suite import Suite, running
from tests.support.tokens import user

ALL = ("users", "rooms", "messages")


@pytest.fixture
async def suite(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Suite]:
    """Run the services with alice and bob in the lobby."""
    async with running(database, tmp_path, *ALL) as started:
        await started.make_users("alice", "bob", "carol")
        await started.make_room("lobby", "alice", "bob")
        yield started


@contextmanager
def _copied(suite: Suite, schema: str, name: str = "before") -> Iterator[Path]:
    file = suite.folder / f"{schema} {name}.dump"
    copy(suite.database.superuser_dsn, schema, file)
    yield file


async def _put_back(suite: Suite, schema: str, file: Path) -> None:
    await asyncio.to_thread(put_back, suite.database.superuser_dsn, schema, file)


@asynccontextmanager
async def _reading(suite: Suite, who: str, after: position_pb2.Position | None = None) -> AsyncIterator[Reader]:
    request = pb2.SubscribeRoomRequest(room_id="lobby", after=after, last=None if after else 0)
    call = suite.messages.SubscribeRoom(request, metadata=user(who))
    yield Reader(call)
    call.cancel()


async def _add(suite: Suite, who: str) -> None:
    request = memberships_pb2.AddMembersRequest(room_id="lobby", user_ids=[who])
    await suite.memberships.AddMembers(request, metadata=user("alice"))


async def _send(suite: Suite, request_id: str, who: str = "alice") -> int:
    sent: pb2.SendMessageResponse = await suite.messages.SendMessage(text(request_id, request_id), metadata=user(who))
    return sent.message.seq


def _reason(event: room_event_pb2.RoomEvent) -> str:
    return error_reason_pb2.ErrorReason.Name(event.closed.reason).removeprefix("ERROR_REASON_")


async def test_rooms_put_back_ends_the_streams_of_those_who_are_no_members_any_more(suite: Suite) -> None:
    with _copied(suite, "rooms") as file:
        await _add(suite, "carol")
        async with _reading(suite, "carol") as carol, _reading(suite, "bob") as bob:
            await carol.until("caught_up")
            await bob.until("caught_up")
            await _put_back(suite, "rooms", file)
            assert _reason((await carol.until("closed"))[-1]) == "REMOVED_FROM_ROOM"
            await refused(suite.messages.SendMessage(text("x", "x"), metadata=user("carol")), "ROOM_ACCESS_DENIED")
            # Members go on, in a rooms that writes again.
            seq = await _send(suite, "still here")
            assert await bob.until_seq(seq) == [seq]
            await _add(suite, "carol")
            await _send(suite, "again", "carol")


async def test_a_rooms_that_has_reached_the_version_again_is_noticed_too(suite: Suite) -> None:
    with _copied(suite, "rooms") as file:
        await _add(suite, "carol")
        async with _reading(suite, "carol") as carol:
            await carol.until("caught_up")
            # Nobody looks at rooms while it is put back, and when somebody does its counter stands where it stood.
            await suite.stop("rooms")
            await _put_back(suite, "rooms", file)
            with psycopg.connect(suite.database.superuser_dsn) as connection:
                connection.execute("UPDATE rooms.change_counter SET version = version + 1")
            await suite.start("rooms", listen=suite.servers["rooms"].address)
            assert _reason((await carol.until("closed"))[-1]) == "REMOVED_FROM_ROOM"


async def test_messages_put_back_is_a_new_epoch_without_being_told(suite: Suite) -> None:
    await _send(suite, "1")
    with _copied(suite, "messages") as file:
        await _send(suite, "2")
        async with _reading(suite, "bob") as bob:
            position = (await bob.next()).opened.position
            await bob.until("caught_up")
            await _put_back(suite, "messages", file)
            assert _reason((await bob.until("closed"))[-1]) == "LOG_RESET"
        # The log grows past what the client has seen: it must not be taken for one that knows these.
        assert [await _send(suite, "other 2"), await _send(suite, "other 3")] == [2, 3]
        opened = await _opened(suite, position)
        assert opened.reason == room_event_pb2.SNAPSHOT_REASON_EPOCH


async def _opened(suite: Suite, position: position_pb2.Position) -> room_event_pb2.Opened:
    """Resume, again where the log was begun anew while the stream was opened."""
    while True:
        async with _reading(suite, "bob", position) as bob:
            try:
                return (await bob.next()).opened
            except grpc.aio.AioRpcError as error:
                check(error, "LOG_RESET")


async def test_users_put_back_begins_the_streams_of_users_anew(suite: Suite) -> None:
    with _copied(suite, "users") as file:
        call = suite.rooms.SubscribeUser(rooms_service_pb2.SubscribeUserRequest(), metadata=user("alice"))
        stream = aiter(call)
        await anext(stream)
        await _put_back(suite, "users", file)
        await refused(_end(stream), "LOG_RESET")


async def test_the_roll_is_called_once_and_leaves_the_epoch_of_rooms_alone(suite: Suite) -> None:
    await eventually(lambda: suite.database.count("rooms.roll_call") == 1)
    database = Database(create_engine(suite.database.dsn("rooms"), connections=1))
    assert await Epoch("rooms").fits(database)
    await database.close()


async def test_who_is_no_user_any_more_sends_and_reads_nothing_until_they_are_one_again(suite: Suite) -> None:
    with _copied(suite, "users") as before:
        await suite.make_users("dave")
        await _add(suite, "dave")
        with _copied(suite, "users", "after") as after:
            async with _reading(suite, "dave") as dave, _reading(suite, "bob") as bob:
                await dave.until("caught_up")
                await bob.until("caught_up")
                await _put_back(suite, "users", before)
                assert _reason((await dave.until("closed"))[-1]) == "REMOVED_FROM_ROOM"
                await refused(suite.messages.SendMessage(text("x", "x"), metadata=user("dave")), "ROOM_ACCESS_DENIED")
                assert await bob.until_seq(await _send(suite, "still here")) == [1]
            # Another dave is not the member.
            await suite.make_users("dave")
            await refused(suite.messages.SendMessage(text("x", "x"), metadata=user("dave")), "ROOM_ACCESS_DENIED")
            await _put_back(suite, "users", after)
            await eventually(lambda: suite.database.count("rooms.absent_users") == 0)
            await _send(suite, "dave is back", "dave")


async def _end(stream: AsyncIterator[object]) -> None:
    async with asyncio.timeout(HANG_SECONDS):
        async for _ in stream:
            pass


async def test_a_server_whose_files_were_put_back_is_noticed_by_a_process_that_has_seen_more(tmp_path: Path) -> None:
    data, kept = tmp_path / "data", tmp_path / "kept"
    with Postgres(data, tmp_path / "postgres.log", password="superuser") as postgres:
        make_template(postgres)
        dsn = TestDatabase(postgres, TEMPLATE).superuser_dsn
        epoch = Epoch("rooms")
        first = await _glance(epoch, dsn)
        postgres.stop()
        shutil.copytree(data, kept)
        postgres.start()
        with psycopg.connect(dsn) as connection:
            connection.execute("CREATE TABLE public.written AS SELECT generate_series(1, 100000)")
        assert await _glance(epoch, dsn) == first
        postgres.stop()
        shutil.rmtree(data)
        kept.rename(data)
        postgres.start()
        # A process that has seen nothing can't tell, and one that has tells the others by the new epoch.
        assert await _glance(Epoch("rooms"), dsn) == first
        second = await _glance(epoch, dsn)
        assert second != first
        assert await _glance(Epoch("rooms"), dsn) == second


async def _glance(epoch: Epoch, dsn: str) -> UUID:
    database = Database(create_engine(dsn, connections=1))
    try:
        return (await epoch.glance(database)).epoch
    finally:
        await database.close()
