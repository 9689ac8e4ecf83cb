"""Protos to the domain and back, and nothing else."""

from collections.abc import Sequence
from datetime import UTC, datetime

from chatkit.internal.directory.v1 import directory_service_pb2 as directory_pb2
from chatkit.users.v1 import user_pb2
from chatkit.users.v1 import users_service_pb2 as pb2

from services.runtime import json_values, masks
from services.runtime.contract import Limits
from services.runtime.handlers import Call
from services.runtime.paging import PageTokens, page_size
from services.runtime.timestamps import timestamp
from services.users.model import Draft, PageStart, User
from services.users.service import Users

_UPDATABLE = ("name", "avatar_url", "custom_data")


class UsersServicer:
    """chatkit.users.v1.UsersService."""

    def __init__(self, users: Users, page_tokens: PageTokens, limits: Limits) -> None:
        self._users = users
        self._page_tokens = page_tokens
        self._limits = limits

    async def CreateUser(self, request: pb2.CreateUserRequest, _call: Call) -> pb2.CreateUserResponse:
        """Create one user."""
        (user,) = await self._users.create([_draft(request)])
        return pb2.CreateUserResponse(user=_proto(user))

    async def BatchCreateUsers(self, request: pb2.BatchCreateUsersRequest, _call: Call) -> pb2.BatchCreateUsersResponse:
        """Create several users, all or none."""
        users = await self._users.create([_draft(item) for item in request.requests])
        return pb2.BatchCreateUsersResponse(users=_protos(users))

    async def GetUser(self, request: pb2.GetUserRequest, _call: Call) -> pb2.GetUserResponse:
        """Read one user."""
        return pb2.GetUserResponse(user=_proto(await self._users.get(request.user_id)))

    async def BatchGetUsers(self, request: pb2.BatchGetUsersRequest, _call: Call) -> pb2.BatchGetUsersResponse:
        """Read several users."""
        return pb2.BatchGetUsersResponse(users=_protos(await self._users.find(request.user_ids)))

    async def ListUsers(self, request: pb2.ListUsersRequest, call: Call) -> pb2.ListUsersResponse:
        """Read a page of users."""
        size = page_size(request, self._limits)
        users = await self._users.page(self._start(request, call), size + 1)
        response = pb2.ListUsersResponse(users=_protos(users[:size]))
        if len(users) > size:
            last = users[size - 1]
            response.next_page_token = self._page_tokens.make(
                call.caller, request, [last.create_time.isoformat(), last.id]
            )
        return response

    async def UpdateUser(self, request: pb2.UpdateUserRequest, call: Call) -> pb2.UpdateUserResponse:
        """Change a user."""
        changes = masks.changes(request, _UPDATABLE, required=("name",))
        return pb2.UpdateUserResponse(user=_proto(await self._users.update(call.acting_user, changes)))

    def _start(self, request: pb2.ListUsersRequest, call: Call) -> PageStart:
        key = self._page_tokens.read(call.caller, request)
        oldest = request.min_create_time.ToDatetime(UTC) if request.HasField("min_create_time") else None
        return PageStart(oldest, (datetime.fromisoformat(str(key[0])), str(key[1])) if key else None)


class DirectoryServicer:
    """chatkit.internal.directory.v1.DirectoryService."""

    def __init__(self, users: Users) -> None:
        self._users = users

    async def ResolveUsers(
        self, request: directory_pb2.ResolveUsersRequest, _call: Call
    ) -> directory_pb2.ResolveUsersResponse:
        """Tell which users exist."""
        found = await self._users.find(request.user_ids)
        return directory_pb2.ResolveUsersResponse(
            users=[directory_pb2.ResolvedUser(id=user.id, uid=user.uid.bytes) for user in found]
        )


def _draft(request: pb2.CreateUserRequest) -> Draft:
    custom_data = json_values.plain(request.custom_data) if request.HasField("custom_data") else None
    return Draft(request.id, request.name, request.avatar_url, custom_data)


def _protos(users: Sequence[User]) -> list[user_pb2.User]:
    return [_proto(user) for user in users]


def _proto(user: User) -> user_pb2.User:
    return user_pb2.User(
        id=user.id,
        name=user.name,
        avatar_url=user.avatar_url,
        custom_data=json_values.struct_of(user.custom_data),
        create_time=timestamp(user.create_time),
        update_time=timestamp(user.update_time),
    )
