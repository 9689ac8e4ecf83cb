"""Stand-ins for rooms and users on a real socket: they answer from a dict, and a test changes the dict."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid5

import grpc
from chatkit.internal.access.v1 import access_service_pb2 as access_pb2
from chatkit.internal.access.v1 import access_service_pb2_grpc
from chatkit.internal.directory.v1 import directory_service_pb2 as directory_pb2
from chatkit.internal.directory.v1 import directory_service_pb2_grpc
from google.protobuf.message import Message

from services.runtime.errors import DETAILS_KEY, ChatkitError, NotFound, PermissionDenied, to_status

_NAMESPACE = UUID(int=1)


def uid_of(name: str) -> UUID:
    """Return the uid that the stand-ins give an id."""
    return uuid5(_NAMESPACE, name)


async def _refuse(context: Any, error: ChatkitError) -> None:
    await context.abort(error.code, error.message, ((DETAILS_KEY, to_status(error).SerializeToString()),))


@dataclass
class Peers(access_service_pb2_grpc.AccessServiceServicer, directory_service_pb2_grpc.DirectoryServiceServicer):
    """Rooms and users at once: the members of each room, and who exists."""

    members: dict[str, set[str]] = field(default_factory=dict)
    users: set[str] = field(default_factory=set)
    checks: int = 0
    version: int = 1
    address: str = ""
    watchers: set[asyncio.Queue[access_pb2.AccessEvent]] = field(default_factory=set)
    watched: asyncio.Event = field(default_factory=asyncio.Event)
    # Set to hold every answer back until it is cleared.
    hold: asyncio.Event | None = None

    async def CheckAccess(self, request: access_pb2.CheckAccessRequest, context: Any) -> Message:
        self.checks += 1
        if self.hold is not None:
            await self.hold.wait()
        members = self.members.get(request.room_id)
        is_member = members is not None and request.user_id in members
        if request.superuser and members is None:
            await _refuse(context, NotFound("ROOM_NOT_FOUND", "no such room", metadata={"room_id": request.room_id}))
        if not is_member and not request.superuser:
            await _refuse(
                context, PermissionDenied("ROOM_ACCESS_DENIED", "no access", metadata={"room_id": request.room_id})
            )
        return access_pb2.CheckAccessResponse(
            room_uid=uid_of(request.room_id).bytes,
            user_uid=uid_of(request.user_id).bytes if is_member else b"",
            version=self.version,
        )

    async def WatchAccess(
        self, _request: access_pb2.WatchAccessRequest, _context: Any
    ) -> AsyncIterator[access_pb2.WatchAccessResponse]:
        queue: asyncio.Queue[access_pb2.AccessEvent] = asyncio.Queue(100)
        self.watchers.add(queue)
        heartbeat = access_pb2.AccessEvent(version=self.version, heartbeat=access_pb2.AccessHeartbeat())
        yield access_pb2.WatchAccessResponse(events=[heartbeat])
        self.watched.set()
        try:
            while True:
                yield access_pb2.WatchAccessResponse(events=[await queue.get()])
        finally:
            self.watchers.discard(queue)

    async def ResolveUsers(self, request: directory_pb2.ResolveUsersRequest, _context: Any) -> Message:
        known = [user_id for user_id in request.user_ids if user_id in self.users]
        return directory_pb2.ResolveUsersResponse(
            users=[directory_pb2.ResolvedUser(id=user_id, uid=uid_of(user_id).bytes) for user_id in known]
        )

    def remove(self, room_id: str, user_id: str, *, tell: bool = True) -> None:
        """End a membership; without `tell` nobody who watches hears of it."""
        self.members[room_id].discard(user_id)
        self.version += 1
        change = access_pb2.MemberChange(room_uid=uid_of(room_id).bytes, user_uid=uid_of(user_id).bytes)
        if tell:
            self.tell(access_pb2.AccessEvent(version=self.version, member_removed=change))

    def tell(self, event: access_pb2.AccessEvent) -> None:
        """Send an event to everyone who watches."""
        for queue in self.watchers:
            queue.put_nowait(event)


@asynccontextmanager
async def serve(peers: Peers, address: str = "127.0.0.1:0") -> AsyncIterator[Peers]:
    """Serve the stand-ins on a port of their own."""
    server = grpc.aio.server()
    access_service_pb2_grpc.add_AccessServiceServicer_to_server(peers, server)
    directory_service_pb2_grpc.add_DirectoryServiceServicer_to_server(peers, server)
    port = server.add_insecure_port(address)
    await server.start()
    peers.address = f"127.0.0.1:{port}"
    try:
        yield peers
    finally:
        await server.stop(None)
