"""The composition root: the only place that names the concrete parts of the service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from chatkit.contract.v1 import limit_pb2
from chatkit.internal.feeds.v1.presence_feed_service_pb2 import FollowPresenceRequest
from chatkit.internal.feeds.v1.presence_feed_service_pb2_grpc import PresenceFeedServiceStub
from chatkit.internal.feeds.v1.user_feed_service_pb2 import FollowUsersRequest
from chatkit.internal.feeds.v1.user_feed_service_pb2_grpc import UserFeedServiceStub

from services.messages.attachments.service import Attachments, ReferencesServicer
from services.messages.attachments.store import ReferenceStore
from services.messages.batch_send import BatchSend
from services.messages.erasure.eraser import MessagesEraser
from services.messages.erasure.store import UNLOCKED, ErasureStore
from services.messages.erasure.users import UserEraser
from services.messages.erasure.users_store import WRITTEN, UserErasureStore
from services.messages.export.exporter import UserExporter
from services.messages.export.store import UserExportStore
from services.messages.fanout.deliveries import Deliveries
from services.messages.fanout.hubs import Hubs, shutting_down
from services.messages.fanout.log_bus import Announcements
from services.messages.fanout.replays import Replays
from services.messages.fanout.typing_indicator import TypingIndicator
from services.messages.figures import measure
from services.messages.follow_rooms import FollowRooms
from services.messages.heaviest_senders import HeaviestSenders
from services.messages.log.committer import Committer
from services.messages.log.connecting import connecting
from services.messages.log.figures import CommitFigures
from services.messages.log.repetitions import Repetitions
from services.messages.log.store import LogStore
from services.messages.log.tails import TailsStore
from services.messages.peers import FilesClient, RetentionClient, RoomsClient, UsersClient
from services.messages.preparing import Preparation
from services.messages.read_states.cursor_bus import CursorAnnouncements
from services.messages.read_states.cursors_store import ReadCursorsStore
from services.messages.read_states.live_cursors import Cursors
from services.messages.read_states.live_states import ReadStateFeed
from services.messages.read_states.service import ReadStates
from services.messages.read_states.servicer import ReadStatesServicer
from services.messages.read_states.states_store import ReadStatesStore
from services.messages.read_states.summaries import RoomSummaries
from services.messages.retention import figures as retention_figures
from services.messages.retention.model import Retention
from services.messages.retention.store import RetentionStore
from services.messages.retention.sweeper import Sweeper
from services.messages.sending.sampling import Sampling
from services.messages.sending.send_stream import Parts
from services.messages.sending.send_streams import SendStreams
from services.messages.service import Messages
from services.messages.servicer import MessagesServicer
from services.messages.settings import MessagesSettings
from services.messages.stream_access import StreamAccess
from services.messages.sync.feeds import Feed
from services.messages.sync.service import Devices
from services.messages.sync.servicer import SyncServicer
from services.runtime.access.rooms import RoomsAccess
from services.runtime.bus.port import Bus
from services.runtime.calls.rates import Rate
from services.runtime.clock import Clock
from services.runtime.contract.errors import Unavailable
from services.runtime.contract.validation import Validator
from services.runtime.data.epoch import Epoch
from services.runtime.data.writers import Writers
from services.runtime.erasure.servicer import ErasureServicer
from services.runtime.peers.directory import DirectoryClient
from services.runtime.process.readiness import Check
from services.runtime.process.server import Server, open_server
from services.runtime.streaming.open_streams import spread_delay


@dataclass(frozen=True, slots=True, kw_only=True)
class _Peers:
    """Other services, as this one asks them."""

    access: RoomsAccess
    rooms: RoomsClient
    retention: RetentionClient
    users: DirectoryClient
    names: UsersClient
    files: FilesClient
    # Waited for before anything is served; text flows without files.
    ready: dict[str, Check]


@dataclass(frozen=True, slots=True, kw_only=True)
class _FanOut:
    """What brings the log to those who follow it."""

    hubs: Hubs
    replays: Replays
    announcements: Announcements
    typing: TypingIndicator


@dataclass(frozen=True, slots=True, kw_only=True)
class _ReadStates:
    """Read cursors and unread counts, and what brings them to those who follow them."""

    cursors: Cursors
    feed: ReadStateFeed


@asynccontextmanager
async def build(settings: MessagesSettings, clock: Clock) -> AsyncIterator[Server]:
    """Serve messages for as long as the context is open."""
    retention = Retention(settings.retention_days, settings.limits[limit_pb2.LIMIT_RETENTION_DAYS])
    async with open_server("messages", settings, clock) as server:
        peers = _peers(server)
        epoch = Epoch("messages")
        server.lifetime.run("epoch", epoch.run(server.database, clock, settings.heads_poll_interval_seconds))
        log = LogStore(server.database)
        bus = server.bus()
        read_states = await _read_states(server, settings, bus, epoch, peers, log)
        fan_out = await _fan_out(server, settings, bus, epoch, log)
        lane = connecting(settings.database_url.get_secret_value(), epoch)
        committer = Committer(lane, fan_out.announcements, clock, CommitFigures(server.metrics))
        server.lifetime.run("committer", committer.run())
        measure(server.metrics, committer, fan_out.hubs, clock)
        follow_rooms = _serve_messages(server, settings, peers, log, committer, fan_out, read_states)
        await _serve_devices(server, settings, bus, peers, follow_rooms)
        _end_streams(server, peers, fan_out.hubs, read_states.cursors)
        _sweep(server, settings, retention, peers, fan_out.announcements)
        _erase(server, committer, fan_out.announcements)
        await server.start(peers.access, {**peers.ready, "epoch": epoch.check, "committer": committer.check})
        yield server


def _peers(server: Server) -> _Peers:
    settings = server.settings
    access = server.rooms_access()
    rooms = server.peer("rooms", settings.rooms_address)
    users = server.peer("users", settings.users_address)
    return _Peers(
        access=access,
        rooms=RoomsClient(rooms, server.limits),
        retention=RetentionClient(rooms, server.limits),
        users=DirectoryClient(users),
        names=UsersClient(users, server.limits),
        files=FilesClient(server.peer("files", settings.files_address)),
        ready={"rooms": access.ready, "users": users.check},
    )


async def _read_states(
    server: Server, settings: MessagesSettings, bus: Bus, epoch: Epoch, peers: _Peers, log: LogStore
) -> _ReadStates:
    """Serve cursors and unread counts."""
    store = ReadCursorsStore(server.database)
    states = ReadStatesStore(server.database, without_own_messages=settings.unread_without_own_messages)
    interval = settings.heads_poll_interval_seconds
    cursors = Cursors(
        store,
        peers.rooms,
        server.clock,
        interval=interval,
        # Twice as many as there can be members, so that those who have left hardly take a member's place.
        most=2 * server.limits[limit_pb2.LIMIT_ROOM_MEMBERS],
    )
    epoch.listen(cursors.reset)
    server.lifetime.run("cursors", cursors.run())
    feed = ReadStateFeed(states, store, server.clock, interval=interval)
    epoch.listen(feed.reset)
    server.lifetime.run("read_states", feed.run())
    announcements = CursorAnnouncements(cursors, epoch, bus, server.subject("cursors"), feed.moved)
    await announcements.listen()
    service = ReadStates(store, states, announcements, peers.rooms, peers.access)
    summaries = RoomSummaries(service, peers.rooms, peers.names, log)
    server.add(ReadStatesServicer(service, summaries, peers.rooms, peers.users, server.page_tokens, server.limits))
    return _ReadStates(cursors=cursors, feed=feed)


async def _fan_out(server: Server, settings: MessagesSettings, bus: Bus, epoch: Epoch, log: LogStore) -> _FanOut:
    most_replayed = server.limits[limit_pb2.LIMIT_RESUME_MESSAGES]
    hubs = Hubs(
        log,
        server.clock,
        heads_interval=settings.heads_poll_interval_seconds,
        heartbeat_interval=settings.heartbeat_interval_seconds,
        most_replayed=most_replayed,
        on_loss=lambda: epoch.end(server.database),
        deliveries=Deliveries(server.spans, settings.slow_call_seconds),
    )
    epoch.listen(hubs.reset)
    server.lifetime.run("hubs", hubs.run())
    server.lifetime.on_drain(lambda: hubs.end_all(_shutting_down))
    announcements = Announcements(hubs, epoch, bus, server.subject("log"), server.subject("spans"))
    await announcements.listen()
    typing = TypingIndicator(hubs, bus, server.subject("typing"), server.clock)
    await typing.listen()
    replays = Replays(TailsStore(server.database), hubs, epoch, server.clock, most=most_replayed)
    return _FanOut(hubs=hubs, replays=replays, announcements=announcements, typing=typing)


def _serve_messages(
    server: Server,
    settings: MessagesSettings,
    peers: _Peers,
    log: LogStore,
    committer: Committer,
    fan_out: _FanOut,
    read_states: _ReadStates,
) -> FollowRooms:
    access = peers.access
    senders = HeaviestSenders(server.clock)
    server.tell("/senders", senders.told)
    messages = Messages(
        store=log,
        committer=committer,
        repetitions=Repetitions(server.database),
        hubs=fan_out.hubs,
        replays=fan_out.replays,
        cursors=read_states.cursors,
        access=access,
        freshness=access.freshness,
        ending_spread=settings.access_ending_spread_seconds,
        senders=senders,
        clock=server.clock,
    )
    follow_rooms = FollowRooms(
        hubs=fan_out.hubs,
        log=log,
        replays=fan_out.replays,
        cursors=read_states.cursors,
        read_states=read_states.feed,
        access=access,
        rooms=peers.rooms,
        freshness=access.freshness,
        clock=server.clock,
        ending_spread=settings.access_ending_spread_seconds,
        retry_interval=settings.retry_interval_seconds,
        most_rooms=server.limits[limit_pb2.LIMIT_ROOMS_PER_SUBSCRIPTION],
    )
    references = ReferenceStore(server.database)
    attachments = Attachments(peers.files, references)
    preparation = Preparation(peers.users, attachments, access)
    server.add(
        MessagesServicer(
            messages,
            follow_rooms,
            BatchSend(messages, preparation, server.limits),
            _send_streams(server, messages, preparation),
            attachments,
            fan_out.typing,
            peers.users,
            server.page_tokens,
            server.limits,
        )
    )
    server.add(ReferencesServicer(references))
    return follow_rooms


async def _serve_devices(
    server: Server, settings: MessagesSettings, bus: Bus, peers: _Peers, follow_rooms: FollowRooms
) -> None:
    """Serve one stream per device: rooms, and what rooms and users tell all devices together."""
    rooms = server.peer("rooms", settings.rooms_address)
    users = server.peer("users", settings.users_address)
    user_feed = Feed(
        rooms,
        UserFeedServiceStub(rooms.channel).FollowUsers,
        FollowUsersRequest,
        server.clock,
        retry_interval=settings.retry_interval_seconds,
    )
    presence_feed = Feed(
        users,
        PresenceFeedServiceStub(users.channel).FollowPresence,
        FollowPresenceRequest,
        server.clock,
        retry_interval=settings.retry_interval_seconds,
    )
    server.lifetime.run("user_feed", user_feed.run())
    server.lifetime.run("presence_feed", presence_feed.run())
    devices = Devices(
        follow_rooms=follow_rooms,
        users=user_feed,
        presence=presence_feed,
        freshness=peers.access.freshness,
        clock=server.clock,
        most_state_bytes=settings.device_state_bytes,
    )
    servicer = SyncServicer(devices, bus, server.subject("sync"), server.clock, server.limits, server.find_key)
    await servicer.commands.listen()
    server.add(servicer)


def _send_streams(server: Server, messages: Messages, preparation: Preparation) -> SendStreams:
    per_second = server.limits[limit_pb2.LIMIT_SENDS_PER_USER_PER_SECOND]
    parts = Parts(
        messages=messages,
        preparation=preparation,
        validator=Validator(server.limits),
        rate=Rate(per_second, server.clock),
        clock=server.clock,
        sampling=Sampling(server.spans, server.settings.trace_percent),
    )
    streams = SendStreams(parts, heartbeat_interval=server.settings.heartbeat_interval_seconds)
    server.lifetime.run("send_streams", streams.run())
    server.lifetime.on_drain(lambda: streams.end_all(_shutting_down))
    return streams


def _end_streams(server: Server, peers: _Peers, hubs: Hubs, cursors: Cursors) -> None:
    """End the streams of those who may not follow a room any more."""
    access = peers.access
    retry_interval = server.settings.retry_interval_seconds
    watch = StreamAccess(access, hubs, access.freshness, server.clock, retry_interval=retry_interval)
    access.listen(watch)
    access.listen(cursors)
    server.lifetime.run("access_watch", watch.run())


def _sweep(
    server: Server, settings: MessagesSettings, retention: Retention, peers: _Peers, announcements: Announcements
) -> None:
    """Remove what is older than it may become."""
    sweeper = Sweeper(
        RetentionStore(server.database),
        peers.retention,
        retention,
        server.clock,
        on_swept=announcements.unknown,
        interval=settings.retention_sweep_interval_seconds,
        pause=settings.retention_sweep_pause_seconds,
    )
    retention_figures.measure(server.metrics, sweeper)
    server.lifetime.run("sweeper", sweeper.run())


def _erase(server: Server, committer: Committer, announcements: Announcements) -> None:
    """Remove what is deleted, and tell what there is of a user."""
    database, clock = server.database, server.clock
    rooms = MessagesEraser(ErasureStore(database), Writers(database, clock, UNLOCKED), announcements.unknown)
    store, references = UserErasureStore(database), ReferenceStore(database)
    users = UserEraser(store, references, Writers(database, clock, WRITTEN), committer, clock)
    exporter = UserExporter(UserExportStore(database))
    server.add(ErasureServicer(room=rooms.erase_room, user=users.erase_user, export=exporter.export_user))


def _shutting_down() -> Unavailable:
    return shutting_down(spread_delay())
