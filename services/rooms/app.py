"""The composition root: the only place that names the concrete parts of the service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from chatkit.contract.v1 import limit_pb2
from chatkit.internal.access.v1 import access_service_pb2
from chatkit.rooms.v1 import memberships_service_pb2, roles_service_pb2, rooms_service_pb2

from services.rooms.access import Access
from services.rooms.access_servicer import AccessServicer
from services.rooms.access_store import AccessStore
from services.rooms.changes import ChangeStore
from services.rooms.feed import ChangeFeed
from services.rooms.peers import Users
from services.rooms.roles import Roles
from services.rooms.roles_servicer import RolesServicer
from services.rooms.roles_store import RoleStore
from services.rooms.service import Rooms, Visits
from services.rooms.servicer import MembershipsServicer, RoomsServicer
from services.rooms.store import RoomStore
from services.runtime.clock import Clock
from services.runtime.contract import permissions
from services.runtime.server import Server, open_server
from services.runtime.settings import Settings


@asynccontextmanager
async def build(settings: Settings, clock: Clock) -> AsyncIterator[Server]:
    """Serve rooms for as long as the context is open."""
    async with open_server("rooms", settings, clock) as server:
        users_peer = server.peer("users", settings.users_address)
        users = Users(users_peer)
        most_members = server.limits[limit_pb2.LIMIT_ROOM_MEMBERS]
        store = RoomStore(server.database, most_members)
        bus, subject = server.bus(), server.subject("changes")
        feed = ChangeFeed(
            ChangeStore(server.database),
            clock,
            poll_interval=settings.access_poll_interval_seconds,
            heartbeat_interval=settings.access_heartbeat_interval_seconds,
            kept=settings.access_changes_kept,
            tell_others=lambda: bus.publish(subject, b""),
        )
        await bus.subscribe(subject, feed)
        access_store = AccessStore(server.database)
        access = Access(access_store)
        rooms = Rooms(store, users, feed, most_members=most_members, new_uid=uuid4)
        roles = Roles(
            RoleStore(server.database),
            users,
            feed,
            room_permissions=[permission.name for permission in permissions() if permission.in_rooms],
        )
        server.use_access(access)
        server.add(
            rooms_service_pb2.DESCRIPTOR.services_by_name["RoomsService"],
            RoomsServicer(rooms, server.page_tokens, server.limits),
        )
        server.add(
            memberships_service_pb2.DESCRIPTOR.services_by_name["MembershipsService"],
            MembershipsServicer(rooms, Visits(store, access_store, users, feed), server.page_tokens, server.limits),
        )
        server.add(
            roles_service_pb2.DESCRIPTOR.services_by_name["RolesService"],
            RolesServicer(roles, server.page_tokens, server.limits),
        )
        server.add(
            access_service_pb2.DESCRIPTOR.services_by_name["AccessService"],
            AccessServicer(access, feed, server.page_tokens, server.limits),
        )
        server.run("feed", feed.run())
        server.on_drain(feed.end)
        await server.start({"users": users_peer.check})
        yield server
