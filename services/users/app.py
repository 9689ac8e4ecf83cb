"""The composition root: the only place that names the concrete parts of the service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import uuid4

from chatkit.contract.v1 import limit_pb2

from services.runtime.access.rooms import RoomsAccess
from services.runtime.clock import Clock
from services.runtime.contract.errors import Unavailable
from services.runtime.data.change_feed import ChangeFeed
from services.runtime.data.coalesced_reads import CoalescedReads
from services.runtime.erasure.client import ErasureClient
from services.runtime.erasure.deletions import Deletions, Erase
from services.runtime.erasure.figures import measure_deletions
from services.runtime.erasure.listing import DeletionListing
from services.runtime.erasure.store import DeletionStore
from services.runtime.process.server import Server, open_server
from services.runtime.streaming.open_streams import spread_delay
from services.users.deletions.service import OwnEraser, UserDeletions
from services.users.deletions.store import UserDeletionStore
from services.users.directory_servicer import DirectoryServicer
from services.users.export.service import UserExports
from services.users.export.store import UserExportStore
from services.users.model import Change
from services.users.presence import figures
from services.users.presence.access import PresenceAccess
from services.users.presence.asking import AskedTogether
from services.users.presence.feed_servicer import PresenceFeedServicer
from services.users.presence.followers import PresenceFeeds
from services.users.presence.hub import PresenceHub
from services.users.presence.service import PresenceStreams
from services.users.presence.servicer import PresenceServicer
from services.users.presence.sessions import Sessions
from services.users.presence.store import PresenceStore
from services.users.presence.watching import Watching
from services.users.recorded_changes import change_log
from services.users.service import Users
from services.users.servicer import UsersServicer
from services.users.settings import UsersSettings
from services.users.store import UserStore
from services.users.tables import deletion_tables

# A replica that has not seen a change after so many looks begins anew.
_SETTLED_LOOKS = 2


@asynccontextmanager
async def build(settings: UsersSettings, clock: Clock) -> AsyncIterator[Server]:
    """Serve users for as long as the context is open."""
    async with open_server("users", settings, clock) as server:
        access = server.rooms_access()
        feed = await server.change_feed(change_log, settings.changes_poll_interval_seconds)
        deletions = DeletionStore(server.database, deletion_tables, ("users", "rooms", "messages", "files"))
        store = UserStore(server.database, deletions)
        users = Users(store, feed, new_uid=uuid4)
        server.add(_servicer(server, settings, users, store, deletions, feed))
        streams, feeds = _presence(server, settings, access, feed)
        server.add(PresenceServicer(streams))
        server.add(PresenceFeedServicer(feeds, server.limits))
        server.add(DirectoryServicer(users, feed))
        # Rooms waits for users, so users does not wait for rooms: where calls go to ready processes only, neither would
        # ever be ready.
        await server.start(access, {})
        yield server


def _servicer(
    server: Server,
    settings: UsersSettings,
    users: Users,
    user_store: UserStore,
    deletions: DeletionStore,
    feed: ChangeFeed[Change],
) -> UsersServicer:
    """Serve users, and run their deletions and exports."""
    store = UserDeletionStore(server.database, deletions)
    settle = timedelta(seconds=_SETTLED_LOOKS * settings.changes_poll_interval_seconds)
    addresses = {
        "rooms": settings.rooms_address,
        "messages": settings.messages_address,
        "files": settings.files_address,
    }
    others = {name: ErasureClient(server.peer(name, address)) for name, address in addresses.items()}
    erasers: dict[str, Erase] = {name: other.erase_user for name, other in others.items()}
    own = OwnEraser(store, server.clock, settle=settle)
    jobs = Deletions(
        deletions,
        {**erasers, "users": own.erase},
        server.clock,
        interval=settings.deletions_poll_interval_seconds,
    )
    measure_deletions(server.metrics, jobs)
    server.lifetime.run("deletions", jobs.run())
    listing = DeletionListing(jobs, server.page_tokens, server.limits)
    exporters = [other.export_user for other in others.values()]
    exports = UserExports(user_store, UserExportStore(server.database), exporters)
    return UsersServicer(users, UserDeletions(store, jobs, feed), exports, listing, server.page_tokens, server.limits)


def _presence(
    server: Server, settings: UsersSettings, access: RoomsAccess, feed: ChangeFeed[Change]
) -> tuple[PresenceStreams, PresenceFeeds]:
    clock = server.clock
    store = PresenceStore(
        server.database,
        uuid4(),
        lease=timedelta(seconds=settings.presence_lease_seconds),
        grace=timedelta(seconds=settings.presence_grace_seconds),
    )
    sessions = Sessions(
        store,
        clock,
        renewal_interval=settings.presence_renewal_interval_seconds,
        reaping_interval=settings.presence_reaping_interval_seconds,
        retry_interval=settings.retry_interval_seconds,
        changed=feed.nudge,
    )
    hub = PresenceHub(
        feed,
        clock,
        heartbeat_interval=settings.heartbeat_interval_seconds,
        retry_interval=settings.retry_interval_seconds,
    )
    figures.measure(server.metrics, sessions, hub)
    asked = AskedTogether(access, most_users=server.limits[limit_pb2.LIMIT_USERS_PER_GET])
    watch = PresenceAccess(asked, hub, clock, retry_interval=settings.retry_interval_seconds)
    access.listen(watch)
    known, presences = CoalescedReads(store.resolve), CoalescedReads(store.read)
    server.lifetime.run("presence_sessions", sessions.run())
    server.lifetime.run("presence_hub", hub.run())
    server.lifetime.run("presence_asked", asked.run())
    server.lifetime.run("presence_access", watch.run())
    server.lifetime.run("presence_users", known.run())
    server.lifetime.run("presence_reads", presences.run())
    server.lifetime.on_drain(lambda: hub.end_all(_shutting_down))
    watching = Watching(known, presences, hub, clock)
    return (
        PresenceStreams(watching=watching, sessions=sessions, hub=hub, access=watch, clock=clock),
        PresenceFeeds(watching=watching, sessions=sessions, hub=hub, access=watch, limits=server.limits, clock=clock),
    )


def _shutting_down() -> Unavailable:
    # The delay is within the grace, so that whoever comes back was never away.
    message = "the process is shutting down: subscribe elsewhere"
    return Unavailable("SHUTTING_DOWN", message, retry_after=spread_delay())
