"""A room's stream as clients of three kinds see it: gRPC, gRPC-Web, Server-Sent Events. Only frames are read."""

import base64
import json
from collections.abc import AsyncGenerator, AsyncIterator

import grpc
from chatkit.messages.v1 import messages_service_pb2 as pb2
from chatkit.messages.v1 import room_event_pb2
from chatkit.messages.v1.messages_service_pb2_grpc import MessagesServiceStub
from google.protobuf import json_format

from tests.support.edge import Edge

FACES = ("grpc", "grpc-web", "sse")
_PATH = "/chatkit.messages.v1.MessagesService/SubscribeRoom"
_TRAILERS = 0x80


async def events(
    face: str, edge: Edge, request: pb2.SubscribeRoomRequest, token: str
) -> AsyncGenerator[room_event_pb2.RoomEvent, None]:
    """Open a stream and yield its events until it ends, however it ends."""
    frames = {"grpc": _grpc, "grpc-web": _web, "sse": _sse}[face]
    async for frame in frames(edge, request, token):
        for event in frame.events:
            yield event


async def _grpc(edge: Edge, request: pb2.SubscribeRoomRequest, token: str) -> AsyncIterator[pb2.SubscribeRoomResponse]:
    try:
        metadata = (("authorization", f"Bearer {token}"),)
        async for frame in MessagesServiceStub(edge.channel).SubscribeRoom(request, metadata=metadata):
            yield frame
    except grpc.aio.AioRpcError:
        return


async def _web(edge: Edge, request: pb2.SubscribeRoomRequest, token: str) -> AsyncIterator[pb2.SubscribeRoomResponse]:
    body = request.SerializeToString()
    framed = b"\0" + len(body).to_bytes(4, "big") + body
    headers = {"content-type": "application/grpc-web+proto", "authorization": f"Bearer {token}"}
    async with edge.http.stream("POST", _PATH, content=framed, headers=headers) as response:
        pending = b""
        async for chunk in response.aiter_bytes():
            pending += chunk
            while len(pending) >= 5 and len(pending) >= 5 + int.from_bytes(pending[1:5], "big"):
                size = 5 + int.from_bytes(pending[1:5], "big")
                frame, pending = pending[:size], pending[size:]
                if not frame[0] & _TRAILERS:
                    yield pb2.SubscribeRoomResponse.FromString(frame[5:])


async def _sse(edge: Edge, request: pb2.SubscribeRoomRequest, token: str) -> AsyncIterator[pb2.SubscribeRoomResponse]:
    headers = {"authorization": f"Bearer {token}"}
    async with edge.http.stream("POST", _PATH, json=json_format.MessageToDict(request), headers=headers) as response:
        async for line in response.aiter_lines():
            if line.startswith("data: "):
                data = json.loads(line.removeprefix("data: "))
                if "events" in data:
                    yield json_format.ParseDict(data, pb2.SubscribeRoomResponse())


def details(encoded: str) -> bytes:
    """Decode a binary header, which comes without padding."""
    return base64.b64decode(encoded + "=" * (-len(encoded) % 4))
