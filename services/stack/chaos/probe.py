"""Whether a suite serves: a call of each service through the edge, one that writes of each that others write to."""

import uuid
from typing import Any

import grpc
from chatkit.files.v1.files_service_pb2 import ListFilesRequest
from chatkit.files.v1.files_service_pb2_grpc import FilesServiceStub
from chatkit.messages.v1.messages_service_pb2 import SendMessageRequest
from chatkit.messages.v1.messages_service_pb2_grpc import MessagesServiceStub
from chatkit.messages.v1.part_pb2 import Part
from chatkit.rooms.v1.rooms_service_pb2 import GetRoomRequest
from chatkit.rooms.v1.rooms_service_pb2_grpc import RoomsServiceStub
from chatkit.users.v1.users_service_pb2 import GetUserRequest
from chatkit.users.v1.users_service_pb2_grpc import UsersServiceStub

from services.stack.home import Home
from services.stack.seed import ALICE, ROOM
from services.stack.sign_in import bearer

_SECONDS = 5.0


async def what_fails(home: Home, address: str, token: tuple[tuple[str, str], ...] = ()) -> str:
    """Return what went wrong with the first call that failed, with a token or a fresh one; empty where all is well."""
    alice = token or bearer(home, ALICE)
    async with grpc.aio.insecure_channel(address, options=(("grpc.enable_http_proxy", 0),)) as channel:
        for call, request in _calls(channel):
            try:
                await call(request, metadata=alice, timeout=_SECONDS)
            except grpc.aio.AioRpcError as error:
                return f"{type(request).__name__} is {error.code().name}: {error.details()}"
    return ""


def _calls(channel: grpc.aio.Channel) -> list[tuple[Any, Any]]:
    message = SendMessageRequest(
        room_id=ROOM, parts=[Part(content_type="text/plain", content="well again")], request_id=str(uuid.uuid4())
    )
    return [
        (UsersServiceStub(channel).GetUser, GetUserRequest(user_id=ALICE)),
        (RoomsServiceStub(channel).GetRoom, GetRoomRequest(room_id=ROOM)),
        (FilesServiceStub(channel).ListFiles, ListFilesRequest(room_id=ROOM)),
        (MessagesServiceStub(channel).SendMessage, message),
    ]
