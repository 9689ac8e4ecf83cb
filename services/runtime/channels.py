"""A channel with mutual TLS that outlives its certificates: new calls go through a new channel when those change.

Calls that are open go on where they began, because closing a channel cancels them in this process.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc

from services.runtime.tls import Certificates


@dataclass(eq=False, slots=True)
class _Line:
    channel: grpc.aio.Channel
    version: int
    methods: dict[str, Any] = field(default_factory=dict)
    calls: int = 0


class RenewedChannel:
    """What generated stubs and `Peer` need of a grpc.aio channel."""

    def __init__(self, address: str, certificates: Certificates, options: Sequence[tuple[str, int]]) -> None:
        self._address = address
        self._certificates = certificates
        # Channels to one address share their connections otherwise, and so the certificate of the first one.
        self._options = (*options, ("grpc.use_local_subchannel_pool", 1))
        self._line = self._open()
        self._retired: list[_Line] = []

    def unary_unary(self, method: str, *how: Any, **more: Any) -> Callable[..., Any]:
        """Return a callable for a unary method."""
        return self._callable(method, lambda channel: channel.unary_unary(method, *how, **more))

    def unary_stream(self, method: str, *how: Any, **more: Any) -> Callable[..., Any]:
        """Return a callable for a server-streaming method."""
        return self._callable(method, lambda channel: channel.unary_stream(method, *how, **more))

    async def channel_ready(self) -> None:
        """Return once the peer has accepted a connection."""
        await self._line.channel.channel_ready()

    async def renew(self) -> None:
        """Use the certificates that are in force now, and close what nobody uses any more."""
        if self._line.version != self._certificates.version:
            self._retired.append(self._line)
            self._line = self._open()
        for line in [line for line in self._retired if not line.calls]:
            self._retired.remove(line)
            await line.channel.close(None)

    async def close(self, grace: float | None) -> None:
        """Close it."""
        for line in (self._line, *self._retired):
            await line.channel.close(grace)

    def _open(self) -> _Line:
        credentials = self._certificates.channel_credentials()
        channel = grpc.aio.secure_channel(self._address, credentials, options=self._options)
        return _Line(channel, self._certificates.version)

    def _callable(self, method: str, make: Callable[[grpc.aio.Channel], Any]) -> Callable[..., Any]:
        def call(request: Any, **options: Any) -> Any:
            line = self._line
            if method not in line.methods:
                line.methods[method] = make(line.channel)
            started = line.methods[method](request, **options)
            line.calls += 1
            started.add_done_callback(lambda _: _end(line))
            return started

        return call


def _end(line: _Line) -> None:
    line.calls -= 1
