"""Stand-ins for rooms and users on a real socket: they answer from a dict, and a test changes the dict."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID, uuid5

import grpc
from chatkit.internal.access.v1 import access_service_pb2 as access_pb2
from chatkit.internal.access.v1 import access_service_pb2_grpc
from chatkit.internal.descriptions.v1 import descriptions_service_pb2 as descriptions_pb2
from chatkit.internal.descriptions.v1 import descriptions_service_pb2_grpc
from chatkit.internal.directory.v1 import directory_service_pb2 as directory_pb2
from chatkit.internal.directory.v1 import directory_service_pb2_grpc
from chatkit.internal.retention.v1 import retention_service_pb2 as retention_pb2
from chatkit.internal.retention.v1 import retention_service_pb2_grpc
from chatkit.rooms.v1 import role_pb2, room_pb2
from google.protobuf.message import Message

from services.runtime.access.port import RoleKey
from services.runtime.clock import Clock, SystemClock
from services.runtime.contract.errors import (
    DETAILS_KEY,
    ChatkitError,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Unavailable,
    Unimplemented,
    number_of,
    to_status,
)
from services.runtime.ids import RoomUid, UserUid

_NAMESPACE = UUID(int=1)


def uid_of(name: str) -> UUID:
    """Return the uid that the stand-ins give an id."""
    return uuid5(_NAMESPACE, name)


def room_uid_of(room_id: str) -> RoomUid:
    """Return the uid of a room, made from its id."""
    return RoomUid(uid_of(room_id))


def user_uid_of(user_id: str) -> UserUid:
    """Return the uid of a user, made from their id."""
    return UserUid(uid_of(user_id))


@dataclass
class Peers(
    access_service_pb2_grpc.AccessServiceServicer,
    descriptions_service_pb2_grpc.DescriptionsServiceServicer,
    directory_service_pb2_grpc.DirectoryServiceServicer,
    retention_service_pb2_grpc.RetentionServiceServicer,
):
    """Rooms and users at once: the members of each room, and who exists."""

    members: dict[str, set[str]] = field(default_factory=dict)
    users: set[str] = field(default_factory=set)
    # Permissions that users do not have; all others they have.
    denied: dict[str, set[str]] = field(default_factory=dict)
    # Those that they do not have in a room, by user and room.
    denied_in: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    # The roles that grants depend on, by user.
    roles: dict[str, list[RoleKey]] = field(default_factory=dict)
    # What heartbeats are dated by.
    clock: Clock = field(default_factory=SystemClock)
    heartbeat_seconds: float = 0.02
    # While it is set, no heartbeats are sent.
    silent: bool = False
    # While it is set, questions are answered with DATABASE_UNAVAILABLE.
    unavailable: bool = False
    # Set to answer as rooms did before roles.
    is_of_the_release_before: bool = False
    # Set to answer as rooms did before it could tell members from others; and how often it was asked to.
    is_without_filter: bool = False
    filtered: int = 0
    # Set to answer as rooms did before it could tell them for many rooms at once; and how many each question was about.
    is_without_batch_filter: bool = False
    batches_filtered: list[int] = field(default_factory=list)
    # Set to tell of memberships as rooms did before it named their rooms; and how often it was asked to list rooms.
    is_without_room_ids: bool = False
    listed: int = 0
    # The retention of rooms in days, by id; rooms that are not in it have the deployment's.
    retention: dict[str, int] = field(default_factory=dict)
    # Set to answer as rooms did before retention.
    knows_no_retention: bool = False
    # How often somebody asked for the retention of rooms.
    retention_asked: int = 0
    # What rooms are beside their ids, and the users' names; a direct room has its two users.
    rooms: dict[str, room_pb2.Room] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    # Set to answer as rooms did before it described rooms, or as it does about so many rooms at once.
    is_without_descriptions: bool = False
    most_described: int = 100
    # Rooms that users have left between being listed and being described.
    left_meanwhile: set[str] = field(default_factory=set)
    # While it is set, nobody is told who exists, and what users are called.
    users_unavailable: bool = False
    # How often somebody asked for descriptions, and for users.
    described: int = 0
    resolved: int = 0
    # How often somebody asked for access, about whom, and how many times at once at the most.
    checks: int = 0
    asked_about: Counter[str] = field(default_factory=Counter)
    # About how many rooms each question about several was.
    batches: list[int] = field(default_factory=list)
    # How many streams of changes are open.
    watching: int = 0
    most_at_once: int = 0
    version: int = 1
    address: str = ""
    watched: asyncio.Event = field(default_factory=asyncio.Event)
    # Set to hold every answer back, once it is made, until the event is set.
    hold: asyncio.Event | None = None
    _asking: int = 0
    # How many users each question about several was for.
    asked_together: list[int] = field(default_factory=list)
    has_no_batch_of_users: bool = False
    # Every event that was told; who watches reads on from its version.
    _events: list[access_pb2.AccessEvent] = field(default_factory=list)
    _told: asyncio.Event = field(default_factory=asyncio.Event)

    async def CheckAccess(self, request: access_pb2.CheckAccessRequest, context: Any) -> Message:
        self.checks += 1
        self.asked_about[request.user_id] += 1
        self._asking += 1
        self.most_at_once = max(self.most_at_once, self._asking)
        try:
            answer = self._answer(request)
            if self.hold is not None:
                await self.hold.wait()
        finally:
            self._asking -= 1
        if isinstance(answer, ChatkitError):
            await _refuse(context, answer)
        return cast("Message", answer)

    def _answer(self, request: access_pb2.CheckAccessRequest) -> Message | ChatkitError:
        if self.unavailable:
            return Unavailable("DATABASE_UNAVAILABLE", "the database can't be reached")
        if self.is_of_the_release_before and not request.room_id:
            return InvalidArgument("FIELD_REQUIRED", "room_id: must not be empty", metadata={"field": "room_id"})
        members = self.members.get(request.room_id)
        is_member = members is not None and request.user_id in members
        metadata = {"room_id": request.room_id}
        if request.room_id and request.superuser and members is None:
            return NotFound("ROOM_NOT_FOUND", "no such room", metadata=metadata)
        if request.room_id and not is_member and not request.superuser:
            return PermissionDenied("ROOM_ACCESS_DENIED", "no access", metadata=metadata)
        if request.permission in self._denied(request.user_id, request.room_id) and not request.superuser:
            metadata = {"permission": request.permission}
            return PermissionDenied("PERMISSION_MISSING", "no role grants it", metadata=metadata)
        roles = self.roles.get(request.user_id, [(role_pb2.ROLE_SCOPE_GLOBAL, "default")])
        return access_pb2.CheckAccessResponse(
            room_uid=uid_of(request.room_id).bytes if request.room_id else b"",
            user_uid=uid_of(request.user_id).bytes if is_member else b"",
            version=self.version,
            roles=[access_pb2.RoleName(scope=cast("Any", scope), name=name) for scope, name in roles],
        )

    def _denied(self, user_id: str, room_id: str) -> set[str]:
        return self.denied.get(user_id, set()) | self.denied_in.get((user_id, room_id), set())

    async def ListRoomsOf(self, request: access_pb2.ListRoomsOfRequest, _context: Any) -> Message:
        self.listed += 1
        after = request.page_token.removeprefix("after ")
        who, permission = request.user_id, request.permission
        rooms = sorted(
            room_id
            for room_id, members in self.members.items()
            if who in members and (not permission or permission not in self._denied(who, room_id))
        )
        page = [room_id for room_id in rooms if room_id > after][: request.page_size]
        response = access_pb2.ListRoomsOfResponse(version=self.version)
        for room_id in page:
            response.rooms.add(room_id=room_id, room_uid=uid_of(room_id).bytes, user_uid=uid_of(request.user_id).bytes)
        if page and page[-1] != rooms[-1]:
            response.next_page_token = f"after {page[-1]}"
        return response

    async def FilterMembers(self, request: access_pb2.FilterMembersRequest, context: Any) -> Message:
        self.filtered += 1
        if self.is_without_filter:
            await _refuse(context, Unimplemented("METHOD_NOT_FOUND", "there is no such method here"))
        members = self.members.get(request.room_id, set())
        return access_pb2.FilterMembersResponse(
            user_uids=[uid_of(user_id).bytes for user_id in request.user_ids if user_id in members]
        )

    async def BatchFilterMembers(self, request: access_pb2.BatchFilterMembersRequest, context: Any) -> Message:
        if self.is_without_filter or self.is_without_batch_filter:
            await _refuse(context, Unimplemented("METHOD_NOT_FOUND", "there is no such method here"))
        self.batches_filtered.append(len(request.rooms))
        members = {uid_of(name).bytes: {uid_of(one).bytes for one in ids} for name, ids in self.members.items()}
        response = access_pb2.BatchFilterMembersResponse()
        for room in request.rooms:
            of_room = [uid for uid in room.user_uids if uid in members.get(room.room_uid, ())]
            response.rooms.add(room_uid=room.room_uid, user_uids=of_room)
        return response

    async def BatchCheckAccess(self, request: access_pb2.BatchCheckAccessRequest, context: Any) -> Message:
        self.batches.append(len(request.room_ids))
        if self.unavailable:
            await _refuse(context, Unavailable("DATABASE_UNAVAILABLE", "the database can't be reached"))
        response = access_pb2.BatchCheckAccessResponse()
        for room_id in request.room_ids:
            answer = self._answer(
                access_pb2.CheckAccessRequest(
                    room_id=room_id,
                    user_id=request.user_id,
                    permission=request.permission,
                    superuser=request.superuser,
                )
            )
            if isinstance(answer, ChatkitError):
                response.answers.add(refusal=number_of(answer.reason))
            else:
                response.answers.add(granted=cast("Any", answer))
        if self.hold is not None:
            await self.hold.wait()
        return response

    async def BatchCheckUsers(self, request: access_pb2.BatchCheckUsersRequest, context: Any) -> Message:
        self.asked_together.append(len(request.user_ids))
        self.asked_about.update(request.user_ids)
        if self.is_of_the_release_before or self.has_no_batch_of_users:
            await _refuse(context, Unimplemented("METHOD_NOT_FOUND", "there is no such method here"))
        response = access_pb2.BatchCheckUsersResponse()
        for user_id in request.user_ids:
            answer = self._answer(access_pb2.CheckAccessRequest(user_id=user_id, permission=request.permission))
            if isinstance(answer, Unavailable):
                await _refuse(context, answer)
            if isinstance(answer, ChatkitError):
                response.answers.add(refusal=number_of(answer.reason))
            else:
                response.answers.add(granted=cast("access_pb2.CheckAccessResponse", answer))
        return response

    async def WatchAccess(
        self, request: access_pb2.WatchAccessRequest, _context: Any
    ) -> AsyncIterator[access_pb2.WatchAccessResponse]:
        self.watching += 1
        try:
            async for events in self._follow(request.after_version or self.version):
                yield access_pb2.WatchAccessResponse(events=events)
        finally:
            self.watching -= 1

    async def _follow(self, known: int) -> AsyncIterator[list[access_pb2.AccessEvent]]:
        opened_at = self.clock.monotonic()
        place = next((n for n, event in enumerate(self._events) if event.version > known), len(self._events))
        while True:
            told = self._told
            if events := self._events[place:]:
                place += len(events)
                yield events
            elif not self.silent:
                heartbeat = access_pb2.AccessHeartbeat(elapsed_ms=round((self.clock.monotonic() - opened_at) * 1000))
                yield [access_pb2.AccessEvent(version=self.version, heartbeat=heartbeat)]
                self.watched.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(self.heartbeat_seconds):
                    await told.wait()

    async def BatchDescribeRooms(
        self, request: descriptions_pb2.BatchDescribeRoomsRequest, context: Any
    ) -> descriptions_pb2.BatchDescribeRoomsResponse:
        self.described += 1
        if self.is_without_descriptions:
            await _refuse(context, Unimplemented("METHOD_NOT_FOUND", "there is no such method here"))
        asked = request.room_uids[: self.most_described]
        room_ids = {uid_of(room_id).bytes: room_id for room_id in self.members}
        response = descriptions_pb2.BatchDescribeRoomsResponse(answered_count=len(asked))
        for uid in asked:
            members = sorted(self.members.get(room_id := room_ids.get(uid, ""), ()))
            if request.user_id in members and room_id not in self.left_meanwhile:
                room = room_pb2.Room(id=room_id, name=f"Room {room_id}", member_count=len(members))
                room.MergeFrom(self.rooms.get(room_id, room_pb2.Room()))
                few = members if len(members) <= request.most_members else []
                response.rooms.add(room_uid=uid, room=room, member_ids=few)
        return response

    async def ResolveUsers(self, request: directory_pb2.ResolveUsersRequest, context: Any) -> Message:
        self.resolved += 1
        if self.users_unavailable:
            await _refuse(context, Unavailable("DATABASE_UNAVAILABLE", "the database can't be reached"))
        known = [user_id for user_id in request.user_ids if user_id in self.users]
        names = self.names if request.with_names else {}
        return directory_pb2.ResolveUsersResponse(
            users=[
                directory_pb2.ResolvedUser(id=user_id, uid=uid_of(user_id).bytes, name=names.get(user_id, ""))
                for user_id in known
            ]
        )

    async def BatchGetRetention(self, request: retention_pb2.BatchGetRetentionRequest, context: Any) -> Message:
        self.retention_asked += 1
        error: ChatkitError | None = None
        if self.knows_no_retention:
            error = Unimplemented("METHOD_NOT_FOUND", "there is no such method here")
        elif self.unavailable:
            error = Unavailable("DATABASE_UNAVAILABLE", "the database can't be reached")
        if error is not None:
            await context.abort(error.code, error.message, ((DETAILS_KEY, to_status(error).SerializeToString()),))
        return retention_pb2.BatchGetRetentionResponse(
            rooms=[
                retention_pb2.RoomRetention(room_uid=uid_of(room_id).bytes, days=self.retention.get(room_id))
                for room_id in self.members
                if uid_of(room_id).bytes in request.room_uids
            ]
        )

    def remove(self, room_id: str, user_id: str, *, tell: bool = True) -> None:
        """End a membership; without `tell` nobody who watches hears of it."""
        self.members[room_id].discard(user_id)
        self._change(tell, member_removed=self._member(room_id, user_id))

    def add(self, room_id: str, user_id: str) -> None:
        """Begin a membership, of a room that may be new."""
        self.members.setdefault(room_id, set()).add(user_id)
        self._change(member_added=self._member(room_id, user_id))

    def delete(self, room_id: str) -> None:
        """Delete a room."""
        del self.members[room_id]
        self._change(room_deleted=access_pb2.RoomChange(room_uid=uid_of(room_id).bytes))

    def assign(self, user_id: str, role: RoleKey, *, room_id: str = "", denied: Iterable[str] = ()) -> None:
        """Give a user another role, with which they lack these permissions."""
        self.roles[user_id], self.denied[user_id] = [role], set(denied)
        room_uid = uid_of(room_id).bytes if room_id else b""
        assigned = access_pb2.RoleAssignment(user_id=user_id, user_uid=uid_of(user_id).bytes, room_uid=room_uid)
        self._change(role_assigned=assigned)

    def change_role(self, role: RoleKey, denied: Iterable[str] = ()) -> None:
        """Let those who have a role lack these permissions, and no others."""
        for user_id, roles in self.roles.items():
            if role in roles:
                self.denied[user_id] = set(denied)
        self._change(role_changed=access_pb2.RoleName(scope=cast("Any", role[0]), name=role[1]))

    def reset(self) -> None:
        """Tell that changes were missed."""
        self._change(reset=access_pb2.AccessReset())

    def _member(self, room_id: str, user_id: str) -> access_pb2.MemberChange:
        return access_pb2.MemberChange(
            room_uid=uid_of(room_id).bytes,
            user_uid=uid_of(user_id).bytes,
            user_id=user_id,
            room_id="" if self.is_without_room_ids else room_id,
        )

    def _change(self, tell: bool = True, **event: Any) -> None:
        self.version += 1
        if tell:
            self.tell(access_pb2.AccessEvent(version=self.version, **event))

    def tell(self, event: access_pb2.AccessEvent) -> None:
        """Send an event to everyone who watches."""
        self._events.append(event)
        told, self._told = self._told, asyncio.Event()
        told.set()


async def _refuse(context: Any, error: ChatkitError) -> None:
    await context.abort(error.code, error.message, ((DETAILS_KEY, to_status(error).SerializeToString()),))


@asynccontextmanager
async def serve(peers: Peers, address: str = "127.0.0.1:0") -> AsyncIterator[Peers]:
    """Serve the stand-ins on a port of their own."""
    server = grpc.aio.server()
    access_service_pb2_grpc.add_AccessServiceServicer_to_server(peers, server)
    descriptions_service_pb2_grpc.add_DescriptionsServiceServicer_to_server(peers, server)
    directory_service_pb2_grpc.add_DirectoryServiceServicer_to_server(peers, server)
    retention_service_pb2_grpc.add_RetentionServiceServicer_to_server(peers, server)
    port = server.add_insecure_port(address)
    await server.start()
    peers.address = f"127.0.0.1:{port}"
    try:
        yield peers
    finally:
        await server.stop(None)
