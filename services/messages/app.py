"""The composition root: the only place that names the concrete parts of the service."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
from chatkit.contract.v1 import limit_pb2
from chatkit.internal.attachments.v1 import references_service_pb2
from chatkit.messages.v1 import messages_service_pb2, read_states_service_pb2

from services.messages.attachments.service import Attachments, ReferencesServicer
from services.messages.attachments.store import ReferenceStore
from services.messages.batch_send import BatchSend
from services.messages.fanout.hubs import Hubs, shutting_down
from services.messages.fanout.log_bus import Announcements
from services.messages.fanout.replays import Replays
from services.messages.fanout.typing_indicator import TypingIndicator
from services.messages.follow_rooms import FollowRooms
from services.messages.log.append import Connection
from services.messages.log.committer import Committer, Connect
from services.messages.log.repetitions import Repetitions
from services.messages.log.store import LogStore
from services.messages.log.tails import TailsStore
from services.messages.peers import FilesClient, RetentionClient, RoomsClient
from services.messages.read_states.cursor_bus import CursorAnnouncements
from services.messages.read_states.live_cursors import Cursors
from services.messages.read_states.live_states import ReadStateFeed
from services.messages.read_states.service import ReadStates
from services.messages.read_states.servicer import ReadStatesServicer
from services.messages.read_states.store import ReadStatesStore
from services.messages.retention.model import Retention
from services.messages.retention.store import RetentionStore
from services.messages.retention.sweeper import Sweeper
from services.messages.service import Messages
from services.messages.servicer import MessagesServicer
from services.messages.stream_access import StreamAccess
from services.runtime.clock import Clock
from services.runtime.contract.errors import Unavailable
from services.runtime.data.epoch import Epoch
from services.runtime.peers.directory import DirectoryClient
from services.runtime.server import Server, open_server
from services.runtime.settings import Settings
from services.runtime.streaming.open_streams import spread_delay

_CONNECT_SECONDS = 3
# Its statements look keys up. A plan that was made while the tables were empty would read them whole instead, each time
# and more of them, until they are analysed.
# Said after connecting: PgBouncer refuses a connection that says it with its start-up packet.
_LOOK_UP = "SET enable_seqscan = off"
# A pooler may take a connection and let its first statement wait for minutes.
_FIRST_STATEMENTS_SECONDS = 5.0


@asynccontextmanager
async def build(settings: Settings, clock: Clock) -> AsyncIterator[Server]:
    """Serve messages for as long as the context is open."""
    retention = Retention(settings.retention_days, settings.limits[limit_pb2.LIMIT_RETENTION_DAYS])
    async with open_server("messages", settings, clock) as server:
        access = server.rooms_access()
        users_peer = server.peer("users", settings.users_address)
        users = DirectoryClient(users_peer)
        rooms_peer = server.peer("rooms", settings.rooms_address)
        rooms = RoomsClient(rooms_peer, server.limits)
        most_replayed = server.limits[limit_pb2.LIMIT_RESUME_MESSAGES]
        store = LogStore(server.database)
        hubs = Hubs(
            store,
            clock,
            heads_interval=settings.heads_poll_interval_seconds,
            heartbeat_interval=settings.heartbeat_interval_seconds,
            most_replayed=most_replayed,
            on_loss=lambda: epoch.end(server.database),
        )
        read_states_store = ReadStatesStore(server.database)
        cursors = Cursors(
            read_states_store,
            rooms,
            clock,
            interval=settings.heads_poll_interval_seconds,
            # Twice as many as there can be members, so that those who have left hardly take a member's place.
            most=2 * server.limits[limit_pb2.LIMIT_ROOM_MEMBERS],
        )
        read_state_feed = ReadStateFeed(read_states_store, clock, interval=settings.heads_poll_interval_seconds)
        epoch = Epoch("messages", on_change=lambda: _reset(hubs, cursors, read_state_feed))
        bus = server.bus()
        announcements = Announcements(hubs, epoch, bus, server.subject("log"))
        cursor_announcements = CursorAnnouncements(
            cursors, epoch, bus, server.subject("cursors"), read_state_feed.moved
        )
        typing = TypingIndicator(hubs, bus, server.subject("typing"), clock)
        for listener in (announcements, cursor_announcements, typing):
            await listener.listen()
        committer = Committer(_lane(settings.database_url.get_secret_value(), epoch), announcements, clock)
        replays = Replays(TailsStore(server.database), hubs, epoch, clock, most=most_replayed)
        messages = Messages(
            store=store,
            committer=committer,
            repetitions=Repetitions(server.database),
            hubs=hubs,
            replays=replays,
            cursors=cursors,
            access=access,
            freshness=access.freshness,
            ending_spread=settings.access_ending_spread_seconds,
            clock=clock,
        )
        follow_rooms = FollowRooms(
            hubs=hubs,
            log=store,
            replays=replays,
            cursors=cursors,
            read_states=read_state_feed,
            access=access,
            rooms=rooms,
            freshness=access.freshness,
            clock=clock,
            ending_spread=settings.access_ending_spread_seconds,
            retry_interval=settings.retry_interval_seconds,
            most_rooms=server.limits[limit_pb2.LIMIT_ROOMS_PER_SUBSCRIPTION],
        )
        references = ReferenceStore(server.database)
        # Not waited for: text flows without files.
        attachments = Attachments(FilesClient(server.peer("files", settings.files_address)), references)
        server.add(
            messages_service_pb2.DESCRIPTOR.services_by_name["MessagesService"],
            MessagesServicer(
                messages,
                follow_rooms,
                BatchSend(messages, users, attachments, access, server.limits),
                attachments,
                typing,
                users,
                server.page_tokens,
                server.limits,
            ),
        )
        read_states = ReadStates(read_states_store, cursor_announcements, rooms, access)
        server.add(
            read_states_service_pb2.DESCRIPTOR.services_by_name["ReadStatesService"],
            ReadStatesServicer(read_states, rooms, users, server.page_tokens, server.limits),
        )
        server.add(
            references_service_pb2.DESCRIPTOR.services_by_name["ReferencesService"], ReferencesServicer(references)
        )
        server.run("committer", committer.run())
        server.run("hubs", hubs.run())
        server.run("cursors", cursors.run())
        server.run("read_states", read_state_feed.run())
        server.run("epoch", epoch.run(server.database, clock, settings.heads_poll_interval_seconds))
        watch = StreamAccess(access, hubs, access.freshness, clock, retry_interval=settings.retry_interval_seconds)
        access.listen(watch)
        access.listen(cursors)
        server.run("access_watch", watch.run())
        sweeper = Sweeper(
            RetentionStore(server.database),
            RetentionClient(rooms_peer, server.limits),
            retention,
            clock,
            on_swept=announcements.unknown,
            interval=settings.retention_sweep_interval_seconds,
            pause=settings.retention_sweep_pause_seconds,
        )
        server.run("sweeper", sweeper.run())
        server.on_drain(lambda: hubs.end_all(_shutting_down))
        await server.start(
            {"rooms": access.ready, "users": users_peer.check, "epoch": epoch.check, "committer": committer.check}
        )
        yield server


def _lane(dsn: str, epoch: Epoch) -> Connect:
    @asynccontextmanager
    async def connect() -> AsyncIterator[Connection]:
        connection: Connection = await psycopg.AsyncConnection.connect(
            dsn, connect_timeout=_CONNECT_SECONDS, application_name="chatkit committer"
        )
        try:
            async with asyncio.timeout(_FIRST_STATEMENTS_SECONDS):
                await connection.execute(_LOOK_UP)
                await epoch.look(connection)
                await connection.set_autocommit(True)
            yield connection
        finally:
            await connection.close()

    return connect


def _reset(hubs: Hubs, cursors: Cursors, read_states: ReadStateFeed) -> None:
    cursors.reset()
    read_states.reset()
    hubs.reset()


def _shutting_down() -> Unavailable:
    return shutting_down(spread_delay())
