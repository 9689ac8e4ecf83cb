"""Wall clocks that are wrong for a while: what is the suite's own fault costs no client its token, and heals at once.

The real processes are told the time by libfaketime; what those with injected clocks show is the same, everywhere.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from chatkit.rooms.v1 import (
    memberships_service_pb2,
    memberships_service_pb2_grpc,
    rooms_service_pb2,
    rooms_service_pb2_grpc,
)

from services.runtime.clock import SystemClock
from services.stack.ports import Port
from tests.support import tokens
from tests.support.clock import WrongClock
from tests.support.databases import TestDatabase
from tests.support.eventually import HANG_SECONDS, until
from tests.support.own_process import own_process
from tests.support.refusals import decode, refused
from tests.support.suite import Suite, ready, running, settings

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


@pytest.mark.skipif(_FAKETIME is None, reason="libfaketime is not installed (apt-get install libfaketime)")
@pytest.mark.parametrize("wrong_by", [_HOUR, -_HOUR], ids=["ahead", "behind"])
async def test_a_real_process_is_unavailable_while_its_clock_is_wrong_and_well_when_it_is_right(
    database: TestDatabase, tmp_path: Path, wrong_by: float
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
    command = ("env", *told, sys.executable, "-m", "services.rooms", "serve")
    port = Port("127.0.0.1")
    async with running(database, tmp_path, "users", rooms_address=port.address) as suite:
        address = suite.servers["users"].address
        values = settings(database, tmp_path, "rooms", users_address=address, listen=port.address)
        async with (
            own_process(command, values, tmp_path / "rooms.log") as process,
            grpc.aio.insecure_channel(port.address) as channel,
        ):
            assert process.returncode is None, (tmp_path / "rooms.log").read_text()
            await suite.make_users("alice", "bob")
            stub = memberships_service_pb2_grpc.MembershipsServiceStub(channel)
            await _make_room(channel)

            async def reason() -> str:
                try:
                    await stub.AddMembers(_adding(), metadata=_ALICE, timeout=HANG_SECONDS)
                except grpc.aio.AioRpcError as error:
                    return decode(error).reason
                return ""

            async def is_refused() -> bool:
                told = await reason()
                assert told in {"", "SERVICE_UNAVAILABLE"}
                return bool(told)

            async def is_well() -> bool:
                return not await is_refused()

            assert await reason() == ""
            told_time.write_text(f"{wrong_by:+.0f}\n")
            await until(is_refused)
            told_time.write_text("+0\n")
            took = await until(is_well)
            print(f"well again after {took:.2f} s")
    port.release()


async def _make_room(channel: grpc.aio.Channel) -> None:
    request = rooms_service_pb2.CreateRoomRequest(id="lobby", name="lobby", visibility="VISIBILITY_PUBLIC")
    await rooms_service_pb2_grpc.RoomsServiceStub(channel).CreateRoom(request, metadata=_ALICE)
