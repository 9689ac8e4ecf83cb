"""Wall clocks that are wrong for a while: what is the suite's own fault costs no client its token, and heals at once.

The real processes are told the time by libfaketime; what those with injected clocks show is the same, everywhere.
"""

import itertools
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from chatkit.files.v1 import files_service_pb2
from chatkit.messages.v1 import read_states_service_pb2
from chatkit.rooms.v1 import memberships_service_pb2, rooms_service_pb2

from services.runtime.clock import SystemClock
from tests.support import tokens
from tests.support.clock import WrongClock
from tests.support.databases import TestDatabase
from tests.support.eventually import until
from tests.support.own_process import own_process
from tests.support.refusals import decode, refused
from tests.support.suite import Suite, ready

_HOUR = 3_600.0
_FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
# Signed long ago and for long, so that no hour makes a difference to it.
_ALICE = tokens.bearer(tokens.token("alice", ttl=timedelta(hours=12), now=datetime.now(UTC) - timedelta(hours=3)))


def _adding() -> memberships_service_pb2.AddMembersRequest:
    """Return a request that rooms asks users about each time."""
    return memberships_service_pb2.AddMembersRequest(room_id="lobby", user_ids=["bob"])


@asynccontextmanager
async def _suite(database: TestDatabase, folder: Path) -> AsyncIterator[tuple[Suite, dict[str, WrongClock]]]:
    """Run users and rooms, each with a clock of its own."""
    clocks = {"users": WrongClock(), "rooms": WrongClock()}
    suite = Suite(database, folder, SystemClock(), {})
    try:
        for service, clock in clocks.items():
            suite.clock = clock
            await suite.begin(service)
        for service in clocks:
            await ready(suite.servers[service].address)
        await suite.make_users("alice", "bob")
        await suite.make_room("lobby", "alice")
        yield suite, clocks
    finally:
        await suite.close()


@pytest.mark.parametrize("wrong_by", [120.0, _HOUR, -_HOUR])
@pytest.mark.parametrize("service", ["users", "rooms"])
async def test_a_service_whose_clock_is_wrong_is_unavailable_and_available_as_soon_as_it_is_right(
    database: TestDatabase, tmp_path: Path, service: str, wrong_by: float
) -> None:
    async with _suite(database, tmp_path) as (suite, clocks):
        await suite.memberships.AddMembers(_adding(), metadata=_ALICE)
        clocks[service].ahead = wrong_by
        # The client's own token is good by either clock; it is that of the service which is refused.
        error = await refused(suite.memberships.AddMembers(_adding(), metadata=_ALICE), "SERVICE_UNAVAILABLE")
        assert error.retry_after is not None
        clocks[service].ahead = 0.0
        await suite.memberships.AddMembers(_adding(), metadata=_ALICE)


async def _ask_of_users(suite: Suite, _number: int) -> object:
    """Let a service ask another one, which it does each time: here rooms asks users."""
    return await suite.memberships.AddMembers(_adding(), metadata=_ALICE)


async def _ask_of_messages(suite: Suite, _number: int) -> object:
    """Let messages ask rooms."""
    return await suite.read_states.ListReadStates(read_states_service_pb2.ListReadStatesRequest(), metadata=_ALICE)


async def _ask_of_files(suite: Suite, number: int) -> object:
    """Let files ask rooms, whose answer it keeps, so each time about another room."""
    room_id = f"room {number}"
    room = rooms_service_pb2.CreateRoomRequest(id=room_id, name=room_id, visibility="VISIBILITY_PUBLIC")
    await suite.rooms.CreateRoom(room, metadata=_ALICE)
    file = files_service_pb2.CreateFileRequest(
        room_id=room_id, content_type="image/png", size_bytes=1, request_id=room_id
    )
    return await suite.files.CreateFile(file, metadata=_ALICE)


_ASKING = {"users": _ask_of_users, "rooms": _ask_of_users, "messages": _ask_of_messages, "files": _ask_of_files}


@pytest.mark.slow
@pytest.mark.skipif(_FAKETIME is None, reason="libfaketime is not installed (apt-get install libfaketime)")
@pytest.mark.parametrize("wrong_by", [_HOUR, -_HOUR], ids=["ahead", "behind"])
@pytest.mark.parametrize("service", _ASKING)
async def test_a_real_process_is_unavailable_while_its_clock_is_wrong_and_well_when_it_is_right(
    database: TestDatabase, tmp_path: Path, service: str, wrong_by: float
) -> None:
    told_time = tmp_path / "time"
    told_time.write_text("+0\n")
    faked = {
        "LD_PRELOAD": str(_FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(told_time),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    told = (f"{name}={value}" for name, value in faked.items())
    command = ("env", *told, sys.executable, "-m", f"services.{service}", "serve")
    suite = Suite(database, tmp_path, SystemClock(), {})
    numbers, log = itertools.count(), tmp_path / "own.log"
    try:
        for other in _ASKING:
            if other != service:
                await suite.begin(other)
        async with own_process(command, suite.settings_of(service), log) as process:
            assert process.returncode is None, log.read_text()
            for name in _ASKING:
                await ready(suite.address(name))
            await suite.make_users("alice", "bob")
            await suite.make_room("lobby", "alice")

            async def reason() -> str:
                try:
                    await _ASKING[service](suite, next(numbers))
                except grpc.aio.AioRpcError as error:
                    return decode(error).reason
                return ""

            async def is_refused() -> bool:
                told = await reason()
                assert told in {"", "SERVICE_UNAVAILABLE"}
                return bool(told)

            async def is_well() -> bool:
                return not await is_refused()

            assert await is_well()
            told_time.write_text(f"{wrong_by:+.0f}\n")
            await until(is_refused)
            told_time.write_text("+0\n")
            took = await until(is_well)
            print(f"well again after {took:.2f} s")
    finally:
        await suite.close()
