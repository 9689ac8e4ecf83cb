"""A stream as clients of three kinds see it: gRPC, gRPC-Web, Server-Sent Events. Only frames are read."""

import base64
import json
from collections.abc import AsyncGenerator
from typing import TypeVar

import grpc
from chatkit.messages.v1 import messages_service_pb2 as pb2
from chatkit.messages.v1 import room_event_pb2
from google.protobuf import json_format
from google.protobuf.message import Message

from tests.support.edge import Edge

FACES = ("grpc", "grpc-web", "sse")
_SERVICE = "/chatkit.messages.v1.MessagesService/"
_TRAILERS = 0x80
Frame = TypeVar("Frame", bound=Message)


async def events(
    face: str, edge: Edge, request: pb2.SubscribeRoomRequest | pb2.SubscribeRoomsRequest, token: str
) -> AsyncGenerator[room_event_pb2.RoomEvent, None]:
    """Open a stream of one room or of many and yield its events until it ends, however it ends."""
    method = "SubscribeRoom" if isinstance(request, pb2.SubscribeRoomRequest) else "SubscribeRooms"
    # Both streams have the same field, so that what is read of one can be read of the other.
    async for frame in frames(face, edge, _SERVICE + method, request, pb2.SubscribeRoomResponse, token):
        for event in frame.events:
            yield event


def frames(
    face: str, edge: Edge, path: str, request: Message, kind: type[Frame], token: str
) -> AsyncGenerator[Frame, None]:
    """Open a stream and yield its frames until it ends, however it ends."""
    return {"grpc": _grpc, "grpc-web": _web, "sse": _sse}[face](edge, path, request, kind, token)


async def _grpc(edge: Edge, path: str, request: Message, kind: type[Frame], token: str) -> AsyncGenerator[Frame, None]:
    method: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = edge.channel.unary_stream(path)
    call = method(request.SerializeToString(), metadata=(("authorization", f"Bearer {token}"),))
    try:
        async for frame in call:
            yield kind.FromString(frame)
    except grpc.aio.AioRpcError:
        return
    finally:
        call.cancel()


async def _web(edge: Edge, path: str, request: Message, kind: type[Frame], token: str) -> AsyncGenerator[Frame, None]:
    body = request.SerializeToString()
    framed = b"\0" + len(body).to_bytes(4, "big") + body
    headers = {"content-type": "application/grpc-web+proto", "authorization": f"Bearer {token}"}
    async with edge.http.stream("POST", path, content=framed, headers=headers) as response:
        pending = b""
        async for chunk in response.aiter_bytes():
            pending += chunk
            while len(pending) >= 5 and len(pending) >= 5 + int.from_bytes(pending[1:5], "big"):
                size = 5 + int.from_bytes(pending[1:5], "big")
                frame, pending = pending[:size], pending[size:]
                if not frame[0] & _TRAILERS:
                    yield kind.FromString(frame[5:])


async def _sse(edge: Edge, path: str, request: Message, kind: type[Frame], token: str) -> AsyncGenerator[Frame, None]:
    headers = {"authorization": f"Bearer {token}"}
    async with edge.http.stream("POST", path, json=json_format.MessageToDict(request), headers=headers) as response:
        async for line in response.aiter_lines():
            if line.startswith("data: "):
                data = json.loads(line.removeprefix("data: "))
                if "events" in data:
                    yield json_format.ParseDict(data, kind())


def details(encoded: str) -> bytes:
    """Decode a binary header, which comes without padding."""
    return base64.b64decode(encoded + "=" * (-len(encoded) % 4))
