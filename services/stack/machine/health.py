"""Whether a process of the suite is healthy, asked of it in the way that its kind answers."""

import asyncio
from contextlib import closing

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

_ASK_SECONDS = 1.0


class Health:
    """Asks a process whether it is healthy, in the way that its kind answers."""

    async def __call__(self, address: str) -> bool:
        """Ask."""
        raise NotImplementedError


class ServiceHealth(Health):
    """grpc.health.v1, as every service speaks it."""

    async def __call__(self, address: str) -> bool:
        """Return whether the service says SERVING."""
        async with grpc.aio.insecure_channel(address, options=(("grpc.enable_http_proxy", 0),)) as channel:
            try:
                answer = await health_pb2_grpc.HealthStub(channel).Check(
                    health_pb2.HealthCheckRequest(), timeout=_ASK_SECONDS
                )
            except grpc.aio.AioRpcError:
                return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


class NatsHealth(Health):
    """What NATS says to everyone who connects."""

    async def __call__(self, address: str) -> bool:
        """Return whether it says it."""
        return (await _first_line(address)).startswith(b"INFO ")


class EdgeHealth(Health):
    """`GET /`, which the edge answers by itself."""

    async def __call__(self, address: str) -> bool:
        """Return whether the edge answers 200."""
        asked = f"GET / HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"
        return b" 200 " in await _first_line(address, asked.encode())


async def _first_line(address: str, said: bytes = b"") -> bytes:
    """Connect, say something, and return the first line that comes back; nothing where none comes."""
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(_ASK_SECONDS):
            reader, writer = await asyncio.open_connection(host, int(port))
            with closing(writer):
                writer.write(said)
                return await reader.readline()
    except (OSError, TimeoutError):
        return b""


def health_of(process: str) -> Health:
    """Return how a process of this name is asked."""
    match process:
        case "edge":
            return EdgeHealth()
        case "nats":
            return NatsHealth()
        case _:
            return ServiceHealth()
