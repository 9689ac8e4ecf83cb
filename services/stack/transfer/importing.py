"""An import: a look at every record, which tells what can't be taken, and then the writing of the others.

Services are given their records one after the other: users, rooms, and then messages, room by room and in the order of
their times, half of the rooms beside the other half. All is harmless to repeat, so an import that was stopped anywhere
is run again.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from chatkit.contract.v1 import limit_pb2
from chatkit.users.v1 import users_service_pb2

from chatkit_client import ChatkitError as Refused
from chatkit_client import Client
from services.runtime.contract.absent import users_not_found
from services.runtime.contract.errors import ChatkitError
from services.runtime.contract.policies import Limits
from services.runtime.contract.validation import Validator
from services.runtime.process.records import LOOK_FIRST, named
from services.stack.exports.files import texts
from services.stack.exports.records import OddRecord, Raw, record, text
from services.stack.transfer import records
from services.stack.transfer.attachments import LocalFiles, creation, hash_of, upload
from services.stack.transfer.children import Answer, Child, feeding, running
from services.stack.transfer.records import UNKNOWN_TIME, Record, microseconds
from services.stack.transfer.report import Refusal, Report
from services.stack.transfer.staging import Staging
from services.stack.trouble import Trouble

# Of a part whose file is not there yet, where it is only looked at.
_NO_FILE = "0"
_MESSAGES = "messages"
# In the order in which they need one another.
_KINDS = ("users", "rooms", _MESSAGES)
# Processes that write messages, each those of other rooms: one alone is busier than all others.
_LANES = 2
_ATTACHMENT = '"attachment"'

Environment = Callable[[str], Mapping[str, str]]
Advance = Callable[[int], None]


@asynccontextmanager
async def importing(
    folder: Path, files: LocalFiles, environment: Environment, client: Client, report: Report
) -> AsyncIterator["Importer"]:
    """Lend an import of a folder; `environment` is what the process of a service is told.

    All processes start at once, because to start takes longer than most have to do.
    """
    async with AsyncExitStack() as stack:
        services = {
            kind: [
                await stack.enter_async_context(running(kind, environment(kind), "import", f"--{LOOK_FIRST}"))
                for _ in range(_LANES if kind == _MESSAGES else 1)
            ]
            for kind in _KINDS
        }
        with closing(Staging(_LANES)) as staging:
            yield Importer(folder, files, services, client, report, staging, Limits.from_environ(environment("files")))


class Importer:
    """One import of a folder."""

    def __init__(
        self,
        folder: Path,
        files: LocalFiles,
        services: Mapping[str, Sequence[Child]],
        client: Client,
        report: Report,
        staging: Staging,
        limits: Limits,
    ) -> None:
        self._folder = folder
        self._files = files
        self._services = services
        self._client = client
        self._report = report
        self._staging = staging
        self._limits = limits
        self._check_file = Validator(self._limits).check
        # By their ids, users and rooms that are to be there: where the first record of each stands, and its hash.
        self._known: dict[str, dict[str, tuple[str, int]]] = {"users": {}, "rooms": {}}
        self._deleted_rooms: set[str] = set()
        # When a room was created, and then when the last message that was read of it was sent.
        self._last_times: dict[str, str] = {}

    async def look(self, advance: Advance) -> int:
        """Read everything, and return how many records can be taken; raises Trouble when it can't go on."""
        for kind in _KINDS:
            async with self._feeding(kind, lambda _: None, is_look=True) as (service, *_):
                for place, as_text in texts(self._folder, kind):
                    self._report.counts[kind]["read"] += 1
                    try:
                        await self._look_at(kind, place, record(as_text), service)
                    except OddRecord as odd:
                        self._refuse(kind, place, "", str(odd))
                    advance(1)
        await self._refuse_strangers()
        return sum(self._staging.count(kind) for kind in _KINDS)

    async def write(self, advance: Advance) -> None:
        """Write what can be taken, after the look; raises Trouble when it can't go on."""
        for kind in _KINDS:
            async with self._feeding(kind, advance, is_look=False) as services:
                lanes = [asyncio.create_task(self._write(kind, lane, one)) for lane, one in enumerate(services)]
                try:
                    await asyncio.gather(*lanes)
                finally:
                    # Where one can't go on nothing of the others is wanted.
                    for writing in lanes:
                        writing.cancel()

    async def _write(self, kind: str, lane: int, service: Child) -> None:
        for number, told in self._staging.lane(kind, lane):
            ready = await self._uploaded(number, told) if kind == _MESSAGES else told
            if ready is not None:
                await service.feed(number, ready)

    @asynccontextmanager
    async def _feeding(self, kind: str, advance: Advance, *, is_look: bool) -> AsyncIterator[Sequence[Child]]:
        services = self._services[kind]
        told: list[Counter[str]] = [Counter() for _ in services]

        def hear(lane: int, answer: Answer) -> None:
            if "counts" not in answer:
                self._hear_refusal(answer)
                return
            counts: Counter[str] = Counter(answer["counts"])
            advance(counts["read"] - told[lane]["read"])
            told[lane] = counts
            of_all = sum(told, Counter())
            del of_all["read"]
            self._report.set(kind, of_all)

        async with AsyncExitStack() as stack:
            for lane, service in enumerate(services):
                await stack.enter_async_context(feeding(service, partial(hear, lane), is_look=is_look))
            yield services

    def _hear_refusal(self, answer: Answer) -> None:
        number = int(answer["where"])
        staged = self._staging.find(number)
        if not answer["part"]:
            self._staging.remove(number)
            self._known.get(staged.kind, {}).pop(staged.key, None)
        refusal = Refusal(staged.place, answer["reason"], answer["message"], answer["part"])
        self._report.refuse(staged.kind, refusal, answer["metadata"])

    def _refuse(self, kind: str, place: str, reason: str, message: str, part: str = "") -> None:
        self._report.refuse(kind, Refusal(place, reason, message, part), {})

    # The look.

    async def _look_at(self, kind: str, place: str, raw: Raw, service: Child) -> None:
        """Keep a record that may be taken, and let its service look at it; raises OddRecord."""
        if records.is_deleted(raw):
            self._report.counts[kind]["deleted"] += 1
            if kind == "rooms":
                self._deleted_rooms.add(text(raw, "id"))
        elif kind == _MESSAGES:
            await self._look_at_message(place, raw, service)
        else:
            told = records.user(raw) if kind == "users" else records.room(raw)
            as_json = _json(told)
            if self._is_first(kind, place, told, as_json):
                await service.feed(self._staging.add(kind, place, told["id"], as_json), as_json)

    def _is_first(self, kind: str, place: str, told: Record, as_json: str) -> bool:
        """Tell whether a record is the first of its id; raises OddRecord for another of the same id."""
        first_place, first = self._known[kind].setdefault(told["id"], (place, hash(as_json)))
        if first != hash(as_json):
            raise OddRecord(f"differs from {first_place}, which has the same id")
        self._report.counts[kind]["repeated"] += first_place != place
        if kind == "rooms":
            self._last_times[told["id"]] = told["created_at"]
        return first_place == place

    async def _look_at_message(self, place: str, raw: Raw, service: Child) -> None:
        told = records.message(raw)
        room_id = told["room_id"]
        if room_id in self._deleted_rooms and room_id not in self._known["rooms"]:
            self._report.counts[_MESSAGES]["deleted"] += 1
            return
        if room_id not in self._known["rooms"]:
            raise OddRecord("its room is not in the export, or was refused")
        if told["created_at"] is None:
            self._report.counts[_MESSAGES]["without_time"] += 1
        time = told["created_at"] or self._last_times.get(room_id, UNKNOWN_TIME)
        told |= {"created_at": time, "updated_at": told["updated_at"] or time}
        self._last_times[room_id] = time
        if not self._find_files(place, told):
            return
        as_json = _json(told)
        number = self._staging.add(_MESSAGES, place, told["sender_id"], as_json, room=room_id, time=microseconds(time))
        if _has_attachments(told):
            as_json = _json({**told, "parts": [_without_path(part) for part in told["parts"]]})
        await service.feed(number, as_json)

    def _find_files(self, place: str, told: Record) -> bool:
        """Let attachments name their files, or their URLs where there is no file; False where a file can't be taken."""
        for number, part in enumerate(told["parts"]):
            if part["part_type"] != "attachment":
                continue
            payload = part["payload"]
            path = self._files.find(payload["download_url"])
            if path is None:
                part |= {"part_type": "url", "payload": {"type": payload["type"], "url": payload["download_url"]}}
                continue
            payload["path"] = str(path)
            try:
                self._check_file(creation(told, number, part))
            except OSError as error:
                self._refuse(_MESSAGES, place, "", f"{path} can't be read: {error.strerror}")
                return False
            except ChatkitError as error:
                refusal = Refusal(place, error.reason, f"{path.name}: {error.message}")
                self._report.refuse(_MESSAGES, refusal, error.metadata)
                return False
        return True

    async def _refuse_strangers(self) -> None:
        """Refuse what is of users who are neither in the export nor there."""
        strangers = {user_id for user_id in self._staging.keys(_MESSAGES) if user_id not in self._known["users"]}
        all_rooms = ((number, json.loads(told)) for number, told in self._staging.records("rooms"))
        rooms = [(number, told) for number, told in all_rooms if self._has_strangers(told)]
        for _, told in rooms:
            strangers.update(user_id for user_id in _people(told) if user_id not in self._known["users"])
        missing = strangers - await self._found(sorted(strangers))
        for number, told in rooms:
            place = self._staging.find(number).place
            creators = [told["created_by_id"]] if "created_by_id" in told else []
            for what, user_ids in (("member", told["member_ids"]), ("creator", creators)):
                self._refuse_part(place, what, [user_id for user_id in user_ids if user_id in missing])
        for number, place in self._staging.of_keys(_MESSAGES, missing):
            self._staging.remove(number)
            error = users_not_found(["one"])
            self._refuse(_MESSAGES, place, error.reason, f"the sender: {error.message}")

    def _has_strangers(self, told: Record) -> bool:
        return any(user_id not in self._known["users"] for user_id in _people(told))

    def _refuse_part(self, place: str, what: str, user_ids: Sequence[str]) -> None:
        if user_ids:
            error = users_not_found(user_ids)
            self._refuse("rooms", place, error.reason, error.message, named(what, user_ids))

    async def _found(self, user_ids: Sequence[str]) -> set[str]:
        found: set[str] = set()
        waiting = iter(user_ids)
        while some := list(islice(waiting, self._limits[limit_pb2.LIMIT_USERS_PER_GET])):
            request = users_service_pb2.BatchGetUsersRequest(user_ids=some)
            try:
                answer = await self._client.call(request)
            except Refused as error:
                raise Trouble(f"users can't be asked: {error}") from None
            found.update(user.id for user in answer.users)
        return found

    # The writing.

    async def _uploaded(self, number: int, as_json: str) -> str | None:
        """Return a message whose parts name files of the suite; None where a file was refused."""
        # Most have none, and need not be read for it.
        if _ATTACHMENT not in as_json:
            return as_json
        told = json.loads(as_json)
        for index, part in enumerate(told["parts"]):
            if part["part_type"] != "attachment":
                continue
            path = Path(part["payload"]["path"])
            try:
                sha256 = await asyncio.to_thread(hash_of, path)
                file_id = await upload(self._client, creation(told, index, part, sha256), path)
            except (Refused, OSError) as error:
                self._give_up(number, error, path)
                return None
            part["payload"] = {"type": part["payload"]["type"], "file_id": file_id}
            self._report.counts[_MESSAGES]["files"] += 1
        return _json(told)

    def _give_up(self, number: int, error: Refused | OSError, path: Path) -> None:
        """Refuse a message whose file was refused; raises Trouble when nothing can be uploaded now."""
        place = self._staging.find(number).place
        if isinstance(error, OSError):
            self._refuse(_MESSAGES, place, "", f"{path} can't be read: {error.strerror}")
        elif error.is_passing or error.is_turned_away:
            raise Trouble(f"{place}: {path.name} can't be uploaded: {error}") from None
        else:
            refusal = Refusal(place, error.reason, f"{path.name}: {error.message}")
            self._report.refuse(_MESSAGES, refusal, error.metadata)


def _json(told: Record) -> str:
    return json.dumps(told, ensure_ascii=False)


def _has_attachments(told: Record) -> bool:
    return any(part["part_type"] == "attachment" for part in told["parts"])


def _people(room: Record) -> Iterator[str]:
    yield from room["member_ids"]
    if "created_by_id" in room:
        yield room["created_by_id"]


def _without_path(part: Mapping[str, Any]) -> Mapping[str, Any]:
    if part["part_type"] != "attachment":
        return part
    return {**part, "payload": {"type": part["payload"]["type"], "file_id": _NO_FILE}}
