"""A server of methods that a test makes up, with streams that end with their tokens."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc

from services.runtime.streaming.open_streams import Streams
from tests.support.eventually import HANG_SECONDS


@asynccontextmanager
async def serving(streams: Streams, *handlers: grpc.GenericRpcHandler) -> AsyncIterator[grpc.aio.Channel]:
    """Serve the methods of some handlers, and connect to them."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(handlers)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    ticking = asyncio.create_task(streams.run())
    try:
        async with asyncio.timeout(HANG_SECONDS), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel
    finally:
        ticking.cancel()
        await server.stop(None)
