"""What the composition root of a service starts from: database, peers, bus, changes, access, keys.

`open_server` acquires everything and closes it again in the reverse order.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial

import structlog

from services.runtime.access.client import AccessClient
from services.runtime.access.figures import measure_access
from services.runtime.access.port import AccessChecker
from services.runtime.access.rooms import RoomsAccess
from services.runtime.bus.figures import measure_bus
from services.runtime.bus.nats import NatsBus
from services.runtime.bus.nats_url import parse_servers
from services.runtime.bus.port import Bus, InProcessBus
from services.runtime.bus.subjects import subject
from services.runtime.calls.edges import EdgesServicer
from services.runtime.calls.handlers import Handlers, Servicer
from services.runtime.calls.observing import Observer
from services.runtime.calls.paging import PageTokens
from services.runtime.clock import Clock
from services.runtime.data.change_feed import ChangeFeed
from services.runtime.data.change_log import Change, ChangeLog, ChangeStore
from services.runtime.data.database import Database, create_engine
from services.runtime.identity.api_keys import ApiKey
from services.runtime.identity.keys import Key, Keyring
from services.runtime.identity.tls import Certificates
from services.runtime.identity.tokens import ServiceTokens, TokenVerifier
from services.runtime.metrics.port import MetricsPort
from services.runtime.metrics.process import measure_process, watch_loop
from services.runtime.metrics.registry import Metrics
from services.runtime.peers.peer import Peer
from services.runtime.process.lifetime import Lifetime
from services.runtime.process.listener import GrpcListener
from services.runtime.process.readiness import Check, Readiness
from services.runtime.release import Release
from services.runtime.settings import Settings
from services.runtime.streaming.open_streams import Streams
from services.runtime.tracing.spans import open_spans

_log = structlog.get_logger()


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
        self.metrics = Metrics()
        self.spans = open_spans(name, Release(settings.commit))
        self._observer = Observer(self.metrics, self.spans, settings.slow_call_seconds)
        self._metrics_port: MetricsPort | None = None
        self._pages: dict[str, Callable[[], object]] = {}
        self.page_tokens = PageTokens(keys.service)
        self.readiness = Readiness(clock, settings.retry_interval_seconds, Release(settings.commit))
        self.address = ""
        # Where the service also listens for HTTP, if it does.
        self.http_address = ""
        # Where it tells its figures, if it does.
        self.metrics_address = ""
        self._tokens = ServiceTokens(name, keys.service[0], clock)
        self._verifier = TokenVerifier(
            keys=keys.api,
            service_keys=keys.service,
            instance=settings.instance,
            service=name,
            limits=self.limits,
            clock=clock,
        )
        self._listener = GrpcListener(settings.listen, self.limits, self._certificates, settings.connection_age_seconds)
        self._servicers: list[Servicer] = [EdgesServicer(self.streams)]
        self._peers: dict[tuple[str, str], Peer] = {}
        self._keys_users: list[Callable[[Sequence[ApiKey]], None]] = []
        self.lifetime = Lifetime(self.readiness, clock, settings.drain_seconds)
        self.lifetime.on_stop(partial(self._listener.stop, settings.shutdown_grace.total_seconds()))

    def rooms_access(self) -> RoomsAccess:
        """Ask rooms about rooms and roles, and keep what it allows."""
        access = RoomsAccess(
            AccessClient(self.peer("rooms", self.settings.rooms_address)),
            self.clock,
            patience=self.settings.access_heartbeat_patience_seconds,
            lifetime=self.settings.access_entry_lifetime_seconds,
            retry_interval=self.settings.retry_interval_seconds,
        )
        measure_access(self.metrics, access)
        self.lifetime.run("access", access.run())
        return access

    def bus(self) -> Bus:
        """Open the bus to the other replicas of this service; nothing waits for it."""
        settings = self.settings
        if not settings.nats_url.get_secret_value():
            return InProcessBus()
        servers = parse_servers(settings.nats_url.get_secret_value(), settings.nats_ca_file, settings.tls)
        bus = NatsBus(self.name, servers, self.clock)
        measure_bus(self.metrics, bus)
        self.lifetime.run("bus", bus.run())
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
        self.lifetime.run("feed", feed.run())
        self.lifetime.on_drain(feed.end)
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

    def tell(self, path: str, read: Callable[[], object]) -> None:
        """Tell something, as JSON, on a page of its own at the port of figures; `read` is called on the loop."""
        self._pages[path] = read

    def find_key(self, key_id: str) -> Key | None:
        """Return a customer's key by its id, if it is in force."""
        return self._verifier.find_key(key_id)

    def on_keys(self, use: Callable[[Sequence[ApiKey]], None]) -> None:
        """Call this with the services' keys, now and whenever they are others; the first one signs."""
        self._keys_users.append(use)
        use(self._keyring.keys.service)

    async def start(self, access: AccessChecker, dependencies: Mapping[str, Check]) -> None:
        """Listen, with `access` to answer for rooms and roles; be ready once all dependencies and the database were.

        Raises OSError where the address can't be listened on.
        """
        await self.readiness.start()
        self.handlers = Handlers(
            verifier=self._verifier, limits=self.limits, streams=self.streams, observer=self._observer, access=access
        )
        self.address = await self._listener.start(self.handlers, self._servicers, self.readiness.servicer)
        self._measure()
        self.lifetime.run("listener", self._listener.watch())
        self.lifetime.run("streams", self.streams.run())
        self.lifetime.run("watched_files", self._watch_files())
        self.lifetime.run(
            "readiness",
            self.readiness.await_dependencies({"database": self._check_database, **dependencies}),
        )

    def _measure(self) -> None:
        """Tell of the process on a port of its own."""
        measure_process(self.metrics, self.database.turns, Release(self.settings.commit))
        self.lifetime.run("loop_lag", watch_loop(self.metrics, self.clock))
        if self.settings.metrics_listen:
            self._metrics_port = MetricsPort(
                self.settings.metrics_listen, self.metrics, lambda: self.readiness.is_serving, more=self._pages
            )
            self.metrics_address = self._metrics_port.address
            _log.info("telling_metrics", address=self.metrics_address)

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

    async def stop(self) -> None:
        """Stop serving, and close what was opened."""
        await self.lifetime.stop()
        for peer in list(self._peers.values()):
            await peer.close()
        await self.database.close()
        if self._metrics_port is not None:
            await self._metrics_port.close()
        if self.spans is not None:
            # It waits for whoever takes them.
            await asyncio.to_thread(self.spans.close)


@asynccontextmanager
async def open_server(name: str, settings: Settings, clock: Clock) -> AsyncIterator[Server]:
    """Make a server for a composition root; it is stopped on the way out."""
    server = Server(name, settings, clock)
    try:
        yield server
    finally:
        await server.stop()
