"""Rooms of a Chatkit export, taken and given with their times and members. What Chatkit did not have is left out.

Each room is a transaction of its own, because the counter of changes is locked last and for a moment only.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from uuid import uuid4

from chatkit.contract.v1 import limit_pb2
from chatkit.rooms.v1 import memberships_service_pb2 as memberships_pb2
from chatkit.rooms.v1 import rooms_service_pb2 as pb2

from services.rooms.model import Draft, Room, RoomView, Visibility
from services.rooms.protos import draft_of
from services.rooms.quotas import Actor, Quotas
from services.rooms.settings import RoomsSettings
from services.rooms.store import RoomStore, too_many_members
from services.rooms.tables import deletion_tables
from services.rooms.views_store import RoomViewStore
from services.runtime.clock import Clock
from services.runtime.contract import json_values
from services.runtime.contract.absent import users_not_found
from services.runtime.contract.errors import AlreadyExists, invalid_field
from services.runtime.contract.timestamps import rfc3339
from services.runtime.contract.validation import Validator
from services.runtime.erasure.store import DeletionStore
from services.runtime.ids import NOBODY, RoomUid, UserId
from services.runtime.peers.directory import DirectoryClient
from services.runtime.process.command import Tools
from services.runtime.process.records import Answers, Record, named, refusing, time_of
from services.runtime.process.transferring import Read, Write, export_command, import_command

_PAGE = 100
_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Imported:
    """A room to store, who is to be in it, and the place of the record."""

    where: str
    # Without members: who they are is asked when it is stored.
    draft: Draft
    member_ids: Sequence[str]


def reader(settings: RoomsSettings, clock: Clock) -> Read[Imported]:
    """Return what makes a room of a record, by the rules of CreateRoom and AddMembers."""
    validator, most = Validator(settings.limits), settings.limits[limit_pb2.LIMIT_ROOM_MEMBERS]

    def read(record: Record, answers: Answers) -> Imported:
        request = pb2.CreateRoomRequest(
            id=record["id"],
            name=record["name"],
            visibility="VISIBILITY_PRIVATE" if record["private"] else "VISIBILITY_PUBLIC",
            custom_data=json_values.struct_of(record.get("custom_data")),
            creator_id=record.get("created_by_id"),
            push_notification_title_override=record.get("push_notification_title_override"),
        )
        validator.check(request)
        if not request.id:
            raise invalid_field("FIELD_REQUIRED", "id", "must not be empty")
        members = list(dict.fromkeys(record["member_ids"]))
        for user_id in members:
            validator.check(memberships_pb2.AddMembersRequest(room_id=request.id, user_ids=[user_id]))
        draft = draft_of(request, RoomUid(uuid4()), UserId(request.creator_id))
        draft = replace(
            draft,
            custom_data=json_values.as_jsonb(draft.custom_data),
            create_time=time_of(record, "created_at", clock),
            update_time=time_of(record, "updated_at", clock),
        )
        if len(members) > most:
            answers.refuse(record["where"], too_many_members(most, len(members)), named("member", members[most:]))
        return Imported(record["where"], draft, members[:most])

    return read


@asynccontextmanager
async def writer(settings: RoomsSettings, tools: Tools, _clock: Clock) -> AsyncIterator[Write[Imported]]:
    """Lend what stores rooms."""
    limits = settings.limits
    deletions = DeletionStore(tools.database, deletion_tables, ())
    store = RoomStore(tools.database, deletions, limits[limit_pb2.LIMIT_ROOM_MEMBERS], Quotas(limits))
    users = DirectoryClient(tools.peer("users", settings.users_address))
    yield _Writer(store, RoomViewStore(tools.database), users, limits[limit_pb2.LIMIT_USERS_PER_GET]).write


class _Writer:
    """Stores rooms."""

    def __init__(self, store: RoomStore, views: RoomViewStore, users: DirectoryClient, users_at_once: int) -> None:
        self._store = store
        self._views = views
        self._users = users
        self._users_at_once = users_at_once

    async def write(self, items: Sequence[Imported], answers: Answers) -> None:
        """Store rooms with those of their members who exist."""
        for item in items:
            with refusing(item.where, answers):
                await self._put(await self._peopled(item, answers), answers)

    async def _peopled(self, item: Imported, answers: Answers) -> Draft:
        draft = item.draft
        creators = [draft.creator_id] if draft.creator_id else []
        known = await self._users.find_many([*item.member_ids, *creators], self._users_at_once, _SECONDS)
        for what, user_ids in (("member", item.member_ids), ("creator", creators)):
            if strangers := [user_id for user_id in user_ids if user_id not in known]:
                answers.refuse(item.where, users_not_found(strangers), named(what, strangers))
        members = {user_id: known[user_id] for user_id in item.member_ids if user_id in known}
        return replace(draft, members=members, creator_id=draft.creator_id if draft.creator_id in known else NOBODY)

    async def _put(self, draft: Draft, answers: Answers) -> None:
        try:
            # On behalf of nobody: limits of what users may do are no matter of an import.
            await self._store.create(draft, Actor(None, superuser=True))
        except AlreadyExists as taken:
            present = await self._views.find(draft.id)
            if present is None or not _is(present, draft):
                message = "a room with this id is there, which is described otherwise, and is left as it is"
                raise AlreadyExists(taken.reason, message, metadata=taken.metadata) from None
            answers.count("already_there")
        else:
            answers.count("taken")


async def export(_settings: RoomsSettings, tools: Tools) -> AsyncIterator[Record]:
    """Yield all rooms, by their ids."""
    views, after = RoomViewStore(tools.database), ""
    while page := await views.view_page(after, _PAGE):
        for view in page:
            yield _record(view)
        after = page[-1].room.id


def _is(view: RoomView, draft: Draft) -> bool:
    """Tell whether a room is as a draft describes it."""
    return _description(view.room) == _description(draft) and set(view.member_ids) == set(draft.members)


def _description(room: Room | Draft) -> tuple[object, ...]:
    custom_data = json_values.struct_of(room.custom_data)
    title, times = room.push_notification_title_override, (room.create_time, room.update_time)
    return (_name(room), room.visibility, custom_data, room.creator_id, title, *times)


def _name(room: Room | Draft) -> str:
    # Direct rooms have none, and every room of an export has one.
    return room.name or room.id


def _record(view: RoomView) -> Record:
    room = view.room
    optional = {
        "created_by_id": room.creator_id or None,
        "custom_data": json_values.as_doubles(room.custom_data),
        "push_notification_title_override": room.push_notification_title_override,
    }
    return {
        "id": room.id,
        "name": _name(room),
        "private": room.visibility is not Visibility.PUBLIC,
        "member_ids": view.member_ids,
        **{name: value for name, value in optional.items() if value is not None},
        "created_at": rfc3339(room.create_time),
        "updated_at": rfc3339(room.update_time),
    }


run_import = import_command("rooms", reader, writer)
run_export = export_command("rooms", export)
