"""The use cases of rooms and memberships: no gRPC, no SQL."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from services.rooms.access.service import denied, room_not_found
from services.rooms.access.store import AccessStore
from services.rooms.model import Change, Draft, Room, RoomView, Visibility
from services.rooms.quotas import Actor
from services.rooms.store import RoomStore, direct_room, too_many_members
from services.rooms.views_store import RoomViewStore
from services.runtime.access.port import RoomGrant
from services.runtime.contract.errors import Aborted, ChatkitError, FailedPrecondition, NotFound, invalid_field
from services.runtime.data.change_feed import ChangeFeed
from services.runtime.deadline import Deadline
from services.runtime.ids import RoomId, RoomUid, UserId, UserUid
from services.runtime.peers.directory import DirectoryClient


class Rooms:
    """What can be done with rooms and memberships."""

    def __init__(
        self,
        store: RoomStore,
        views: RoomViewStore,
        users: DirectoryClient,
        feed: ChangeFeed[Change],
        *,
        most_members: int,
        new_uid: Callable[[], UUID],
    ) -> None:
        self._store = store
        self._views = views
        self._users = users
        self._feed = feed
        self._most_members = most_members
        self._new_uid = new_uid

    def new_uid(self) -> RoomUid:
        """Return the identity of a room to create."""
        return RoomUid(self._new_uid())

    async def create(self, draft: Draft, user_ids: Sequence[str], deadline: Deadline, *, superuser: bool) -> RoomView:
        """Create a room with its creator and others; repeated with the same request id it answers the room as it is.

        Raises FIELD_REQUIRED, and what the store raises.
        """
        if not draft.id and not draft.request_id:
            raise invalid_field("FIELD_REQUIRED", "request_id", "required when id is empty")
        members = await self._members([draft.creator_id, *user_ids], deadline)
        whole = replace(draft, id=draft.id or RoomId(str(self._new_uid())), members=members)
        created = await self._store.create(whole, Actor(draft.creator_id, superuser))
        self._feed.nudge()
        return created

    async def direct(self, user_id: UserId, other_user_id: UserId, deadline: Deadline, *, superuser: bool) -> RoomView:
        """Return the one room of two users with both in it, made or mended where need be.

        Raises FIELD_INVALID for oneself.
        """
        if user_id == other_user_id:
            raise invalid_field("FIELD_INVALID", "other_user_id", "must be another user")
        users = await self._members([user_id, other_user_id], deadline)
        found = await self._store.find_direct(users)
        if found is not None and len(found.member_ids) == len(users):
            return found
        draft = Draft(
            uid=self.new_uid(),
            id=RoomId(str(self._new_uid())),
            name="",
            visibility=Visibility.PRIVATE,
            custom_data=None,
            creator_id=user_id,
            members=users,
            is_direct=True,
        )
        made = await self._store.get_or_create_direct(draft, Actor(user_id, superuser))
        self._feed.nudge()
        return made

    async def get(self, grant: RoomGrant) -> RoomView:
        """Return a room and its members."""
        return await self._views.view(grant.room_uid)

    async def page(self, after: str, size: int, *, with_private: bool) -> list[Room]:
        """Return rooms by their ids."""
        return await self._views.page(after, size, with_private=with_private)

    async def joinable_page(self, user_id: UserId, after: str, size: int) -> list[RoomView]:
        """Return the public rooms that a user is not in, by their ids."""
        return await self._views.joinable_page(user_id, after, size)

    async def page_of_user(self, user_id: UserId, after: str, size: int) -> list[RoomView]:
        """Return a user's rooms by their ids."""
        return await self._views.page_of_user(user_id, after, size)

    async def must_exist(self, user_id: str, deadline: Deadline) -> None:
        """Raise USER_NOT_FOUND unless the user exists."""
        await self._users.uid_of(user_id, deadline)

    async def update(self, grant: RoomGrant, changes: Mapping[str, Any], etag: str) -> Room:
        """Change fields of a room, unless it has changed since the etag; where nothing is changed nothing moves.

        Raises ETAG_MISMATCH.
        """
        room = await self._store.update(grant.room_uid, changes, etag)
        if room is None:
            raise Aborted("ETAG_MISMATCH", "the room has changed since: read it again", metadata={"etag": etag})
        self._feed.nudge()
        return room

    async def add_members(self, grant: RoomGrant, user_ids: Sequence[str], actor: Actor, deadline: Deadline) -> None:
        """Make users members, all or none."""
        users = await self._users.resolve(user_ids, deadline)
        await self._store.add_members(grant.room_uid, users, actor)
        self._feed.nudge()

    async def remove_members(self, grant: RoomGrant, user_ids: Sequence[str]) -> None:
        """End memberships."""
        await self._store.remove_members(grant.room_uid, user_ids)
        self._feed.nudge()

    async def member_page(self, grant: RoomGrant, after: str, size: int) -> list[str]:
        """Return the members' ids in the order of code points."""
        return await self._views.member_page(grant.room_uid, after, size)

    async def _members(self, user_ids: Sequence[str], deadline: Deadline) -> dict[str, UserUid]:
        members = await self._users.resolve(user_ids, deadline)
        if len(members) > self._most_members:
            raise too_many_members(self._most_members, len(members))
        return members


class Visits:
    """How users come to rooms and leave them by themselves."""

    def __init__(
        self,
        store: RoomStore,
        views: RoomViewStore,
        access: AccessStore,
        users: DirectoryClient,
        feed: ChangeFeed[Change],
    ) -> None:
        self._store = store
        self._views = views
        self._access = access
        self._users = users
        self._feed = feed

    async def join(self, room_id: RoomId, user_id: UserId, *, superuser: bool, deadline: Deadline) -> RoomView:
        """Make the user a member of a public room; a member of any room is told about it.

        Raises ROOM_NOT_FOUND, ROOM_ACCESS_DENIED, ROOM_NOT_PUBLIC and DIRECT_ROOM.
        """
        standing = await self._access.standing(room_id, user_id)
        if standing.room_uid is None:
            raise room_not_found(room_id) if superuser else denied(room_id)
        if standing.user_uid is not None:
            return await self._views.view(standing.room_uid)
        if standing.visibility is not Visibility.PUBLIC:
            raise await self._not_public(room_id, standing.room_uid, superuser)
        users = await self._users.resolve([user_id], deadline)
        actor = Actor(user_id, superuser)
        joined = await self._store.add_members(standing.room_uid, users, actor, joining=True)
        if joined is None:
            raise await self._not_public(room_id, standing.room_uid, superuser)
        self._feed.nudge()
        return joined

    async def leave(self, room_id: RoomId, user_id: UserId) -> None:
        """End the user's membership, if there is one."""
        standing = await self._access.standing(room_id, user_id)
        if standing.room_uid is None or standing.user_uid is None:
            return
        try:
            await self._store.remove_members(standing.room_uid, [user_id])
        except NotFound:
            return
        self._feed.nudge()

    async def _not_public(self, room_id: RoomId, room_uid: RoomUid, superuser: bool) -> ChatkitError:
        if not superuser:
            return denied(room_id)
        room = await self._views.get(room_uid)
        if room.is_direct:
            return direct_room(room, "a direct room can't be joined")
        return FailedPrecondition("ROOM_NOT_PUBLIC", "only public rooms can be joined", metadata={"room_id": room_id})
