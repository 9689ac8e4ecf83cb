"""Who may act in which room, answered from the database each time.

Without access an unknown room and a forbidden one answer alike.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

from chatkit.contract.v1 import method_policy_pb2

from services.rooms.access.store import AccessStore
from services.rooms.model import MembershipRule, Permissions, Refusal, RoomOfUser, Standing, refusal
from services.runtime.access.port import AccessGrant, AccessQuery
from services.runtime.contract.errors import ChatkitError, NotFound, PermissionDenied
from services.runtime.data.coalesced_reads import CoalescedReads
from services.runtime.ids import NO_ROOM, NOBODY, RoomId, RoomUid, UserId, UserUid

_USERS_AT_ONCE = 200


class Access:
    """What other services and this one's own handlers ask before a call."""

    def __init__(self, store: AccessStore) -> None:
        self._store = store
        # Of a crowd that comes at once: what users may do in no room is asked for many of them together.
        self._of_users: CoalescedReads[tuple[UserId, str], dict[tuple[UserId, str], Standing]] = CoalescedReads(
            self._store.standings_of_users, most_keys=_USERS_AT_ONCE
        )

    async def run(self) -> None:
        """Answer about users, until cancelled."""
        await self._of_users.run()

    async def check(self, query: AccessQuery) -> AccessGrant:
        """Return the grant, or raise ROOM_ACCESS_DENIED or PERMISSION_MISSING; for superusers ROOM_NOT_FOUND.

        Raises USER_DELETED for a token from before another user of the same id was deleted.
        """
        answer = _answer(query, await self._standing(query))
        if isinstance(answer, ChatkitError):
            raise answer
        return answer.for_caller(query)

    async def _standing(self, query: AccessQuery) -> Standing:
        user_id = query.user_id or NOBODY
        if query.room_id:
            return await self._store.standing(query.room_id, user_id, query.permission)
        asked = user_id, query.permission
        return (await self._of_users.ask([asked]))[asked]

    async def check_rooms(self, room_ids: Sequence[str], query: AccessQuery) -> list[AccessGrant | ChatkitError]:
        """Answer the query for each of the rooms instead of its own, all of one moment, in the order given."""
        standings = await self._store.standings(room_ids, query.user_id or NOBODY, query.permission)
        return [_answer(replace(query, room_id=RoomId(room_id)), standings[room_id]) for room_id in room_ids]

    async def check_users(self, user_ids: Sequence[str], permission: str) -> list[AccessGrant | ChatkitError]:
        """Answer for each of some users whether they have a permission outside of rooms, in the order given."""
        asked = [(UserId(user_id), permission) for user_id in user_ids]
        standings = await self._store.standings_of_users(dict.fromkeys(asked))
        rule = method_policy_pb2.MEMBERSHIP_NOT_REQUIRED
        return [_answer(AccessQuery(NO_ROOM, one[0], False, rule, permission), standings[one]) for one in asked]

    async def permissions(self, room_id: RoomId, user_id: UserId, *, superuser: bool) -> Permissions:
        """Return what a user may do in a room; whoever asks has been let in.

        Raises ROOM_ACCESS_DENIED, or ROOM_NOT_FOUND for superusers, when the room has gone meanwhile.
        """
        found = await self._store.permissions(room_id, user_id)
        if found is None:
            raise room_not_found(room_id) if superuser else denied(room_id)
        return found

    async def rooms_of(
        self, user_id: UserId, permission: str, after: str, size: int
    ) -> tuple[int, Sequence[RoomOfUser]]:
        """Return the version, and a user's rooms by their ids; with a permission only where a role grants it."""
        return await self._store.rooms_of(user_id, permission, after, size)

    async def members_among(self, room_id: RoomId, user_ids: Sequence[str]) -> list[UserUid]:
        """Return the uids of those of some users who are members of a room."""
        return await self._store.members_among(room_id, user_ids)

    async def members_among_many(
        self, asked: Mapping[RoomUid, AbstractSet[UserUid]]
    ) -> dict[RoomUid, AbstractSet[UserUid]]:
        """Return which of some users, by room, are members of it; rooms of which nobody is are left out."""
        return await self._store.members_among_many(asked)


def _answer(query: AccessQuery, standing: Standing) -> AccessGrant | ChatkitError:
    # Unspecified means required, so that forgetting it is safe.
    rule = MembershipRule(query.membership or MembershipRule.REQUIRED) if query.room_id else MembershipRule.NOT_REQUIRED
    asks_permission = bool(query.permission)
    match refusal(standing, rule, superuser=query.superuser, asks_permission=asks_permission):
        case Refusal.ROOM_NOT_FOUND:
            return room_not_found(query.room_id)
        case Refusal.ROOM_ACCESS_DENIED:
            return denied(query.room_id)
        case Refusal.PERMISSION_MISSING:
            return _not_permitted(query.permission)
    roles = standing.roles if asks_permission and not query.superuser else ()
    return AccessGrant(standing.version, standing.room_uid, standing.user_uid, roles, standing.tokens_after)


def denied(room_id: RoomId) -> PermissionDenied:
    """Return the error for a room that is not there or not for the caller."""
    return PermissionDenied(
        "ROOM_ACCESS_DENIED",
        "there is no such room, or it is not open to the user",
        metadata={"room_id": room_id},
    )


def room_not_found(room_id: RoomId) -> NotFound:
    """Return the error for a room that is not there, for those who may know."""
    return NotFound("ROOM_NOT_FOUND", "the room does not exist", metadata={"room_id": room_id})


def _not_permitted(permission: str) -> PermissionDenied:
    return PermissionDenied(
        "PERMISSION_MISSING",
        f"the user's roles do not grant {permission}",
        metadata={"permission": permission},
    )
