"""A service's gRPC server with what surrounds it: health, reflection, background tasks, graceful drain.

`open_server` acquires everything and closes it again in the reverse order.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import grpc
import structlog
from chatkit.contract.v1 import limit_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from services.runtime.access.client import AccessClient
from services.runtime.access.port import AccessChecker
from services.runtime.access.rooms import RoomsAccess
from services.runtime.bus.nats import NatsBus
from services.runtime.bus.nats_url import parse_servers
from services.runtime.bus.port import Bus, InProcessBus
from services.runtime.bus.subjects import subject
from services.runtime.calls.edges import EdgesServicer
from services.runtime.calls.handlers import Handlers, Servicer
from services.runtime.calls.paging import PageTokens
from services.runtime.clock import Clock
from services.runtime.contract.policies import Limits
from services.runtime.data.change_feed import ChangeFeed
from services.runtime.data.change_log import Change, ChangeLog, ChangeStore
from services.runtime.data.database import Database, create_engine
from services.runtime.identity.api_keys import ApiKey
from services.runtime.identity.keys import Keyring
from services.runtime.identity.tls import Certificates
from services.runtime.identity.tokens import ServiceTokens, TokenVerifier
from services.runtime.peers.peer import Peer
from services.runtime.readiness import Check, Readiness
from services.runtime.release import Release
from services.runtime.settings import Settings
from services.runtime.streaming.open_streams import Streams

_log = structlog.get_logger()
# Room for gRPC's own framing above the largest request; the handlers refuse by the method's own limit.
_RECEIVE_SLACK_BYTES = 64 * 1024


class Server:
    """What the composition root of a service starts from, and the server it fills."""

    # Composed at the start, when it is known who answers for rooms and roles.
    handlers: Handlers

    def __init__(self, name: str, settings: Settings, clock: Clock) -> None:
        self._keyring = Keyring(
            settings.keys_file,
            settings.jwks_file,
            settings.service_keys_file,
            allow_sample_secrets=settings.allow_sample_secrets,
        )
        keys = self._keyring.keys
        self.name = name
        self.settings = settings
        self.clock = clock
        self.limits = settings.limits
        self.database = Database(create_engine(settings.database_url.get_secret_value()))
        self.streams = Streams(self.limits, clock)
        self._certificates = Certificates(settings.tls) if settings.tls is not None else None
        self.page_tokens = PageTokens(keys.service)
        self.readiness = Readiness(clock, settings.retry_interval_seconds, Release(settings.commit))
        self.address = ""
        # Where the service also listens for HTTP, if it does.
        self.http_address = ""
        self._tokens = ServiceTokens(name, keys.service[0], clock)
        self._verifier = TokenVerifier(
            keys=keys.api,
            service_keys=keys.service,
            instance=settings.instance,
            service=name,
            limits=self.limits,
            clock=clock,
        )
        self._grpc = grpc.aio.server(options=_options(self.limits))
        self._servicers: list[Servicer] = [EdgesServicer(self.streams)]
        self._peers: dict[tuple[str, str], Peer] = {}
        self._drains: list[Callable[[], None]] = []
        self._stops: list[Callable[[], Awaitable[None]]] = []
        self._keys_users: list[Callable[[Sequence[ApiKey]], None]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        # Set when a background task has died: the process should end.
        self.failed = asyncio.Event()
        self._is_stopping = False

    def rooms_access(self) -> RoomsAccess:
        """Ask rooms about rooms and roles, and keep what it allows."""
        access = RoomsAccess(
            AccessClient(self.peer("rooms", self.settings.rooms_address)),
            self.clock,
            patience=self.settings.access_heartbeat_patience_seconds,
            lifetime=self.settings.access_entry_lifetime_seconds,
            retry_interval=self.settings.retry_interval_seconds,
        )
        self.run("access", access.run())
        return access

    def bus(self) -> Bus:
        """Open the bus to the other replicas of this service; nothing waits for it."""
        settings = self.settings
        if not settings.nats_url.get_secret_value():
            return InProcessBus()
        servers = parse_servers(settings.nats_url.get_secret_value(), settings.nats_ca_file, settings.tls)
        bus = NatsBus(self.name, servers, self.clock)
        self.run("bus", bus.run())
        return bus

    async def change_feed(self, log: ChangeLog[Change], poll_interval: float) -> ChangeFeed[Change]:
        """Follow the changes of this service's schema; other replicas are told of them over the bus."""
        bus, subject = self.bus(), self.subject("changes")
        feed = ChangeFeed(
            ChangeStore(self.database, log),
            self.clock,
            poll_interval=poll_interval,
            heartbeat_interval=self.settings.access_heartbeat_interval_seconds,
            kept=self.settings.access_changes_kept,
            tell_others=lambda: bus.publish(subject, b""),
        )
        await bus.subscribe(subject, feed)
        self.run("feed", feed.run())
        self.on_drain(feed.end)
        return feed

    def subject(self, name: str) -> str:
        """Return a declared subject of the bus that is this service's and this instance's own."""
        return subject(self.settings.instance, self.name, name)

    def peer(self, name: str, address: str) -> Peer:
        """Return the channel to another service, the same one to whoever asks; it is closed with the server."""
        key = (name, address)
        if key not in self._peers:
            self._peers[key] = Peer(name, address, self._tokens, self._certificates)
        return self._peers[key]

    def add(self, servicer: Servicer) -> None:
        """Serve a service of the contract, from the start on."""
        self._servicers.append(servicer)

    def run(self, name: str, work: Awaitable[None]) -> None:
        """Run a part in the background for the server's life; its death turns health off and ends the process."""

        async def supervised() -> None:
            try:
                await work
            except Exception as error:  # noqa: BLE001 - whatever it was, the part is dead
                # First what ends the process, and the telling last: nothing that fails here may keep it alive.
                self.failed.set()
                await self.readiness.break_down(name)
                _log.error("task_failed", task=name, exc_info=error)

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if not self._is_stopping and (task.cancelled() or task.exception() is not None):
                # Also one that somebody cancelled whom nobody had told to: it is as dead as the others.
                self.failed.set()
            if asyncio.iscoroutine(work):
                # A process that can't listen ends before its parts have begun; Python would complain of them.
                work.close()

        task = asyncio.create_task(supervised(), name=name)
        self._tasks.add(task)
        task.add_done_callback(ended)

    def on_keys(self, use: Callable[[Sequence[ApiKey]], None]) -> None:
        """Call this with the services' keys, now and whenever they are others; the first one signs."""
        self._keys_users.append(use)
        use(self._keyring.keys.service)

    def on_drain(self, end_streams: Callable[[], None]) -> None:
        """Call this when the process was told to stop, before open calls are waited for."""
        self._drains.append(end_streams)

    def on_stop(self, end_calls: Callable[[], Awaitable[None]]) -> None:
        """Await this while open calls are waited for: it ends what is called in another way than by gRPC."""
        self._stops.append(end_calls)

    async def start(self, access: AccessChecker, dependencies: Mapping[str, Check]) -> None:
        """Listen, with `access` to answer for rooms and roles; be ready once all dependencies and the database were.

        Raises OSError where the address can't be listened on.
        """
        await self.readiness.start()
        self.handlers = Handlers(verifier=self._verifier, limits=self.limits, streams=self.streams, access=access)
        self._grpc.add_generic_rpc_handlers([self.handlers.generic(servicer) for servicer in self._servicers])
        health_pb2_grpc.add_HealthServicer_to_server(self.readiness.servicer, self._grpc)
        names = (
            *(servicer.SERVICE.full_name for servicer in self._servicers),
            health_pb2.DESCRIPTOR.services_by_name["Health"].full_name,
            reflection.SERVICE_NAME,
        )
        reflection.enable_server_reflection(names, self._grpc)
        self._grpc.add_generic_rpc_handlers((self.handlers.unknown(),))
        self.address = self._listen()
        await self._grpc.start()
        _log.info("listening", address=self.address)
        self.run("streams", self.streams.run())
        self.run("watched_files", self._watch_files())
        self.run(
            "readiness",
            self.readiness.await_dependencies({"database": self._check_database, **dependencies}),
        )

    def _listen(self) -> str:
        host, _, _ = self.settings.listen.rpartition(":")
        try:
            if self._certificates is not None:
                port = self._grpc.add_secure_port(self.settings.listen, self._certificates.server_credentials())
            else:
                port = self._grpc.add_insecure_port(self.settings.listen)
        except RuntimeError:
            raise OSError(f"{self.settings.listen} can't be listened on") from None
        return f"{host}:{port}"

    async def _watch_files(self) -> None:
        while True:
            await self.clock.sleep(self.settings.keys_poll_interval_seconds)
            if self._keyring.look():
                await self._use_keys()
            if self._certificates is not None:
                self._certificates.look()
                for peer in list(self._peers.values()):
                    await peer.renew()

    async def _use_keys(self) -> None:
        keys = self._keyring.keys
        self._verifier.use(keys.api, keys.service)
        self._tokens.use(keys.service[0])
        self.page_tokens.use(keys.service)
        for use in self._keys_users:
            use(keys.service)
        await self.streams.end_revoked(self._verifier.still_knows)

    async def _check_database(self) -> None:
        await self.database.check_sessions()
        await self.database.check_capacity(self.settings.database_processes * self.settings.database_connections)

    async def drain(self) -> None:
        """Say NOT_SERVING and serve on until callers have gone elsewhere.

        gRPC cancels what arrives in the moment in which it stops: who is still called then answers CANCELLED.
        """
        await self.readiness.drain()
        await self.clock.sleep(self.settings.drain_seconds)

    async def stop(self) -> None:
        """Refuse new calls, end the streams, wait for open calls, close."""
        self._is_stopping = True
        await self.readiness.drain()
        for drain in self._drains:
            drain()
        grace = self.settings.shutdown_grace.total_seconds()
        await asyncio.gather(self._grpc.stop(grace), *(end_calls() for end_calls in self._stops))
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for peer in list(self._peers.values()):
            await peer.close()
        await self.database.close()


@asynccontextmanager
async def open_server(name: str, settings: Settings, clock: Clock) -> AsyncIterator[Server]:
    """Make a server for a composition root; it is stopped on the way out."""
    server = Server(name, settings, clock)
    try:
        yield server
    finally:
        await server.stop()


def _options(limits: Limits) -> tuple[tuple[str, int], ...]:
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
        ("grpc.http2.bdp_probe", 0),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        ("grpc.http2.max_ping_strikes", 0),
    )
