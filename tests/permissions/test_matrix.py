"""Who may call what: matrix.md says it for people, the options for the services, and both are held against the suite.

Every cell is a call through the edge, in a room of its own.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from chatkit.contract.v1 import error_reason_pb2, method_policy_pb2
from chatkit.files.v1 import files_service_pb2 as files_pb2
from chatkit.messages.v1 import messages_service_pb2 as messages_pb2
from chatkit.messages.v1 import part_pb2
from chatkit.rooms.v1 import memberships_service_pb2 as memberships_pb2
from chatkit.rooms.v1 import role_pb2, roles_service_pb2

from services.runtime.contract.errors import from_rpc_error
from services.runtime.contract.policies import MethodContract
from tests.contract import descriptors
from tests.permissions import table
from tests.permissions.callers import CALLERS, NOTHING, OK, Caller, asked_for, expected
from tests.permissions.requests import CONTENT, REQUESTS, Place, request_of
from tests.support.databases import TestDatabase
from tests.support.edge import Edge
from tests.support.eventually import HANG_SECONDS
from tests.support.suite import Suite, running
from tests.support.tokens import bearer, su

_PUBLIC = " (public room)"
_OWN = " (one's own)"
# What can be found and joined by outsiders is asked of a public room too, or of nothing else.
_ALSO_PUBLIC = {"chatkit.rooms.v1.RoomsService/GetRoom"}
_ONLY_PUBLIC = {"chatkit.rooms.v1.MembershipsService/JoinRoom"}
_AT_ONCE = 8
# One user makes the rooms of all cells.
_LIMITS = dict.fromkeys(("ROOMS_CREATED_PER_USER", "ROOMS_CREATED_PER_USER_PER_DAY"), 100_000)
_LIMITS |= dict.fromkeys(("ROOMS_PER_USER", "ROOMS_GIVEN_PER_USER"), 100_000)


@pytest.fixture
async def suite(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Suite]:
    """Run the services in this process, without the limits of rooms."""
    async with running(database, tmp_path, "users", "rooms", "messages", "files", limit_overrides=_LIMITS) as started:
        yield started


@dataclass(frozen=True)
class Row:
    """A method, whether the room is public, and whether the message is the caller's own."""

    method: MethodContract
    room_is_public: bool = False
    is_own: bool = False

    @property
    def name(self) -> str:
        """The row's head."""
        marks = (_PUBLIC if self.room_is_public else "") + (_OWN if self.is_own else "")
        return self.method.path.removeprefix("/chatkit.") + marks

    @property
    def permission(self) -> str:
        """The permission that the method asks for in this row."""
        return asked_for(self.method.policy, is_own=self.is_own)


def _rows() -> Iterator[Row]:
    for method in descriptors.methods():
        name = method.path.removeprefix("/")
        if name not in _ONLY_PUBLIC:
            yield Row(method)
        if name in _ALSO_PUBLIC | _ONLY_PUBLIC:
            yield Row(method, room_is_public=True)
        if method.policy.permission_for_others:
            yield Row(method, is_own=True)


ROWS = list(_rows())


def test_the_file_says_what_the_options_say() -> None:
    told = {
        row.name: [
            expected(row.method, caller, room_is_public=row.room_is_public, is_own=row.is_own) for caller in CALLERS
        ]
        for row in ROWS
    }
    assert table.read() == told
    assert table.FILE.read_text() == table.written(told)


def test_every_public_method_has_a_request() -> None:
    public = {row.method.path for row in ROWS if row.method.is_public}
    assert {path.rpartition("v1.")[2] for path in public} == set(REQUESTS)


@pytest.mark.slow
async def test_the_suite_does_what_the_file_says(suite: Suite, edge: Edge) -> None:
    await suite.make_users("owner", "member", "stranger")
    await _make_roles(suite)
    at_once = asyncio.Semaphore(_AT_ONCE)

    async def cell(row: Row, number: int, caller: Caller) -> str:
        async with at_once:
            at = await _place(suite, row, caller, f"{ROWS.index(row)}-{number}")
            return await _call(edge, row.method, caller, at)

    answers = {row.name: [cell(row, number, caller) for number, caller in enumerate(CALLERS)] for row in ROWS}
    async with asyncio.timeout(300):
        told = {name: list(await asyncio.gather(*cells)) for name, cells in answers.items()}
    assert told == table.read()


async def _make_roles(suite: Suite) -> None:
    await _make_role(suite, role_pb2.ROLE_SCOPE_GLOBAL, NOTHING)
    for permission in {row.permission for row in ROWS if row.method.policy.room.field}:
        if permission in descriptors.room_permissions():
            await _make_role(suite, role_pb2.ROLE_SCOPE_ROOM, f"only {permission}", permission)


async def _make_role(suite: Suite, scope: role_pb2.RoleScope, name: str, *permissions: str) -> None:
    request = roles_service_pb2.CreateRoleRequest(scope=scope, name=name, permissions=permissions)
    await suite.roles.CreateRole(request, metadata=su())


async def _place(suite: Suite, row: Row, caller: Caller, number: str) -> Place:
    """Make the room of a cell and let the caller be in it what the column says."""
    at = Place(
        room_id=f"room {number}",
        owner_id="owner",
        member_id="member",
        stranger_id="stranger",
        new_id=f"new {number}",
        role_name=f"role {number}",
    )
    user_id = _user_id(at)
    await suite.make_users(user_id)
    inside = [user_id] if caller.is_member or caller.was_member else []
    await suite.make_room(at.room_id, "owner", "member", *inside, private=not row.room_is_public)
    if "RolesService" in row.method.path:
        await _make_role(suite, role_pb2.ROLE_SCOPE_ROOM, at.role_name)
    if caller.global_role not in {"", "default"}:
        await suite.assign(user_id, caller.global_role)
    if caller.has_room_role and row.permission in descriptors.room_permissions() and row.method.policy.room.field:
        await suite.assign(user_id, f"only {row.permission}", at.room_id)
    if "MessagesService" in row.method.path:
        at = replace(at, seq=await _say_something(suite, at, user_id if row.is_own else at.owner_id))
    if "FilesService" in row.method.path:
        at = await _add_files(suite, at, "stranger" if caller.name == "su" else user_id)
    if caller.was_member:
        gone = memberships_pb2.RemoveMembersRequest(room_id=at.room_id, user_ids=[user_id])
        await suite.memberships.RemoveMembers(gone, metadata=su())
    return at


def _user_id(at: Place) -> str:
    return f"caller of {at.room_id}"


async def _say_something(suite: Suite, at: Place, sender_id: str) -> int:
    part = part_pb2.Part(content_type="text/plain", content="hello")
    request = messages_pb2.SendMessageRequest(room_id=at.room_id, sender_id=sender_id, parts=[part], request_id="first")
    return int((await suite.messages.SendMessage(request, metadata=su())).message.seq)


async def _add_files(suite: Suite, at: Place, owner_id: str) -> Place:
    def wanted(request_id: str) -> files_pb2.CreateFileRequest:
        return files_pb2.CreateFileRequest(
            room_id=at.room_id,
            user_id=owner_id,
            content_type="text/plain",
            size_bytes=len(CONTENT),
            request_id=f"{request_id} of {at.room_id}",
        )

    ready, pending = [(await suite.files.CreateFile(wanted(name), metadata=su())).file.id for name in ("one", "two")]
    frame = files_pb2.UploadFileRequest(room_id=at.room_id, file_id=ready, user_id=owner_id, chunk=CONTENT)
    await suite.files.UploadFile(iter([frame]), metadata=su())
    return replace(at, file_id=ready, pending_file_id=pending)


async def _answer_of_a_room(frame: Any, stream: grpc.aio.UnaryStreamCall[bytes, bytes]) -> str:
    """Return what the one room of a stream of several answers: the stream itself is never refused for a room."""
    while True:
        for event in messages_pb2.SubscribeRoomsResponse.FromString(frame).events:
            if event.room_id:
                stream.cancel()
                reason = error_reason_pb2.ErrorReason.Name(event.closed.reason)
                return reason if event.HasField("closed") else OK
        frame = await stream.read()


async def _call(edge: Edge, method: MethodContract, caller: Caller, at: Place) -> str:
    token = caller.sign_in(_user_id(at))
    body = request_of(method, at, acts_for_another=caller.name == "su").SerializeToString()
    metadata = bearer(token) if token is not None else ()
    try:
        async with asyncio.timeout(HANG_SECONDS):
            if method.streams_requests:
                upload: grpc.aio.StreamUnaryMultiCallable[bytes, bytes] = edge.channel.stream_unary(method.path)
                method.response_class.FromString(await upload(iter([body]), metadata=metadata))
            elif method.streams:
                stream: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = edge.channel.unary_stream(method.path)
                opened = stream(body, metadata=metadata)
                first = await opened.read()
                assert first
                if method.policy.room.membership == method_policy_pb2.MEMBERSHIP_REQUIRED_PER_ROOM:
                    return await _answer_of_a_room(first, opened)
                opened.cancel()
            else:
                unary: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = edge.channel.unary_unary(method.path)
                method.response_class.FromString(await unary(body, metadata=metadata))
    except grpc.aio.AioRpcError as error:
        return from_rpc_error(error, method.path).reason
    return OK
