"""The public services as stubs, and what tests make with them most: users, rooms and roles, with the tests' tokens."""

from abc import ABC, abstractmethod

import grpc
from chatkit.files.v1 import files_service_pb2_grpc
from chatkit.messages.v1 import messages_service_pb2_grpc, read_states_service_pb2_grpc
from chatkit.rooms.v1 import (
    memberships_service_pb2,
    memberships_service_pb2_grpc,
    roles_service_pb2,
    roles_service_pb2_grpc,
    rooms_service_pb2,
    rooms_service_pb2_grpc,
)
from chatkit.sync.v1 import sync_service_pb2_grpc
from chatkit.users.v1 import presence_service_pb2_grpc, users_service_pb2, users_service_pb2_grpc

from tests.support import tokens


class Stubs(ABC):
    """What calls the services, wherever they are."""

    @abstractmethod
    def channel(self, service: str) -> grpc.aio.Channel:
        """Return a channel to a service."""

    @property
    def users(self) -> users_service_pb2_grpc.UsersServiceStub:
        """UsersService."""
        return users_service_pb2_grpc.UsersServiceStub(self.channel("users"))

    @property
    def presence(self) -> presence_service_pb2_grpc.PresenceServiceStub:
        """PresenceService."""
        return presence_service_pb2_grpc.PresenceServiceStub(self.channel("users"))

    @property
    def rooms(self) -> rooms_service_pb2_grpc.RoomsServiceStub:
        """RoomsService."""
        return rooms_service_pb2_grpc.RoomsServiceStub(self.channel("rooms"))

    @property
    def memberships(self) -> memberships_service_pb2_grpc.MembershipsServiceStub:
        """MembershipsService."""
        return memberships_service_pb2_grpc.MembershipsServiceStub(self.channel("rooms"))

    @property
    def roles(self) -> roles_service_pb2_grpc.RolesServiceStub:
        """RolesService."""
        return roles_service_pb2_grpc.RolesServiceStub(self.channel("rooms"))

    @property
    def files(self) -> files_service_pb2_grpc.FilesServiceStub:
        """FilesService."""
        return files_service_pb2_grpc.FilesServiceStub(self.channel("files"))

    @property
    def messages(self) -> messages_service_pb2_grpc.MessagesServiceStub:
        """MessagesService."""
        return messages_service_pb2_grpc.MessagesServiceStub(self.channel("messages"))

    @property
    def read_states(self) -> read_states_service_pb2_grpc.ReadStatesServiceStub:
        """ReadStatesService."""
        return read_states_service_pb2_grpc.ReadStatesServiceStub(self.channel("messages"))

    @property
    def sync(self) -> sync_service_pb2_grpc.SyncServiceStub:
        """SyncService."""
        return sync_service_pb2_grpc.SyncServiceStub(self.channel("messages"))

    async def make_users(self, *user_ids: str) -> None:
        """Create users who are called like their ids."""
        for user_id in user_ids:
            request = users_service_pb2.CreateUserRequest(id=user_id, name=user_id)
            await self.users.CreateUser(request, metadata=tokens.su())

    async def make_room(self, room_id: str, creator: str, *members: str, private: bool = False) -> None:
        """Create a room with its members."""
        request = rooms_service_pb2.CreateRoomRequest(
            id=room_id, name=room_id[:60], visibility="VISIBILITY_PRIVATE" if private else "VISIBILITY_PUBLIC"
        )
        await self.rooms.CreateRoom(request, metadata=tokens.user(creator))
        for start in range(0, len(members), 10):
            added = memberships_service_pb2.AddMembersRequest(room_id=room_id, user_ids=members[start : start + 10])
            await self.memberships.AddMembers(added, metadata=tokens.user(creator))

    async def assign(self, user_id: str, role_name: str, room_id: str = "") -> None:
        """Give a user a role, globally or in a room."""
        request = roles_service_pb2.AssignRoleRequest(user_id=user_id, role_name=role_name, room_id=room_id)
        await self.roles.AssignRole(request, metadata=tokens.su())
