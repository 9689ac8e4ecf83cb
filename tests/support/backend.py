"""A service as the edge sees it, which answers what a test wants."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc
from grpc_health.v1 import health_pb2

from services.runtime.calls.handlers import abort
from services.runtime.contract.errors import ChatkitError
from services.stack.machine.ports import Port

_HEALTH = "/grpc.health.v1.Health/Check"


@dataclass
class Backend(grpc.GenericRpcHandler):
    """Answers every method with the same bytes, or refuses all of them."""

    address: str = ""
    answer: bytes = b""
    refusal: ChatkitError | None = None
    # With this every method is refused as gRPC itself refuses: with a code and words, and nothing else.
    code: grpc.StatusCode | None = None
    # Streams send one answer before they are refused.
    streams: bool = False
    is_serving: bool = True
    # With these, which are sent as they are, every method is refused.
    trailers: tuple[tuple[str, str], ...] = ()
    # The paths that were called, without those of health checks, and the headers of the last call.
    calls: list[str] = field(default_factory=list)
    headers: dict[str, str | bytes] = field(default_factory=dict)

    def service(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes]":
        """Answer a call."""
        if details.method == _HEALTH:
            return grpc.unary_unary_rpc_method_handler(self._health)
        self.calls.append(details.method)
        self.headers = dict(details.invocation_metadata)
        if self.streams:
            return grpc.unary_stream_rpc_method_handler(self._answers)
        return grpc.unary_unary_rpc_method_handler(self._answer)

    async def _answers(self, body: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> AsyncIterator[bytes]:
        yield self.answer
        yield await self._answer(body, context)

    async def _answer(self, _body: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        if self.trailers:
            await context.abort(grpc.StatusCode.NOT_FOUND, "", self.trailers)
        if self.code is not None:
            await context.abort(self.code, "words of nobody")
        if self.refusal is not None:
            await abort(context, self.refusal)  # type: ignore[arg-type]
        return self.answer

    async def _health(self, _body: bytes, _context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        response = health_pb2.HealthCheckResponse
        status = response.SERVING if self.is_serving else response.NOT_SERVING
        return bytes(response(status=status).SerializeToString())


@asynccontextmanager
async def running_backend(credentials: grpc.ServerCredentials | None = None) -> AsyncIterator[Backend]:
    """Run a backend on loopback, encrypted if it has credentials."""
    backend = Backend()
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((backend,))
    if credentials is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", credentials)
    backend.address = f"127.0.0.1:{port}"
    await server.start()
    try:
        yield backend
    finally:
        await server.stop(None)


@asynccontextmanager
async def silent_backend() -> AsyncIterator[str]:
    """Accept connections and never answer; yields the address."""

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            pass
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    try:
        yield f"{host}:{port}"
    finally:
        server.close()


def nobody() -> Port:
    """Return a port at which nobody listens, as long as it is held."""
    return Port("127.0.0.1")
