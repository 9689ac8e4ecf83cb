"""The composition root: the only place that names the concrete parts of the service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import uuid4

from chatkit.contract.v1 import limit_pb2

from services.rooms.access.service import Access
from services.rooms.access.servicer import AccessServicer
from services.rooms.access.store import AccessStore
from services.rooms.deletions.service import RoomDeletions
from services.rooms.deletions.store import RoomDeletionStore
from services.rooms.deletions.users import UserEraser
from services.rooms.deletions.users_store import WRITTEN, UserErasureStore
from services.rooms.descriptions_servicer import DescriptionsServicer
from services.rooms.export.exporter import UserExporter
from services.rooms.export.store import UserExportStore
from services.rooms.model import Change
from services.rooms.peers import UsersClient
from services.rooms.quotas import Quotas
from services.rooms.recorded_changes import change_log
from services.rooms.retention_servicer import RetentionServicer
from services.rooms.roles.service import Roles
from services.rooms.roles.servicer import RolesServicer
from services.rooms.roles.store import RoleStore
from services.rooms.roll_call.service import RollCall
from services.rooms.roll_call.store import RollCallStore
from services.rooms.service import Rooms, Visits
from services.rooms.servicer import MembershipsServicer, RoomsServicer
from services.rooms.settings import RoomsSettings
from services.rooms.store import RoomStore
from services.rooms.tables import deletion_tables
from services.rooms.user_streams.access import UserAccess
from services.rooms.user_streams.feed import UserFeeds
from services.rooms.user_streams.index import UserIndex
from services.rooms.user_streams.missed_store import MissedStore
from services.rooms.user_streams.opening import UserOpenings
from services.rooms.user_streams.position import Present
from services.rooms.user_streams.servicer import UserFeedServicer
from services.rooms.user_streams.store import UserStateStore
from services.rooms.user_streams.streams import UserStreams
from services.rooms.user_streams.subscription import UserSubscription
from services.rooms.user_streams.watch import UserWatch
from services.rooms.views_store import RoomViewStore
from services.runtime.clock import Clock
from services.runtime.contract.policies import permissions
from services.runtime.data.change_feed import ChangeFeed
from services.runtime.data.writers import Writers
from services.runtime.erasure.client import ErasureClient
from services.runtime.erasure.deletions import Deletions
from services.runtime.erasure.figures import measure_deletions
from services.runtime.erasure.listing import DeletionListing
from services.runtime.erasure.servicer import ErasureServicer
from services.runtime.erasure.store import DeletionStore
from services.runtime.peers.directory import DirectoryClient
from services.runtime.process.server import Server, open_server
from services.runtime.steps import Leisure

# A replica that has not seen a change after so many looks begins anew.
_SETTLED_LOOKS = 10


@asynccontextmanager
async def build(settings: RoomsSettings, clock: Clock) -> AsyncIterator[Server]:
    """Serve rooms for as long as the context is open."""
    async with open_server("rooms", settings, clock) as server:
        users_peer = server.peer("users", settings.users_address)
        directory = DirectoryClient(users_peer)
        most_members = server.limits[limit_pb2.LIMIT_ROOM_MEMBERS]
        deletion_store = DeletionStore(server.database, deletion_tables, ("rooms", "messages", "files"))
        store = RoomStore(server.database, deletion_store, most_members, Quotas(server.limits))
        views = RoomViewStore(server.database)
        feed = await server.change_feed(change_log, settings.access_poll_interval_seconds)
        access_store = AccessStore(server.database)
        access = Access(access_store)
        server.lifetime.run("access", access.run())
        rooms = Rooms(store, views, directory, feed, most_members=most_members, new_uid=uuid4)
        roles = Roles(
            RoleStore(server.database),
            directory,
            feed,
            room_permissions=[permission.name for permission in permissions() if permission.in_rooms],
        )
        roll_call = RollCall(
            RollCallStore(server.database),
            directory,
            feed,
            clock,
            at_once=server.limits[limit_pb2.LIMIT_USERS_PER_GET],
            retry_interval=settings.retry_interval_seconds,
        )
        server.lifetime.run("roll_call", roll_call.run())
        users = UsersClient(users_peer, server.limits)
        server.lifetime.run("users_read", users.run())
        openings = _user_streams(server, settings, feed, access, users, roll_call)
        jobs = _deletions(server, settings, deletion_store)
        deletions = RoomDeletions(RoomDeletionStore(server.database, deletion_store), jobs, access_store, feed)
        listing = DeletionListing(jobs, server.page_tokens, server.limits)
        server.add(RoomsServicer(rooms, access, deletions, listing, openings, server.page_tokens, server.limits))
        server.add(
            MembershipsServicer(
                rooms, Visits(store, views, access_store, directory, feed), server.page_tokens, server.limits
            )
        )
        server.add(RolesServicer(roles, server.page_tokens, server.limits))
        server.add(AccessServicer(access, feed, server.page_tokens, server.limits))
        server.add(RetentionServicer(views))
        server.add(DescriptionsServicer(views))
        eraser = UserEraser(
            UserErasureStore(server.database),
            store,
            Writers(server.database, clock, WRITTEN),
            feed,
            clock,
            settle=timedelta(seconds=_SETTLED_LOOKS * settings.access_poll_interval_seconds),
        )
        exporter = UserExporter(UserExportStore(server.database))
        server.add(ErasureServicer(user=eraser.erase_user, export=exporter.export_user))
        server.lifetime.run("tokens_forgotten", eraser.forget_tokens())
        await server.start(access, {"users": users_peer.check})
        yield server


def _deletions(server: Server, settings: RoomsSettings, store: DeletionStore) -> Deletions:
    """Run the deletions of rooms."""
    messages = ErasureClient(server.peer("messages", settings.messages_address))
    files = ErasureClient(server.peer("files", settings.files_address))
    deletions = Deletions(
        store,
        {"messages": messages.erase_room, "files": files.erase_room},
        server.clock,
        interval=settings.deletions_poll_interval_seconds,
    )
    measure_deletions(server.metrics, deletions)
    server.lifetime.run("deletions", deletions.run())
    return deletions


def _user_streams(
    server: Server,
    settings: RoomsSettings,
    feed: ChangeFeed[Change],
    access: Access,
    users: UsersClient,
    roll_call: RollCall,
) -> UserOpenings:
    """Run what SubscribeUser stands on."""
    clock, retry_interval = server.clock, settings.retry_interval_seconds
    leisure, present = Leisure(), Present()
    index: UserIndex[UserSubscription] = UserIndex(present.of_change)
    store = UserStateStore(server.database, leisure)
    user_access = UserAccess(access, index, clock, retry_interval=retry_interval)
    streams = UserStreams(
        feed,
        store,
        user_access,
        index,
        present,
        clock,
        heartbeat_interval=settings.heartbeat_interval_seconds,
        retry_interval=retry_interval,
    )
    watch = UserWatch(users, store, streams, clock, retry_interval=retry_interval, on_epoch=roll_call.hear)
    server.lifetime.run("user_streams", streams.run())
    server.lifetime.run("user_access", user_access.run())
    server.lifetime.run("user_watch", watch.run())
    most_state_bytes = settings.user_state_bytes
    missed = MissedStore(server.database, store, leisure)
    server.lifetime.run("users_missed", missed.run())
    openings = UserOpenings(
        store,
        missed,
        streams,
        watch,
        user_access,
        users,
        clock,
        leisure,
        most_state_bytes=most_state_bytes,
    )
    feeds = UserFeeds(openings, streams, clock, server.limits)
    server.lifetime.run("user_feeds", feeds.run())
    # Feeds before those who follow on them, of whom each would else be told.
    server.lifetime.on_drain(feeds.end_all)
    server.lifetime.on_drain(streams.end_all)
    server.add(UserFeedServicer(feeds))
    return openings
