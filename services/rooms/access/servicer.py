"""chatkit.internal.access.v1.AccessService: what rooms tells other services."""

from collections.abc import AsyncIterator
from typing import cast

from chatkit.contract.v1 import method_policy_pb2
from chatkit.internal.access.v1 import access_service_pb2 as pb2
from chatkit.rooms.v1 import role_pb2

from services.rooms.access.service import Access
from services.rooms.model import Change, ChangeKind, MembershipRule
from services.runtime.access.port import AccessGrant, AccessQuery, RoleKey
from services.runtime.calls.call import Call
from services.runtime.calls.paging import PageTokens, page_size
from services.runtime.contract.errors import ChatkitError, invalid_field, number_of
from services.runtime.contract.policies import Limits
from services.runtime.contract.uids import uid_of
from services.runtime.data.change_feed import ChangeFeed, FeedUpdate
from services.runtime.ids import NO_ROOM, RoomId, RoomUid, UserId, UserUid

_RULES = frozenset({method_policy_pb2.MEMBERSHIP_UNSPECIFIED, *MembershipRule})


class AccessServicer:
    """chatkit.internal.access.v1.AccessService."""

    SERVICE = pb2.DESCRIPTOR.services_by_name["AccessService"]

    def __init__(self, access: Access, feed: ChangeFeed[Change], page_tokens: PageTokens, limits: Limits) -> None:
        self._access = access
        self._feed = feed
        self._page_tokens = page_tokens
        self._limits = limits

    async def CheckAccess(self, request: pb2.CheckAccessRequest, _call: Call) -> pb2.CheckAccessResponse:
        """Answer for one user and room."""
        return _granted(await self._access.check(_query(request, RoomId(request.room_id))))

    async def BatchCheckAccess(self, request: pb2.BatchCheckAccessRequest, _call: Call) -> pb2.BatchCheckAccessResponse:
        """Answer for one user and many rooms."""
        answers = await self._access.check_rooms(request.room_ids, _query(request, NO_ROOM))
        return pb2.BatchCheckAccessResponse(answers=[_answer(answer) for answer in answers])

    async def BatchCheckUsers(self, request: pb2.BatchCheckUsersRequest, _call: Call) -> pb2.BatchCheckUsersResponse:
        """Answer for many users outside of rooms."""
        answers = await self._access.check_users(request.user_ids, request.permission)
        return pb2.BatchCheckUsersResponse(answers=[_answer(answer) for answer in answers])

    async def ListRoomsOf(self, request: pb2.ListRoomsOfRequest, call: Call) -> pb2.ListRoomsOfResponse:
        """Read a page of a user's rooms."""
        key = self._page_tokens.read(call.caller, request)
        size = page_size(request, self._limits)
        after = str(key[0]) if key else ""
        version, rooms = await self._access.rooms_of(UserId(request.user_id), request.permission, after, size + 1)
        response = pb2.ListRoomsOfResponse(version=version)
        for room in rooms[:size]:
            response.rooms.add(room_id=room.room_id, room_uid=room.room_uid.bytes, user_uid=room.user_uid.bytes)
        if len(rooms) > size:
            response.next_page_token = self._page_tokens.make(call.caller, request, [rooms[size - 1].room_id])
        return response

    async def FilterMembers(self, request: pb2.FilterMembersRequest, _call: Call) -> pb2.FilterMembersResponse:
        """Tell members from others."""
        members = await self._access.members_among(RoomId(request.room_id), request.user_ids)
        return pb2.FilterMembersResponse(user_uids=[uid.bytes for uid in members])

    async def BatchFilterMembers(
        self, request: pb2.BatchFilterMembersRequest, _call: Call
    ) -> pb2.BatchFilterMembersResponse:
        """Tell members of many rooms from others."""
        asked: dict[RoomUid, set[UserUid]] = {}
        for index, room in enumerate(request.rooms):
            users = asked.setdefault(RoomUid(uid_of(room.room_uid, f"rooms[{index}].room_uid")), set())
            users.update(UserUid(uid_of(uid, f"rooms[{index}].user_uids[{n}]")) for n, uid in enumerate(room.user_uids))
        members = await self._access.members_among_many(asked)
        return pb2.BatchFilterMembersResponse(
            rooms=[
                pb2.UsersOfRoom(room_uid=room_uid.bytes, user_uids=[uid.bytes for uid in user_uids])
                for room_uid, user_uids in members.items()
            ]
        )

    async def WatchAccess(self, request: pb2.WatchAccessRequest, _call: Call) -> AsyncIterator[pb2.WatchAccessResponse]:
        """Follow the changes."""
        async for update in self._feed.follow(request.after_version, request.epoch):
            yield pb2.WatchAccessResponse(events=_events(update))


def _query(request: pb2.CheckAccessRequest | pb2.BatchCheckAccessRequest, room_id: RoomId) -> AccessQuery:
    if not request.user_id and not request.superuser:
        # Nobody has the roles of nobody.
        raise invalid_field("FIELD_REQUIRED", "user_id", "required without superuser")
    if request.membership not in _RULES:
        # A policy of a method that asks for itself is no question about a room.
        raise invalid_field("FIELD_INVALID", "membership", "is no rule of one room")
    user_id = UserId(request.user_id) if request.user_id else None
    return AccessQuery(room_id, user_id, request.superuser, request.membership, request.permission)


def _granted(grant: AccessGrant) -> pb2.CheckAccessResponse:
    return pb2.CheckAccessResponse(
        room_uid=grant.room_uid.bytes if grant.room_uid is not None else b"",
        user_uid=grant.user_uid.bytes if grant.user_uid is not None else b"",
        version=grant.version,
        roles=[_role_name(role) for role in grant.roles],
        tokens_after=grant.tokens_after,
    )


def _answer(answer: AccessGrant | ChatkitError) -> pb2.AccessAnswer:
    if isinstance(answer, ChatkitError):
        return pb2.AccessAnswer(refusal=number_of(answer.reason))
    return pb2.AccessAnswer(granted=_granted(answer))


def _events(update: FeedUpdate[Change]) -> list[pb2.AccessEvent]:
    if update.is_reset:
        return [pb2.AccessEvent(version=update.version, reset=pb2.AccessReset(epoch=update.epoch))]
    if not update.changes:
        heartbeat = pb2.AccessHeartbeat(elapsed_ms=update.elapsed_ms, epoch=update.epoch)
        return [pb2.AccessEvent(version=update.version, heartbeat=heartbeat)]
    return [_event(change) for change in update.changes]


def _event(change: Change) -> pb2.AccessEvent:
    event = pb2.AccessEvent(version=change.version)
    match change.kind:
        case ChangeKind.MEMBER_ADDED:
            event.member_added.CopyFrom(_member(change))
        case ChangeKind.MEMBER_REMOVED | ChangeKind.MEMBER_DELETED:
            event.member_removed.CopyFrom(_member(change))
        case ChangeKind.ROLE_ASSIGNED:
            event.role_assigned.CopyFrom(_assignment(change))
        case ChangeKind.ROLE_CHANGED if change.role is not None:
            event.role_changed.CopyFrom(_role_name(change.role))
        case ChangeKind.ROOM_UPDATED:
            event.room_updated.CopyFrom(pb2.RoomChange(room_uid=_bytes(change.room_uid)))
        case ChangeKind.ROOM_DELETED:
            event.room_deleted.CopyFrom(pb2.RoomChange(room_uid=_bytes(change.room_uid)))
        case _:
            # Nobody knows which answers it makes wrong.
            event.reset.SetInParent()
    return event


def _member(change: Change) -> pb2.MemberChange:
    return pb2.MemberChange(
        room_uid=_bytes(change.room_uid),
        user_uid=_bytes(change.user_uid),
        user_id=change.user_id,
        room_id=change.room_id,
    )


def _assignment(change: Change) -> pb2.RoleAssignment:
    return pb2.RoleAssignment(
        user_id=change.user_id, user_uid=_bytes(change.user_uid), room_uid=_bytes(change.room_uid)
    )


def _role_name(role: RoleKey) -> pb2.RoleName:
    scope, name = role
    return pb2.RoleName(scope=role_pb2.RoleScope.Name(cast("role_pb2.RoleScope", scope)), name=name)


def _bytes(uid: RoomUid | UserUid | None) -> bytes:
    return b"" if uid is None else uid.bytes
