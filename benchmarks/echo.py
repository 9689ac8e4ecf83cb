"""A bare grpc.aio server: what the same grpcio does when nobody verifies, stores or decides anything.

It echoes, answers as many bytes as it is asked for, in one message or in several of a stream that stays open, and fans
out: whoever subscribes is written every event, one write each. It takes spans and throws them away. It has the options
and the event loop that the services have.
"""

import asyncio
import sys
from collections.abc import AsyncIterator

import grpc
import uvloop
from chatkit.messages.v1 import message_pb2, messages_service_pb2, position_pb2, room_event_pb2

ECHO, ECHO_STREAM, BYTES = "/bare.Echo/Echo", "/bare.Echo/EchoStream", "/bare.Echo/Bytes"
FRAMES = "/bare.Echo/Frames"
EXPORT, EXPORTED = "/opentelemetry.proto.collector.trace.v1.TraceService/Export", "/bare.Echo/Exported"
_MESSAGES = "/chatkit.messages.v1.MessagesService/"
_OPTIONS = (("grpc.http2.bdp_probe", 0),)
_Context = grpc.aio.ServicerContext[bytes, bytes]


class Bare(grpc.GenericRpcHandler):
    """All of it."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[bytes]] = set()
        self._answers: dict[bytes, bytes] = {}
        self._frames: dict[bytes, list[bytes]] = {}
        self._seq = self._exported = 0
        self._handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            ECHO: grpc.unary_unary_rpc_method_handler(self._echo),
            ECHO_STREAM: grpc.stream_stream_rpc_method_handler(self._echo_stream),
            BYTES: grpc.unary_unary_rpc_method_handler(self._bytes),
            FRAMES: grpc.unary_stream_rpc_method_handler(self._stream_frames),
            EXPORT: grpc.unary_unary_rpc_method_handler(self._export),
            EXPORTED: grpc.unary_unary_rpc_method_handler(self._tell_exported),
            _MESSAGES + "SendMessage": grpc.unary_unary_rpc_method_handler(self._send),
            _MESSAGES + "SubscribeRoom": grpc.unary_stream_rpc_method_handler(self._subscribe),
        }

    def service(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes] | None":
        """Find a handler."""
        return self._handlers.get(details.method)

    async def _echo(self, body: bytes, _context: _Context) -> bytes:
        return body

    async def _echo_stream(self, bodies: AsyncIterator[bytes], _context: _Context) -> AsyncIterator[bytes]:
        async for body in bodies:
            yield body

    async def _bytes(self, body: bytes, _context: _Context) -> bytes:
        """Answer as many bytes as the body says."""
        return self._answers.setdefault(body, bytes(int(body)))

    async def _stream_frames(self, body: bytes, _context: _Context) -> AsyncIterator[bytes]:
        """Answer messages of as many bytes as the body lists, and stay open until the client goes."""
        if body not in self._frames:
            self._frames[body] = [bytes(int(size)) for size in body.split(b",")]
        for frame in self._frames[body]:
            yield frame
        await asyncio.Event().wait()

    async def _export(self, body: bytes, _context: _Context) -> bytes:
        """Take spans, and count their bytes alone."""
        self._exported += len(body)
        return b""

    async def _tell_exported(self, _body: bytes, _context: _Context) -> bytes:
        return b"%d" % self._exported

    async def _send(self, body: bytes, _context: _Context) -> bytes:
        self._seq += 1
        request = messages_service_pb2.SendMessageRequest.FromString(body)
        message = message_pb2.Message(room_id=request.room_id, seq=self._seq, parts=request.parts)
        frame = _frame(room_event_pb2.RoomEvent(room_id=request.room_id, seq=self._seq, message_created=message))
        for queue in self._queues:
            queue.put_nowait(frame)
        return messages_service_pb2.SendMessageResponse(message=message).SerializeToString()

    async def _subscribe(self, _body: bytes, _context: _Context) -> AsyncIterator[bytes]:
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        self._queues.add(queue)
        try:
            opened = room_event_pb2.Opened(position=position_pb2.Position(epoch="bare", seq=self._seq))
            caught_up = room_event_pb2.CaughtUp(seq=self._seq)
            yield _frame(room_event_pb2.RoomEvent(opened=opened), room_event_pb2.RoomEvent(caught_up=caught_up))
            while True:
                yield await queue.get()
        finally:
            self._queues.discard(queue)


def _frame(*events: room_event_pb2.RoomEvent) -> bytes:
    return messages_service_pb2.SubscribeRoomResponse(events=events).SerializeToString()


async def _serve() -> None:
    server = grpc.aio.server(options=_OPTIONS)
    server.add_generic_rpc_handlers((Bare(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"127.0.0.1:{port}\n")
    sys.stdout.flush()
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(_serve())
