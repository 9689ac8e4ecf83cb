"""The composition root: the only place that names the concrete parts of the service."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import psycopg
from chatkit.contract.v1 import limit_pb2
from chatkit.messages.v1 import messages_service_pb2

from services.messages.access_watch import AccessWatch
from services.messages.announcements import Announcements
from services.messages.committer import Committer, Connect
from services.messages.epoch import Epoch
from services.messages.hubs import Hubs, shutting_down
from services.messages.log import Connection
from services.messages.peers import Users
from services.messages.service import Messages
from services.messages.servicer import MessagesServicer
from services.messages.store import LogStore
from services.runtime.clock import Clock
from services.runtime.errors import Unavailable
from services.runtime.server import Server, open_server
from services.runtime.settings import Settings

_CONNECT_SECONDS = 3


@asynccontextmanager
async def build(settings: Settings, clock: Clock) -> AsyncIterator[Server]:
    """Serve messages for as long as the context is open."""
    async with open_server("messages", settings, clock) as server:
        access = server.rooms_access()
        users_peer = server.peer("users", settings.users_address)
        users = Users(users_peer)
        most_replayed = server.limits[limit_pb2.LIMIT_RESUME_MESSAGES]
        store = LogStore(server.database)
        hubs = Hubs(
            store,
            clock,
            heads_interval=settings.heads_poll_interval_seconds,
            heartbeat_interval=settings.heartbeat_interval_seconds,
            most_replayed=most_replayed,
        )
        epoch = Epoch(on_change=hubs.reset)
        announcements = Announcements(hubs, epoch, server.bus(), server.subject("log"))
        await announcements.listen()
        committer = Committer(_lane(settings.database_url.get_secret_value(), epoch), announcements, clock)
        messages = Messages(
            store=store,
            committer=committer,
            hubs=hubs,
            epoch=epoch,
            access=access,
            freshness=access.freshness,
            ending_spread=settings.access_ending_spread_seconds,
            clock=clock,
            most_replayed=most_replayed,
        )
        server.add(
            messages_service_pb2.DESCRIPTOR.services_by_name["MessagesService"],
            MessagesServicer(messages, users, server.page_tokens, server.limits),
        )
        server.run("committer", committer.run())
        server.run("hubs", hubs.run())
        watch = AccessWatch(access, hubs, clock, retry_interval=settings.retry_interval_seconds)
        access.listen(watch)
        server.run("access_watch", watch.run())
        server.on_drain(lambda: hubs.end_all(_shutting_down))
        await server.start({"rooms": access.ready, "users": users_peer.check, "epoch": epoch.check})
        yield server


def _lane(dsn: str, epoch: Epoch) -> Connect:
    @asynccontextmanager
    async def connect() -> AsyncIterator[Connection]:
        connection: Connection = await psycopg.AsyncConnection.connect(
            dsn, connect_timeout=_CONNECT_SECONDS, application_name="chatkit committer"
        )
        try:
            await epoch.look(connection)
            yield connection
        finally:
            await connection.close()

    return connect


def _shutting_down() -> Unavailable:
    # Delays of their own keep the clients from coming back all at once.
    return shutting_down(timedelta(milliseconds=random.randint(50, 1_000)))
