"""Protos to the domain and back, and nothing else."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime

from chatkit.contract.v1 import deletion_pb2
from chatkit.users.v1 import users_service_pb2 as pb2

from services.runtime.calls.call import Call
from services.runtime.calls.paging import PageTokens, page_size
from services.runtime.contract import masks
from services.runtime.contract.policies import Limits
from services.runtime.contract.serialized import Serialized
from services.runtime.contract.wire import embedded
from services.runtime.erasure.exporting import frames
from services.runtime.erasure.listing import DeletionListing
from services.runtime.erasure.protos import deletion_proto
from services.runtime.ids import UserId
from services.users.deletions.service import UserDeletions
from services.users.export.service import UserExports
from services.users.model import FIRST_FOUND, PageStart, SearchStart
from services.users.protos import draft_of, user_proto, user_protos
from services.users.service import Users

_USERS = pb2.ListUsersResponse.USERS_FIELD_NUMBER
_UPDATABLE = ("name", "avatar_url", "custom_data")


class UsersServicer:
    """chatkit.users.v1.UsersService."""

    SERVICE = pb2.DESCRIPTOR.services_by_name["UsersService"]

    def __init__(
        self,
        users: Users,
        deletions: UserDeletions,
        exports: UserExports,
        listing: DeletionListing,
        page_tokens: PageTokens,
        limits: Limits,
    ) -> None:
        self._users = users
        self._deletions = deletions
        self._exports = exports
        self._listing = listing
        self._page_tokens = page_tokens
        self._limits = limits
        self._serialized = Serialized(user_proto)

    async def CreateUser(self, request: pb2.CreateUserRequest, _call: Call) -> pb2.CreateUserResponse:
        """Create one user."""
        (user,) = await self._users.create([draft_of(request)])
        return pb2.CreateUserResponse(user=user_proto(user))

    async def BatchCreateUsers(self, request: pb2.BatchCreateUsersRequest, _call: Call) -> pb2.BatchCreateUsersResponse:
        """Create several users, all or none."""
        users = await self._users.create([draft_of(item) for item in request.requests])
        return pb2.BatchCreateUsersResponse(users=user_protos(users))

    async def GetUser(self, request: pb2.GetUserRequest, _call: Call) -> pb2.GetUserResponse:
        """Read one user."""
        return pb2.GetUserResponse(user=user_proto(await self._users.get(request.user_id)))

    async def BatchGetUsers(self, request: pb2.BatchGetUsersRequest, _call: Call) -> pb2.BatchGetUsersResponse:
        """Read several users."""
        return pb2.BatchGetUsersResponse(users=user_protos(await self._users.find(request.user_ids)))

    async def ListUsers(self, request: pb2.ListUsersRequest, call: Call) -> bytes:
        """Read a page of users."""
        size = page_size(request, self._limits)
        users = await self._users.page(self._start(request, call), size + 1)
        end = pb2.ListUsersResponse()
        if len(users) > size:
            last = users[size - 1]
            end.next_page_token = self._page_tokens.make(call.caller, request, [last.create_time.isoformat(), last.id])
        shown = (embedded(_USERS, self._serialized.of(user.uid, user)) for user in users[:size])
        return b"".join([*shown, end.SerializeToString()])

    async def SearchUsers(self, request: pb2.SearchUsersRequest, call: Call) -> pb2.SearchUsersResponse:
        """Read a page of the users who are found."""
        key = self._page_tokens.read(call.caller, request)
        start = SearchStart(UserId(str(key[0])), str(key[1]) if len(key) > 1 else None) if key else FIRST_FOUND
        users, after = await self._users.search(request.prefix, start, page_size(request, self._limits))
        response = pb2.SearchUsersResponse(users=user_protos(users))
        if after is not None:
            place = [after.user_id] if after.name_key is None else [after.user_id, after.name_key]
            response.next_page_token = self._page_tokens.make(call.caller, request, place)
        return response

    async def UpdateUser(self, request: pb2.UpdateUserRequest, call: Call) -> pb2.UpdateUserResponse:
        """Change a user."""
        changes = masks.changes(request, _UPDATABLE, required=("name",))
        return pb2.UpdateUserResponse(user=user_proto(await self._users.update(call.acting_user, changes)))

    async def DeleteUser(self, request: pb2.DeleteUserRequest, call: Call) -> pb2.DeleteUserResponse:
        """Delete a user."""
        keep_messages = request.messages == deletion_pb2.MESSAGE_ERASURE_KEEP_ANONYMOUS
        deletion = await self._deletions.delete(request.user_id, call.deadline, keep_messages=keep_messages)
        return pb2.DeleteUserResponse(deletion=deletion_proto(deletion))

    async def GetDeletion(self, request: pb2.GetDeletionRequest, _call: Call) -> pb2.GetDeletionResponse:
        """Read how far a deletion is."""
        return pb2.GetDeletionResponse(deletion=await self._listing.get(request.deletion_id))

    async def ListDeletions(self, request: pb2.ListDeletionsRequest, call: Call) -> pb2.ListDeletionsResponse:
        """Read a page of deletions."""
        deletions, token = await self._listing.page(request, call)
        return pb2.ListDeletionsResponse(deletions=deletions, next_page_token=token)

    async def ExportUser(self, request: pb2.ExportUserRequest, _call: Call) -> AsyncIterator[pb2.ExportUserResponse]:
        """Send everything that there is of a user."""
        async with aclosing(frames(self._exports.export(request.user_id))) as found:
            async for frame in found:
                yield pb2.ExportUserResponse(records=frame)

    def _start(self, request: pb2.ListUsersRequest, call: Call) -> PageStart:
        key = self._page_tokens.read(call.caller, request)
        oldest = request.min_create_time.ToDatetime(UTC) if request.HasField("min_create_time") else None
        return PageStart(oldest, (datetime.fromisoformat(str(key[0])), str(key[1])) if key else None)
