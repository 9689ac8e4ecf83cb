"""Users of a Chatkit export, taken and given with the times that they have. What Chatkit did not have is left out."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

from chatkit.users.v1 import users_service_pb2 as pb2

from services.runtime.clock import Clock
from services.runtime.contract import json_values
from services.runtime.contract.errors import AlreadyExists, FailedPrecondition
from services.runtime.contract.timestamps import rfc3339
from services.runtime.contract.validation import Validator
from services.runtime.erasure.store import DeletionStore
from services.runtime.ids import UserUid
from services.runtime.process.command import Tools
from services.runtime.process.records import Answers, Record, time_of
from services.runtime.process.transferring import Read, Write, export_command, import_command
from services.users.model import PageStart, User
from services.users.protos import draft_of, user_proto
from services.users.settings import UsersSettings
from services.users.store import UserStore
from services.users.tables import deletion_tables

_PAGE = 500


@dataclass(frozen=True, slots=True)
class Imported:
    """A user to store, and the place of the record."""

    where: str
    user: User


def reader(settings: UsersSettings, clock: Clock) -> Read[Imported]:
    """Return what makes a user of a record, by the rules of CreateUser."""
    validator = Validator(settings.limits)

    def read(record: Record, _answers: Answers) -> Imported:
        request = pb2.CreateUserRequest(
            id=record["id"],
            name=record["name"],
            avatar_url=record.get("avatar_url"),
            custom_data=json_values.struct_of(record.get("custom_data")),
        )
        validator.check(request)
        draft = draft_of(request)
        user = User(
            uid=UserUid(uuid4()),
            id=draft.id,
            name=draft.name,
            avatar_url=draft.avatar_url,
            custom_data=json_values.as_jsonb(draft.custom_data),
            create_time=time_of(record, "created_at", clock),
            update_time=time_of(record, "updated_at", clock),
        )
        return Imported(record["where"], user)

    return read


@asynccontextmanager
async def writer(_settings: UsersSettings, tools: Tools, _clock: Clock) -> AsyncIterator[Write[Imported]]:
    """Lend what stores users."""
    store = _store(tools)

    async def write(items: Sequence[Imported], answers: Answers) -> None:
        if not items:
            return
        try:
            present = await store.insert_past([item.user for item in items])
        except FailedPrecondition as being_deleted:
            if len(items) == 1:
                answers.refuse(items[0].where, being_deleted)
                return
            # One of them can't be stored, and the others can.
            for item in items:
                await write([item], answers)
            return
        for item in items:
            _answer(item, present.get(item.user.id), answers)

    yield write


async def export(_settings: UsersSettings, tools: Tools) -> AsyncIterator[Record]:
    """Yield all users, by their times of creation."""
    store, start = _store(tools), PageStart(None, None)
    while page := await store.page(start, _PAGE):
        for user in page:
            yield _record(user)
        start = PageStart(None, (page[-1].create_time, page[-1].id))


def _store(tools: Tools) -> UserStore:
    return UserStore(tools.database, DeletionStore(tools.database, deletion_tables, ()))


def _answer(item: Imported, present: User | None, answers: Answers) -> None:
    if present is None:
        answers.count("taken")
    elif user_proto(present) == user_proto(item.user):
        answers.count("already_there")
    else:
        message = "a user with this id is there, who is described otherwise, and is left as they are"
        metadata = {"user_ids": json.dumps([present.id], ensure_ascii=False)}
        answers.refuse(item.where, AlreadyExists("USER_ALREADY_EXISTS", message, metadata=metadata))


def _record(user: User) -> Record:
    optional = {"avatar_url": user.avatar_url or None, "custom_data": json_values.as_doubles(user.custom_data)}
    return {
        "id": user.id,
        "name": user.name,
        **{name: value for name, value in optional.items() if value is not None},
        "created_at": rfc3339(user.create_time),
        "updated_at": rfc3339(user.update_time),
    }


run_import = import_command("users", reader, writer)
run_export = export_command("users", export)
