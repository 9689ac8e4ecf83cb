"""Asks every process of the services to end the streams that this edge has brought: clients are told where they stand.

What can't be asked, because it is away or of a release that does not know the question, is left out: its streams end
with the edge, and their readers go on from their own positions.
"""

import asyncio
import socket
from collections.abc import Mapping, Sequence

import grpc
import structlog
from chatkit.internal.edges.v1 import edges_service_pb2 as pb2
from chatkit.internal.edges.v1.edges_service_pb2_grpc import EdgesServiceStub

from services.edge import public
from services.edge.rendering.parts import host_of
from services.runtime.identity.tls import Certificates
from services.runtime.settings import TlsFiles

_log = structlog.get_logger()
_AGAIN_SECONDS = 1.0
_ANSWER_SECONDS = 3.0


class Farewell:
    """Knows where the services are, and the edge's secret."""

    def __init__(self, upstreams: Mapping[str, Sequence[str]], secret: bytes, tls: TlsFiles | None) -> None:
        self._endpoints = [endpoint for cluster in public.CLUSTERS for endpoint in upstreams[cluster]]
        self._request = pb2.EndStreamsRequest(secret=secret)
        self._tls = tls
        self._unasked: set[str] = set()

    async def say(self) -> None:
        """Ask again and again, because streams still open in what clients had under way, until cancelled."""
        while True:
            ended = await asyncio.gather(*(self._ask_all_of(endpoint) for endpoint in self._endpoints))
            if sum(ended):
                _log.info("streams_ended", streams=sum(ended))
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _ask_all_of(self, endpoint: str) -> int:
        """Ask each process that has the endpoint's name; return how many streams were ended."""
        try:
            addresses = await _addresses(endpoint)
        except OSError as error:
            return self._left_out(endpoint, str(error))
        return sum(await asyncio.gather(*(self._ask(endpoint, address) for address in addresses)))

    async def _ask(self, endpoint: str, address: str) -> int:
        try:
            async with self._channel(endpoint, address) as channel:
                answer = await EdgesServiceStub(channel).EndStreams(self._request, timeout=_ANSWER_SECONDS)
        except grpc.aio.AioRpcError as error:
            return self._left_out(address, error.details() or error.code().name)
        except (OSError, ValueError) as error:
            # The files of certificates.
            return self._left_out(address, str(error))
        return int(answer.ended)

    def _left_out(self, address: str, problem: str) -> int:
        if address not in self._unasked:
            self._unasked.add(address)
            _log.warning("streams_not_ended", address=address, problem=problem)
        return 0

    def _channel(self, endpoint: str, address: str) -> grpc.aio.Channel:
        options: list[tuple[str, str | int]] = [("grpc.enable_http_proxy", 0)]
        if self._tls is None:
            return grpc.aio.insecure_channel(address, options=options)
        options.append(("grpc.ssl_target_name_override", host_of(endpoint)))
        return grpc.aio.secure_channel(address, Certificates(self._tls).channel_credentials(), options=options)


async def _addresses(endpoint: str) -> list[str]:
    """Return the addresses that a name has, as Envoy balances over them."""
    port = endpoint.rpartition(":")[2]
    found = await asyncio.get_running_loop().getaddrinfo(host_of(endpoint), port, type=socket.SOCK_STREAM)
    hosts = dict.fromkeys(str(address[0]) for *_, address in found)
    return [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host in hosts]
