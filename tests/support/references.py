"""A stand-in for messages, which says which files are in use: those that a test names."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import grpc
from chatkit.internal.attachments.v1 import references_service_pb2 as pb2
from chatkit.internal.attachments.v1 import references_service_pb2_grpc


async def no_server() -> None:
    """Do nothing: there is none yet."""


@dataclass
class References(references_service_pb2_grpc.ReferencesServiceServicer):
    """Messages, as files needs it."""

    used: set[str] = field(default_factory=set)
    # Every question, in order.
    asked: list[list[str]] = field(default_factory=list)
    address: str = ""
    # Ends its server.
    stop: Callable[[], Awaitable[None]] = field(default=no_server)

    async def ReferencedFiles(self, request: pb2.ReferencedFilesRequest, _context: Any) -> pb2.ReferencedFilesResponse:
        self.asked.append(list(request.file_ids))
        return pb2.ReferencedFilesResponse(file_ids=[one for one in request.file_ids if one in self.used])


@asynccontextmanager
async def serve_references(references: References, address: str = "127.0.0.1:0") -> AsyncIterator[References]:
    """Serve it on a port of its own."""
    server = grpc.aio.server()
    references_service_pb2_grpc.add_ReferencesServiceServicer_to_server(references, server)
    references.address = f"127.0.0.1:{server.add_insecure_port(address)}"
    references.stop = partial(server.stop, None)
    await server.start()
    try:
        yield references
    finally:
        await references.stop()
