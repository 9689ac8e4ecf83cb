"""The cells of the matrix: each method as a caller calls it, in a room of its own, which is made for it."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

import grpc
from chatkit.contract.v1 import error_reason_pb2, method_policy_pb2
from chatkit.files.v1 import files_service_pb2 as files_pb2
from chatkit.messages.v1 import messages_service_pb2 as messages_pb2
from chatkit.messages.v1 import part_pb2
from chatkit.rooms.v1 import memberships_service_pb2 as memberships_pb2
from chatkit.rooms.v1 import role_pb2, roles_service_pb2, rooms_service_pb2
from chatkit.sync.v1 import sync_event_pb2
from chatkit.sync.v1 import sync_service_pb2 as sync_pb2
from chatkit.users.v1 import users_service_pb2

from services.runtime.contract.errors import from_rpc_error
from services.runtime.contract.policies import MethodContract
from tests.contract import descriptors
from tests.permissions.callers import LEFT_OUT, NOTHING, OK, Caller, asked_for, leaves_out
from tests.permissions.requests import CONTENT, Place, request_of
from tests.support.eventually import HANG_SECONDS
from tests.support.stubs import Stubs
from tests.support.tokens import bearer, su, user

_PUBLIC = " (public room)"
_OWN = " (one's own)"
# What can be found and joined by outsiders is asked of a public room too, or of nothing else.
_ALSO_PUBLIC = {"chatkit.rooms.v1.RoomsService/GetRoom", "chatkit.rooms.v1.RoomsService/GetMyPermissions"}
_ONLY_PUBLIC = {"chatkit.rooms.v1.MembershipsService/JoinRoom"}


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


async def make_roles(stubs: Stubs) -> None:
    """Make the roles that callers have; those of one permission are called after it."""
    await _make_role(stubs, role_pb2.ROLE_SCOPE_GLOBAL, NOTHING)
    for permission in {row.permission for row in ROWS if row.method.policy.HasField("room")}:
        if permission in descriptors.room_permissions():
            await _make_role(stubs, role_pb2.ROLE_SCOPE_ROOM, f"only {permission}", permission)


async def _make_role(stubs: Stubs, scope: role_pb2.RoleScope, name: str, *permissions: str) -> None:
    request = roles_service_pb2.CreateRoleRequest(scope=scope, name=name, permissions=permissions)
    await stubs.roles.CreateRole(request, metadata=su())


async def place(stubs: Stubs, row: Row, caller: Caller, number: str) -> Place:
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
    await stubs.make_users(user_id)
    inside = [user_id] if caller.is_member or caller.was_member else []
    await stubs.make_room(at.room_id, "owner", "member", *inside, private=not row.room_is_public)
    if "RolesService" in row.method.path:
        await _make_role(stubs, role_pb2.ROLE_SCOPE_ROOM, at.role_name)
    if caller.global_role not in {"", "default"}:
        await stubs.assign(user_id, caller.global_role)
    if caller.has_room_role and row.permission in descriptors.room_permissions() and row.method.policy.HasField("room"):
        await stubs.assign(user_id, f"only {row.permission}", at.room_id)
    at = await _with_a_deletion(stubs, row, at)
    if "MessagesService" in row.method.path:
        at = replace(at, seq=await _say_something(stubs, at, user_id if row.is_own else at.owner_id))
    if row.method.name in {"UpdateSubscription", "RenewToken"}:
        at = await _open_a_stream(stubs, at, caller)
    if "FilesService" in row.method.path:
        at = await _add_files(stubs, at, "stranger" if caller.name == "su" else user_id)
    if caller.was_member:
        gone = memberships_pb2.RemoveMembersRequest(room_id=at.room_id, user_ids=[user_id])
        await stubs.memberships.RemoveMembers(gone, metadata=su())
    return at


async def _with_a_deletion(stubs: Stubs, row: Row, at: Place) -> Place:
    if row.method.path.endswith("UsersService/DeleteUser"):
        await stubs.make_users(at.new_id)
    if row.method.path.endswith("UsersService/GetDeletion"):
        return replace(at, deletion_id=await _delete_a_user(stubs, at))
    if row.method.path.endswith("RoomsService/GetDeletion"):
        return replace(at, deletion_id=await _delete_a_room(stubs, at))
    return at


async def _delete_a_user(stubs: Stubs, at: Place) -> str:
    await stubs.make_users(at.new_id)
    answer = await stubs.users.DeleteUser(users_service_pb2.DeleteUserRequest(user_id=at.new_id), metadata=su())
    return str(answer.deletion.id)


async def _delete_a_room(stubs: Stubs, at: Place) -> str:
    await stubs.make_room(at.new_id, "owner")
    answer = await stubs.rooms.DeleteRoom(rooms_service_pb2.DeleteRoomRequest(room_id=at.new_id), metadata=su())
    return str(answer.deletion.id)


def _user_id(at: Place) -> str:
    return f"caller of {at.room_id}"


async def _say_something(stubs: Stubs, at: Place, sender_id: str) -> int:
    part = part_pb2.Part(content_type="text/plain", content="hello")
    request = messages_pb2.SendMessageRequest(room_id=at.room_id, sender_id=sender_id, parts=[part], request_id="first")
    return int((await stubs.messages.SendMessage(request, metadata=su())).message.seq)


async def _add_files(stubs: Stubs, at: Place, owner_id: str) -> Place:
    def wanted(request_id: str) -> files_pb2.CreateFileRequest:
        return files_pb2.CreateFileRequest(
            room_id=at.room_id,
            user_id=owner_id,
            content_type="text/plain",
            size_bytes=len(CONTENT),
            request_id=f"{request_id} of {at.room_id}",
        )

    ready, pending = [(await stubs.files.CreateFile(wanted(name), metadata=su())).file.id for name in ("one", "two")]
    frame = files_pb2.UploadFileRequest(room_id=at.room_id, file_id=ready, user_id=owner_id, chunk=CONTENT)
    await stubs.files.UploadFile(iter([frame]), metadata=su())
    return replace(at, file_id=ready, pending_file_id=pending)


async def _open_a_stream(stubs: Stubs, at: Place, caller: Caller) -> Place:
    is_su = caller.name == "su"
    request = sync_pb2.SubscribeRequest(rooms=[{"room_id": at.room_id}], user_id=at.stranger_id if is_su else "")
    stream: Any = stubs.sync.Subscribe(request, metadata=su() if is_su else user(_user_id(at)))
    return replace(at, stream_id=(await stream.read()).events[0].opened.stream_id, stream=stream)


async def _answer_of_a_room(method: MethodContract, frame: Any, stream: grpc.aio.UnaryStreamCall[bytes, bytes]) -> str:
    """Return what the one room of a stream of several answers: the stream itself is never refused for a room."""
    while True:
        response: Any = method.response_class.FromString(frame)
        for told in response.events:
            event = told.room if isinstance(told, sync_event_pb2.SyncEvent) else told
            if event.room_id:
                stream.cancel()
                reason = error_reason_pb2.ErrorReason.Name(event.closed.reason)
                return reason if event.HasField("closed") else OK
        frame = await stream.read()


async def _answer_of_a_send(
    method: MethodContract, stream: grpc.aio.StreamStreamCall[bytes, bytes], body: bytes
) -> str:
    """Return what the one message of a stream of sends answers; the stream itself ends well, whatever that is."""
    if method.is_public:
        # Whoever writes to a call that was refused hears of the writing, and not of the refusal. What the edge does not
        # know it refuses only when there is a message.
        assert await stream.read()
    await stream.write(body)
    await stream.done_writing()
    reasons = []
    while (frame := await stream.read()) is not grpc.aio.EOF:
        response: Any = method.response_class.FromString(cast("bytes", frame))
        results = (event.result for event in response.events if event.HasField("result"))
        reasons += [result.failure.reason for result in results]
    (reason,) = reasons
    return error_reason_pb2.ErrorReason.Name(reason) if reason else OK


async def answer(channel: grpc.aio.Channel, method: MethodContract, caller: Caller, at: Place) -> str:
    """Call a method as a caller, and return the reason of the refusal, or that there was none."""
    try:
        return await call(channel, method, caller, at)
    except grpc.aio.AioRpcError as error:
        return from_rpc_error(error, method.path).reason


async def call(channel: grpc.aio.Channel, method: MethodContract, caller: Caller, at: Place) -> str:
    """Do it, and let a refusal be the AioRpcError that it is; of a stream the first that it says is its answer."""
    token = caller.sign_in(_user_id(at))
    body = request_of(method, at, acts_for_another=caller.name == "su").SerializeToString()
    metadata = bearer(token) if token is not None else ()
    async with asyncio.timeout(HANG_SECONDS):
        if method.streams and method.streams_requests:
            both: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(method.path)
            return await _answer_of_a_send(method, both(metadata=metadata), body)
        if method.streams_requests:
            upload: grpc.aio.StreamUnaryMultiCallable[bytes, bytes] = channel.stream_unary(method.path)
            method.response_class.FromString(await upload(iter([body]), metadata=metadata))
        elif method.streams:
            stream: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(method.path)
            opened = stream(body, metadata=metadata)
            first = await opened.read()
            assert first
            if method.policy.room.membership == method_policy_pb2.MEMBERSHIP_REQUIRED_PER_ROOM:
                return await _answer_of_a_room(method, first, opened)
            opened.cancel()
        else:
            unary: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(method.path)
            told = method.response_class.FromString(await unary(body, metadata=metadata))
            if leaves_out(method) and not told.ByteSize():
                return LEFT_OUT
    return OK
