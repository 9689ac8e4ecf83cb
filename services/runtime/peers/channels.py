"""Channels to other services, with what grpc.aio's own lack: replicas to spread over, certificates that change.

Calls that are open go on where they began, because closing a channel cancels them in this process.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import grpc

from services.runtime.identity.tls import Certificates

_READY = grpc.ChannelConnectivity.READY
# What a channel says of its connection comes later than the loss of a call.
_SUSPECT_SECONDS = 0.5


@dataclass(eq=False, slots=True)
class _Line:
    channel: grpc.aio.Channel
    version: int
    methods: dict[str, Any] = field(default_factory=dict)
    calls: int = 0


class SpreadChannel:
    """A channel to several replicas: calls take those in turn that have a connection.

    gRPC's own lists of addresses hold no names, and with TLS it compares a certificate with the whole list.
    """

    def __init__(self, channels: Sequence["grpc.aio.Channel | RenewedChannel"]) -> None:
        self._channels = list(channels)
        self._next = 0
        self._turns: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
        # When a call was lost last at a replica whose channel may not know it yet.
        self._lost = [-_SUSPECT_SECONDS] * len(self._channels)

    def unary_unary(self, method: str, *how: Any, **more: Any) -> Callable[..., Any]:
        """Return a callable for a unary method."""
        return self._callable([channel.unary_unary(method, *how, **more) for channel in self._channels])

    def unary_stream(self, method: str, *how: Any, **more: Any) -> Callable[..., Any]:
        """Return a callable for a server-streaming method."""
        return self._callable([channel.unary_stream(method, *how, **more) for channel in self._channels])

    def stream_stream(self, method: str, *how: Any, **more: Any) -> Callable[..., Any]:
        """Return a callable for a method whose requests and responses are streams."""
        return self._callable([channel.stream_stream(method, *how, **more) for channel in self._channels])

    def get_state(self, *, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Return READY when a replica is connected."""
        states = [channel.get_state(try_to_connect=try_to_connect) for channel in self._channels]
        return _READY if _READY in states else states[0]

    async def channel_ready(self) -> None:
        """Return once one replica has accepted a connection."""
        waits = [asyncio.ensure_future(channel.channel_ready()) for channel in self._channels]
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in done:
                wait.result()
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def renew(self) -> None:
        """Let those renew that can."""
        for channel in self._channels:
            if isinstance(channel, RenewedChannel):
                await channel.renew()

    async def close(self, grace: float | None) -> None:
        """Close it."""
        for channel in self._channels:
            await channel.close(grace)

    def _callable(self, methods: Sequence[Callable[..., Any]]) -> Callable[..., Any]:
        if len(methods) == 1:
            return methods[0]

        def call(request: Any, **options: Any) -> Any:
            turn = self._pick()
            started = methods[turn](request, **options)
            self._turns[started] = turn
            return started

        return call

    def lost(self, call: Any) -> None:
        """Learn that a call was lost with its connection: for a while others are called."""
        turn = self._turns.get(call)
        if turn is not None:
            self._lost[turn] = time.monotonic()

    def _pick(self) -> int:
        """Return whose turn it is; whoever has no connection is let connect, and passed over as long as another has."""
        count, now = len(self._channels), time.monotonic()
        turns = [(self._next + step) % count for step in range(count)]
        ready = [turn for turn in turns if self._channels[turn].get_state(try_to_connect=True) is _READY]
        sound = (turn for turn in ready if now - self._lost[turn] >= _SUSPECT_SECONDS)
        chosen = next(sound, ready[0] if ready else turns[0])
        self._next = (chosen + 1) % count
        return chosen


class RenewedChannel:
    """A channel with mutual TLS: new calls go through a new one when the certificates have changed."""

    def __init__(self, address: str, certificates: Certificates, options: Sequence[tuple[str, Any]]) -> None:
        self._address = address
        self._certificates = certificates
        self._options = tuple(options)
        self._line = self._open()
        self._retired: list[_Line] = []

    def unary_unary(self, method: str, *how: Any, **more: Any) -> Callable[..., Any]:
        """Return a callable for a unary method."""
        return self._callable(method, lambda channel: channel.unary_unary(method, *how, **more))

    def unary_stream(self, method: str, *how: Any, **more: Any) -> Callable[..., Any]:
        """Return a callable for a server-streaming method."""
        return self._callable(method, lambda channel: channel.unary_stream(method, *how, **more))

    def stream_stream(self, method: str, *how: Any, **more: Any) -> Callable[..., Any]:
        """Return a callable for a method whose requests and responses are streams."""
        return self._callable(method, lambda channel: channel.stream_stream(method, *how, **more))

    def get_state(self, *, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Return the state of the connection that new calls use."""
        return self._line.channel.get_state(try_to_connect=try_to_connect)

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
