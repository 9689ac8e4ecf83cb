"""Rooms and memberships in PostgreSQL, as they are written. One public method is one transaction.

Memberships change only under their room's row lock, so `member_count` is their number and the limit holds. The order
of locks: the request id or the pair of a direct room, the room, the users whose rooms are counted, the room's
memberships, the counter of changes.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import bindparam, delete, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Integer, Text, Uuid

from services.rooms import recorded_changes
from services.rooms.fences_store import refuse_deleted
from services.rooms.model import Change, ChangeKind, Draft, Room, RoomView, Visibility
from services.rooms.quotas import Actor, Quotas
from services.rooms.tables import ROOM_COLUMNS, creations, memberships, room_of, rooms
from services.rooms.views_store import LOCK_ROOM, members_of, room_by, view_of
from services.runtime.contract.errors import AlreadyExists, FailedPrecondition, ResourceExhausted, Violation
from services.runtime.data.columns import values_of
from services.runtime.data.database import Database
from services.runtime.data.differences import differs
from services.runtime.data.query import Query
from services.runtime.erasure.store import DeletionStore
from services.runtime.ids import RoomUid, UserId, UserUid

_DIRECT_UID = select(rooms.c.uid).where(rooms.c.direct_user_uids == bindparam("pair", type_=ARRAY(Uuid)))
_COUNT_MEMBERS = Query(
    update(rooms)
    .where(rooms.c.uid == bindparam("room", type_=Uuid))
    .values(member_count=bindparam("count", type_=Integer))
    .returning(*ROOM_COLUMNS)
)
_INSERT_MEMBERSHIPS = Query("""
    INSERT INTO rooms.memberships (room_uid, room_id, user_id, user_uid, is_given)
    SELECT CAST(:room_uid AS uuid), CAST(:room_id AS text), one.*
    FROM unnest(CAST(:user_ids AS text[]), CAST(:user_uids AS uuid[]), CAST(:given AS boolean[])) AS one
""")
# What a draft has beside the columns of its room.
_NO_COLUMNS = ("members", "request_id", "content_hashes", "is_direct")


class RoomStore:
    """Makes and changes rooms and memberships."""

    def __init__(self, database: Database, deletions: DeletionStore, most_members: int, quotas: Quotas) -> None:
        self._database = database
        self._deletions = deletions
        self._most_members = most_members
        self._quotas = quotas

    async def create(self, draft: Draft, actor: Actor) -> RoomView:
        """Store a room with its members; a repeated request answers the room that the first one made.

        Raises ROOM_ALREADY_EXISTS, BEING_DELETED and REQUEST_ID_REUSED.
        """
        async with self._database.transaction() as connection:
            if draft.request_id:
                made_before = await self._made_before(connection, draft)
                if made_before is not None:
                    return made_before
            row = (await connection.execute(_insertion(draft))).one_or_none()
            if row is None:
                raise AlreadyExists("ROOM_ALREADY_EXISTS", "a room with this id exists", metadata={"room_id": draft.id})
            await self._deletions.refuse_taken(connection, [draft.id], "room_id")
            return await self._fill(connection, room_of(row), draft, actor)

    async def find_direct(self, users: Mapping[str, UserUid]) -> RoomView | None:
        """Return the direct room of two users, whether both are members or not; None if they have none."""
        async with self._database.transaction() as connection:
            uid = await self._direct_uid(connection, users)
            return await view_of(connection, uid) if uid is not None else None

    async def get_or_create_direct(self, draft: Draft, actor: Actor) -> RoomView:
        """Return the direct room of the draft's members with both of them in it; it is stored if they have none."""
        async with self._database.transaction() as connection:
            # Waits for a transaction that makes the same room, so exactly one of two goes on.
            row = (await connection.execute(_insertion(draft))).one_or_none()
            if row is not None:
                return await self._fill(connection, room_of(row), draft, actor)
            uid = cast("RoomUid", await self._direct_uid(connection, draft.members))
            await room_by(connection, LOCK_ROOM, uid)
            return await self._add(connection, await view_of(connection, uid), draft.members, actor)

    async def update(self, uid: RoomUid, values: Mapping[str, Any], etag: str) -> Room | None:
        """Change columns of a room, if they are not so already; None when the etag is given and is another one.

        Raises ROOM_NOT_FOUND and DIRECT_ROOM.
        """
        async with self._database.transaction() as connection:
            room = await room_by(connection, LOCK_ROOM, uid)
            if etag and etag != room.etag:
                return None
            if not room.may_become(values.get("visibility", room.visibility)):
                raise direct_room(room, "a direct room is private")
            if not values:
                return room
            moved = update(rooms).where(rooms.c.uid == uid, differs(rooms, values))
            moved = moved.values(
                **values,
                revision=rooms.c.revision + 1,
                update_time=func.greatest(rooms.c.update_time, func.clock_timestamp()),
            )
            row = (await connection.execute(moved.returning(*ROOM_COLUMNS))).one_or_none()
            if row is None:
                return room
            await recorded_changes.record(connection, [Change(version=0, kind=ChangeKind.ROOM_UPDATED, room_uid=uid)])
            return room_of(row)

    async def add_members(
        self, uid: RoomUid, users: Mapping[str, UserUid], actor: Actor, *, joining: bool = False
    ) -> RoomView | None:
        """Make users members, all or none; None when they join by themselves and the room is not public by now."""
        async with self._database.transaction() as connection:
            room = await room_by(connection, LOCK_ROOM, uid)
            present = (await members_of(connection, [uid]))[uid]
            if joining and room.visibility is not Visibility.PUBLIC and not users.keys() <= set(present):
                return None
            return await self._add(connection, RoomView(room, present), users, actor)

    async def remove_members(
        self, uid: RoomUid, user_ids: Sequence[str], kind: ChangeKind = ChangeKind.MEMBER_REMOVED
    ) -> None:
        """End memberships, which is a change of that kind; users who are not members are ignored."""
        async with self._database.transaction() as connection:
            room = await room_by(connection, LOCK_ROOM, uid)
            removal = delete(memberships).where(
                memberships.c.room_uid == uid, memberships.c.user_id == func.any(list(user_ids), type_=ARRAY(Text))
            )
            ended = await connection.execute(removal.returning(memberships.c.user_uid, memberships.c.user_id))
            removed = [_of_member(kind, room, row.user_uid, row.user_id) for row in ended]
            if removed:
                count = room.member_count - len(removed)
                await connection.execute(update(rooms).where(rooms.c.uid == uid).values(member_count=count))
                await recorded_changes.record(connection, removed)

    async def _made_before(self, connection: AsyncConnection, draft: Draft) -> RoomView | None:
        # The insertion waits for a transaction that holds the same request id, so exactly one of two goes on.
        key = {"creator_uid": draft.members[draft.creator_id], "request_id": draft.request_id}
        claim = insert(creations).values(**key, content_hash=draft.content_hashes[0], room_uid=draft.uid)
        claimed = await connection.execute(claim.on_conflict_do_nothing().returning(creations.c.room_uid))
        if claimed.one_or_none() is not None:
            return None
        made = select(creations.c.room_uid, creations.c.content_hash).filter_by(**key)
        row = (await connection.execute(made)).one()
        if row.content_hash not in draft.content_hashes:
            raise AlreadyExists(
                "REQUEST_ID_REUSED",
                "the request id was used for another room",
                metadata={"request_id": draft.request_id},
            )
        return await view_of(connection, row.room_uid)

    async def _direct_uid(self, connection: AsyncConnection, users: Mapping[str, UserUid]) -> RoomUid | None:
        return (await connection.execute(_DIRECT_UID, {"pair": _pair(users)})).scalar_one_or_none()

    async def _fill(self, connection: AsyncConnection, room: Room, draft: Draft, actor: Actor) -> RoomView:
        """Give a room that was just created its first members, if its creator may have one more."""
        if not actor.superuser:
            await self._quotas.lock(connection, list(draft.members))
            await self._quotas.check_creation(connection, draft.creator_id)
        await self._insert_members(connection, room, draft.members, actor)
        return RoomView(room, sorted(draft.members))

    async def _add(
        self, connection: AsyncConnection, locked: RoomView, users: Mapping[str, UserUid], actor: Actor
    ) -> RoomView:
        room, present = locked.room, set(locked.member_ids)
        new = {user_id: user_uid for user_id, user_uid in users.items() if user_id not in present}
        if not room.may_have(new.values()):
            raise direct_room(room, "a direct room has no members but its two users")
        self._check_room_for(len(present) + len(new), room)
        if new:
            counted = {"room": room.uid, "count": len(present) + len(new)}
            room = room_of(await _COUNT_MEMBERS.one_within(connection, counted))
            if not actor.superuser:
                await self._quotas.lock(connection, list(new))
            await self._insert_members(connection, room, new, actor)
        return RoomView(room, sorted(present | set(new)))

    async def _insert_members(
        self, connection: AsyncConnection, room: Room, users: Mapping[str, UserUid], actor: Actor
    ) -> None:
        given = {user_id: actor.gives_to(user_id) for user_id in users}
        if not actor.superuser:
            await self._quotas.check_places(connection, given)
        if not users:
            return
        lists = {"user_ids": list(users), "user_uids": list(users.values()), "given": list(given.values())}
        await _INSERT_MEMBERSHIPS.within(connection, {"room_uid": room.uid, "room_id": room.id, **lists})
        await refuse_deleted(connection, users)
        added = [
            _of_member(ChangeKind.MEMBER_ADDED, room, user_uid, UserId(user_id)) for user_id, user_uid in users.items()
        ]
        await recorded_changes.record(connection, added)

    def _check_room_for(self, count: int, room: Room) -> None:
        if count > self._most_members and count > room.member_count:
            raise too_many_members(self._most_members, count)


def too_many_members(most: int, count: int) -> ResourceExhausted:
    """Return the error for a room that would have more members than it may."""
    description = f"a room has at most {most} members, and this would make {count}"
    return ResourceExhausted(
        "QUOTA_EXCEEDED",
        description,
        metadata={"limit": "ROOM_MEMBERS", "maximum": str(most), "actual": str(count)},
        quota=[Violation("ROOM_MEMBERS", description)],
    )


def direct_room(room: Room, message: str) -> FailedPrecondition:
    """Return the error for what can't be done with a direct room."""
    return FailedPrecondition("DIRECT_ROOM", message, metadata={"room_id": room.id})


def _of_member(kind: ChangeKind, room: Room, user_uid: UserUid, user_id: UserId) -> Change:
    return Change(version=0, kind=kind, room_uid=room.uid, user_uid=user_uid, user_id=user_id, room_id=room.id)


def _pair(users: Mapping[str, UserUid]) -> list[UserUid]:
    return sorted(users.values())


def _insertion(draft: Draft) -> Any:
    values = {
        **values_of(draft, *_NO_COLUMNS),
        "member_count": len(draft.members),
        # One moment for both, which two calls of clock_timestamp() are not.
        "create_time": draft.create_time or func.statement_timestamp(),
        "update_time": draft.update_time or func.statement_timestamp(),
    }
    if not draft.is_direct:
        insertion = insert(rooms).values(values).on_conflict_do_nothing(index_elements=["id"])
        return insertion.returning(*ROOM_COLUMNS)
    pair = {"direct_user_ids": sorted(draft.members), "direct_user_uids": _pair(draft.members)}
    is_direct = rooms.c.direct_user_uids.is_not(None)
    insertion = insert(rooms).values(values | pair)
    insertion = insertion.on_conflict_do_nothing(index_elements=["direct_user_uids"], index_where=is_direct)
    return insertion.returning(*ROOM_COLUMNS)
