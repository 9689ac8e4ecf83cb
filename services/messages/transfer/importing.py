"""`import` of messages: the rules of SendMessage, and the times of the export.

A record's id becomes its request id. So a record that comes again is found, and an import can be stopped and repeated.
Nobody need be a member to have said what they said.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chatkit.contract.v1 import limit_pb2, method_policy_pb2
from chatkit.messages.v1 import messages_service_pb2 as pb2
from chatkit.messages.v1 import part_pb2

from services.messages.attachments.service import Attachments, file_ids
from services.messages.attachments.store import ReferenceStore
from services.messages.drafts import draft_of
from services.messages.log.bulk import BulkLog, bulk_log
from services.messages.log.outcomes import Appended
from services.messages.model import Draft
from services.messages.peers import FilesClient
from services.messages.settings import MessagesSettings
from services.runtime.access.client import AccessClient
from services.runtime.access.port import AccessGrant, AccessQuery
from services.runtime.clock import Clock
from services.runtime.contract import json_values
from services.runtime.contract.absent import users_not_found
from services.runtime.contract.errors import ChatkitError, invalid_field
from services.runtime.contract.validation import Validator
from services.runtime.deadline import Deadline
from services.runtime.ids import NO_ROOM, UserId, UserUid
from services.runtime.peers.directory import DirectoryClient
from services.runtime.process.command import Tools
from services.runtime.process.records import Answers, Record, refuse, time_of
from services.runtime.process.transferring import Read, Write, import_command
from services.runtime.steps import slices

_SECONDS = 5.0
_MOST_KNOWN = 10_000
# As a superuser, who may send to every room on behalf of everybody.
_ANY_ROOM = AccessQuery(NO_ROOM, None, superuser=True, membership=method_policy_pb2.MEMBERSHIP_REQUIRED, permission="")


@dataclass(frozen=True, slots=True)
class Imported:
    """A message to store, and the place of the record."""

    where: str
    request: pb2.SendMessageRequest
    time: datetime
    edit_time: datetime | None


def reader(settings: MessagesSettings, clock: Clock) -> Read[Imported]:
    """Return what makes a send of a record, by the rules of SendMessage."""
    validator = Validator(settings.limits)

    def read(record: Record, _answers: Answers) -> Imported:
        request = pb2.SendMessageRequest(
            room_id=record["room_id"],
            sender_id=record["sender_id"],
            parts=map(_part, record["parts"]),
            request_id=record["id"],
            custom_data=json_values.struct_of(record.get("custom_data")),
        )
        validator.check(request)
        if not request.sender_id:
            raise invalid_field("FIELD_REQUIRED", "sender_id", "must not be empty")
        time, update_time = time_of(record, "created_at", clock), time_of(record, "updated_at", clock)
        return Imported(record["where"], request, time, update_time if update_time > time else None)

    return read


def _part(raw: Record) -> part_pb2.Part:
    payload = raw["payload"]
    match raw["part_type"]:
        case "inline":
            return part_pb2.Part(content_type=payload["type"], content=payload["content"])
        case "url":
            return part_pb2.Part(content_type=payload["type"], url=payload["url"])
        case "attachment":
            return part_pb2.Part(content_type=payload["type"], file_id=payload["file_id"])
        case kind:
            raise ValueError(f"part_type is {kind!r}")


@asynccontextmanager
async def writer(settings: MessagesSettings, tools: Tools, _clock: Clock) -> AsyncIterator[Write[Imported]]:
    """Lend what stores messages."""
    peers = _Peers(
        AccessClient(tools.peer("rooms", settings.rooms_address)),
        DirectoryClient(tools.peer("users", settings.users_address)),
        rooms_at_once=settings.limits[limit_pb2.LIMIT_ROOMS_PER_SUBSCRIPTION],
        users_at_once=settings.limits[limit_pb2.LIMIT_USERS_PER_GET],
    )
    files = FilesClient(tools.peer("files", settings.files_address))
    async with bulk_log(settings.database_url.get_secret_value()) as log:
        yield _Writer(peers, Attachments(files, ReferenceStore(tools.database)), log).write


class _Peers:
    """Who says which rooms and senders there are.

    What they said is kept: a room or a sender that is deleted meanwhile is refused by the log.
    """

    def __init__(self, access: AccessClient, users: DirectoryClient, *, rooms_at_once: int, users_at_once: int) -> None:
        self._access = access
        self._users = users
        self._rooms_at_once = rooms_at_once
        self._users_at_once = users_at_once
        self._rooms: dict[str, AccessGrant | ChatkitError] = {}
        self._senders: dict[str, UserUid] = {}

    async def rooms(self, items: Iterable[Imported]) -> Mapping[str, AccessGrant | ChatkitError]:
        """Return the rooms of messages by their ids, or why there is none."""
        wanted = _to_ask({item.request.room_id for item in items}, self._rooms)
        for room_ids in slices(wanted, self._rooms_at_once):
            self._rooms.update(zip(room_ids, await self._access.check_rooms(_ANY_ROOM, room_ids), strict=True))
        return self._rooms

    async def senders(self, items: Iterable[Imported]) -> Mapping[str, UserUid]:
        """Return those senders who exist, by their ids."""
        wanted = _to_ask({item.request.sender_id for item in items}, self._senders)
        self._senders |= await self._users.find_many(wanted, self._users_at_once, _SECONDS)
        return self._senders


def _to_ask(ids: AbstractSet[str], known: dict[str, Any]) -> list[str]:
    """Return those ids that are not known; of what is known not too much is kept."""
    unknown = ids - known.keys()
    if unknown and len(known) > _MOST_KNOWN:
        known.clear()
        return sorted(ids)
    return sorted(unknown)


class _Writer:
    """Stores messages."""

    def __init__(self, peers: _Peers, attachments: Attachments, log: BulkLog) -> None:
        self._peers = peers
        self._attachments = attachments
        self._log = log

    async def write(self, items: Sequence[Imported], answers: Answers) -> None:
        """Append messages, and say what became of each."""
        rooms, senders = await self._peers.rooms(items), await self._peers.senders(items)
        drafts: list[tuple[Imported, Draft]] = []
        for item in items:
            room, sender_uid = rooms[item.request.room_id], senders.get(item.request.sender_id)
            try:
                drafts.append((item, await self._draft(item, room, sender_uid)))
            except ChatkitError as error:
                refuse(item.where, error, answers)
        results = await self._log.append([draft for _, draft in drafts])
        for (item, _), result in zip(drafts, results, strict=True):
            if isinstance(result, ChatkitError):
                refuse(item.where, result, answers)
            else:
                _count(item, result, answers)

    async def _draft(self, item: Imported, room: AccessGrant | ChatkitError, sender_uid: UserUid | None) -> Draft:
        request = item.request
        if isinstance(room, ChatkitError):
            raise room
        if room.room_uid is None:
            raise RuntimeError("rooms has granted a room that it does not name")
        if sender_uid is None:
            raise users_not_found([request.sender_id])
        parts: Sequence[part_pb2.Part] = request.parts
        # Most have none.
        if file_ids(parts):
            parts = await self._attachments.attach(
                parts, room.room_uid, sender_uid, request.request_id, Deadline.after(_SECONDS)
            )
        sender_id = UserId(request.sender_id)
        return draft_of(request, room.room_uid, sender_id, sender_uid, parts, time=item.time, edit_time=item.edit_time)


def _count(item: Imported, result: Appended, answers: Answers) -> None:
    answers.count("taken" if result.is_new else "already_there")
    if result.is_new and result.entry.time > item.time:
        # Something later was there before it.
        answers.count("raised")


run_import = import_command("messages", reader, writer)
