"""The gRPC listener of a process: its port, its options, and what is served beside the contract: health, reflection."""

from collections.abc import Sequence

import grpc
import structlog
from chatkit.contract.v1 import limit_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from services.runtime.calls.handlers import Handlers, Servicer
from services.runtime.contract.policies import Limits
from services.runtime.identity.tls import Certificates

_log = structlog.get_logger()
# Room for gRPC's own framing above the largest request; the handlers refuse by the method's own limit.
_RECEIVE_SLACK_BYTES = 64 * 1024
# How soon it is noticed that gRPC serves no more, and how long calls have to end then: nobody else is served meanwhile.
_LOOK_SECONDS, _FAILED_GRACE_SECONDS = 1.0, 1.0


class GrpcListener:
    """Listens from its start until it is stopped, encrypted where the process has certificates."""

    def __init__(
        self, listen: str, limits: Limits, certificates: Certificates | None, connection_age_seconds: float
    ) -> None:
        self._listen = listen
        self._certificates = certificates
        self._server = grpc.aio.server(options=_options(limits, connection_age_seconds))
        self._has_failed = False

    async def start(
        self, handlers: Handlers, servicers: Sequence[Servicer], health_servicer: health.aio.HealthServicer
    ) -> str:
        """Serve these services, and return host:port; raises OSError where the address can't be listened on."""
        self._server.add_generic_rpc_handlers([handlers.generic(servicer) for servicer in servicers])
        health_pb2_grpc.add_HealthServicer_to_server(health_servicer, self._server)
        names = (
            *(servicer.SERVICE.full_name for servicer in servicers),
            health_pb2.DESCRIPTOR.services_by_name["Health"].full_name,
            reflection.SERVICE_NAME,
        )
        reflection.enable_server_reflection(names, self._server)
        self._server.add_generic_rpc_handlers((handlers.unknown(),))
        address = self._bind()
        await self._server.start()
        _log.info("listening", address=address)
        return address

    async def watch(self) -> None:
        """Return when it was stopped; raise what gRPC has failed with, whose server ends at a path that is no UTF-8.

        Such a server answers nobody, and its process would stay there.
        """
        try:
            while await self._server.wait_for_termination(_LOOK_SECONDS):
                pass
        except Exception:
            self._has_failed = True
            raise

    async def stop(self, grace_seconds: float) -> None:
        """Refuse new calls, and wait so long for open ones; not for long where gRPC has failed."""
        await self._server.stop(min(grace_seconds, _FAILED_GRACE_SECONDS) if self._has_failed else grace_seconds)

    def _bind(self) -> str:
        host, _, _ = self._listen.rpartition(":")
        try:
            if self._certificates is not None:
                port = self._server.add_secure_port(self._listen, self._certificates.server_credentials())
            else:
                port = self._server.add_insecure_port(self._listen)
        except RuntimeError:
            raise OSError(f"{self._listen} can't be listened on") from None
        return f"{host}:{port}"


def _options(limits: Limits, connection_age_seconds: float) -> tuple[tuple[str, int], ...]:
    headers = limits[limit_pb2.LIMIT_HEADERS_BYTES]
    # Of a crowd that comes at once gRPC would cancel some of those beyond 1,000 whose calls are not begun.
    waiting = limits[limit_pb2.LIMIT_STREAMS_PER_PROCESS]
    return (
        ("grpc.max_receive_message_length", limits[limit_pb2.LIMIT_BATCH_REQUEST_BYTES] + _RECEIVE_SLACK_BYTES),
        ("grpc.max_metadata_size", headers),
        # Between the two gRPC refuses at random, so that the one limit is the other.
        ("grpc.absolute_max_metadata_size", headers),
        ("grpc.server.max_pending_requests", waiting),
        ("grpc.server.max_pending_requests_hard_limit", 2 * waiting),
        # Callers look a name up again only when a connection goes, so that without it a later replica would stay idle.
        # The age has no grace, because gRPC would cut streams at its end without a word; without one they go on.
        ("grpc.max_connection_age_ms", round(connection_age_seconds * 1000)),
        ("grpc.http2.bdp_probe", 0),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        ("grpc.http2.max_ping_strikes", 0),
    )
