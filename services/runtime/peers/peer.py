"""Calls to other services: a channel per replica, a token of ours, a deadline inherited from the caller and shaved."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import suppress
from typing import Any, Protocol, TypeVar, cast

import grpc
import structlog

from services.runtime.contract import errors
from services.runtime.deadline import NEVER, Deadline
from services.runtime.identity.tls import Certificates
from services.runtime.identity.tokens import ServiceTokens
from services.runtime.peers.channels import RenewedChannel, SpreadChannel
from services.runtime.tracing.trace import Outgoing, current

_log = structlog.get_logger()
_Request_contra = TypeVar("_Request_contra", contravariant=True)
_Response_co = TypeVar("_Response_co", covariant=True)
_Request = TypeVar("_Request")
_Response = TypeVar("_Response")

_MOST_SECONDS = 5.0
# What a call leaves of our own caller's deadline, for our answer.
_ANSWER_SECONDS = 0.1
_SERVICE_CONFIG = {"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": ""}}
OPTIONS: tuple[tuple[str, Any], ...] = (
    # A name may have several addresses, as that of a scaled service has; and who says NOT_SERVING is passed over.
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    # Channels of a process to one address share their connections otherwise. Two that connect at the same moment then
    # crash gRPC 1.85: the second one's health check begins in what the first one has not finished making
    # (tests/runtime/shared_health_checks.py). And with TLS the first one's certificate would be everybody's.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # gRPC would ask for a name's addresses every 30 s at the most, and meanwhile all those it knows may have gone.
    ("grpc.dns_min_time_between_resolutions_ms", 1_000),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.bdp_probe", 0),
)


class UnaryCall(Protocol[_Request_contra, _Response_co]):
    """A unary method of a generated stub."""

    def __call__(
        self,
        request: _Request_contra,
        *,
        timeout: float | None,
        metadata: tuple[tuple[str, str], ...],
    ) -> Awaitable[_Response_co]:
        """Call the method."""


class PeerStream(Protocol[_Response_co]):
    """A stream that a peer sends."""

    def __aiter__(self) -> AsyncIterator[_Response_co]:
        """Read it."""

    def cancel(self) -> bool:
        """End it."""


class StreamCall(Protocol[_Request_contra, _Response_co]):
    """A server-streaming method of a generated stub."""

    def __call__(self, request: _Request_contra, *, metadata: tuple[tuple[str, str], ...]) -> PeerStream[_Response_co]:
        """Open the stream."""


class ExchangeCall(Protocol[_Request_contra, _Response_co]):
    """A method of a generated stub whose requests and responses are streams."""

    def __call__(
        self, requests: AsyncIterator[_Request_contra], *, metadata: tuple[tuple[str, str], ...]
    ) -> PeerStream[_Response_co]:
        """Open the stream."""


class Peer:
    """One other service; `addresses` are those of its replicas, with commas between them."""

    def __init__(
        self, name: str, addresses: str, tokens: ServiceTokens, certificates: Certificates | None = None
    ) -> None:
        self.name = name
        self._tokens = tokens
        self._is_refused = False
        channels = [_channel(address.strip(), certificates) for address in addresses.split(",")]
        self._channel = SpreadChannel(channels)
        self.channel = cast("grpc.aio.Channel", self._channel)

    async def call(
        self,
        method: UnaryCall[_Request, _Response],
        request: _Request,
        deadline: Deadline = NEVER,
    ) -> _Response:
        """Call a unary method; `deadline` is our own caller's, and the peer has five seconds at most.

        What was lost with its connection, or refused with its token, is called once more, at another replica if there
        is one: methods between services are all repeatable. Raises what the peer raised, or SERVICE_UNAVAILABLE.
        """
        deadline = min(deadline.less(_ANSWER_SECONDS), Deadline.after(_MOST_SECONDS))
        try:
            return await self._once(method, request, deadline)
        except grpc.aio.AioRpcError as error:
            if not errors.was_lost(error) and not _is_refusal(error):
                raise self._decoded(error) from error
            if _is_refusal(error):
                self._tokens.forget(self.name)
        try:
            return await self._once(method, request, deadline)
        except grpc.aio.AioRpcError as error:
            raise self._decoded(error) from error

    async def _once(self, method: UnaryCall[_Request, _Response], request: _Request, deadline: Deadline) -> _Response:
        trace = current.get()
        outgoing = None if trace is None else Outgoing(trace)
        call = method(request, timeout=max(deadline.left(), 0.001), metadata=self._metadata(outgoing))
        try:
            response = await call
        except grpc.aio.AioRpcError as error:
            if errors.was_lost(error):
                self._channel.lost(call)
            raise
        finally:
            if outgoing is not None:
                outgoing.ended(f"call {self.name}")
        self._is_refused = False
        return response

    def stream(self, method: StreamCall[_Request, _Response], request: _Request) -> AsyncGenerator[_Response, None]:
        """Follow a stream; its end by error raises like `call`. Whoever stops reading closes it."""
        return self._read(method(request, metadata=self._metadata()))

    def exchange(
        self, method: ExchangeCall[_Request, _Response], requests: AsyncIterator[_Request]
    ) -> AsyncGenerator[_Response, None]:
        """Follow a stream whose requests are one, too; like `stream`."""
        return self._read(method(requests, metadata=self._metadata()))

    async def _read(self, call: PeerStream[_Response]) -> AsyncGenerator[_Response, None]:
        try:
            async for response in call:
                self._is_refused = False
                yield response
        except grpc.aio.AioRpcError as error:
            if errors.was_lost(error):
                self._channel.lost(call)
            raise self._decoded(error) from error
        finally:
            call.cancel()

    async def check(self) -> None:
        """Return once the peer has accepted a connection."""
        await self.channel.channel_ready()

    async def renew(self) -> None:
        """Call with the certificates that are in force now."""
        await self._channel.renew()

    async def close(self) -> None:
        """Close the channel."""
        with suppress(grpc.aio.UsageError):
            await self.channel.close(None)

    def _decoded(self, error: grpc.aio.AioRpcError) -> errors.ChatkitError:
        """Decode an error; that our own token was refused says nothing of our caller's, and is not for its ears."""
        if not _is_refusal(error):
            return errors.from_rpc_error(error, self.name)
        self._tokens.forget(self.name)
        if not self._is_refused:
            # Said once for as long as it is so.
            self._is_refused = True
            reason = errors.from_rpc_error(error, self.name).reason
            _log.error("service_token_refused", peer=self.name, reason=reason, hint="compare clocks and service keys")
        return errors.unavailable_peer(self.name)

    def _metadata(self, outgoing: Outgoing | None = None) -> tuple[tuple[str, str], ...]:
        token = ("authorization", f"Bearer {self._tokens.for_peer(self.name)}")
        return (token,) if outgoing is None else (token, *outgoing.metadata)


def _is_refusal(error: grpc.aio.AioRpcError) -> bool:
    return error.code() == grpc.StatusCode.UNAUTHENTICATED


def _channel(address: str, certificates: Certificates | None) -> "grpc.aio.Channel | RenewedChannel":
    if certificates is not None:
        return RenewedChannel(address, certificates, OPTIONS)
    return grpc.aio.insecure_channel(address, options=OPTIONS)
