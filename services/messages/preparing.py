"""What a send needs of others before it is a draft: the room, who its sender is, and its files.

Rooms and users are asked once for all messages that are prepared together; files for each message that has some.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from chatkit.messages.v1 import messages_service_pb2 as pb2
from chatkit.messages.v1 import part_pb2

from services.messages.attachments.service import Attachments, file_ids
from services.messages.drafts import Unattached, draft_of
from services.messages.model import Draft
from services.runtime.access.port import AccessGrant, AccessQuery, RoomsChecker
from services.runtime.contract.absent import users_not_found
from services.runtime.contract.errors import ChatkitError
from services.runtime.deadline import Deadline
from services.runtime.ids import NO_ROOM, RoomUid, UserId, UserUid
from services.runtime.peers.directory import DirectoryClient

_Question = TypeVar("_Question")
_Answer = TypeVar("_Answer")
Prepared = Draft | Unattached | ChatkitError


@dataclass(frozen=True, slots=True)
class Wanted:
    """A message that somebody wants to send: the request, which was checked, and what rooms is to be asked about it."""

    request: pb2.SendMessageRequest
    sender_id: UserId
    query: AccessQuery
    deadline: Deadline


class Preparation:
    """Makes drafts of what is wanted."""

    def __init__(self, users: DirectoryClient, attachments: Attachments, access: RoomsChecker) -> None:
        self._users = users
        self._attachments = attachments
        self._access = access

    def draft(self, wanted: Wanted) -> Draft | None:
        """Return the draft of a message for which nobody need be asked; None of any other. Raises USER_DELETED."""
        grant = self._access.kept(wanted.query)
        if grant is None or grant.room_uid is None or grant.user_uid is None or file_ids(wanted.request.parts):
            return None
        place = _Place(grant.room_uid, wanted.sender_id, grant.user_uid)
        return _draft(wanted.request, place, wanted.request.parts)

    async def prepare(self, wanted: Sequence[Wanted]) -> list[Prepared]:
        """Return the draft of each message, or why there is none."""
        grants = await self._grants(wanted)
        uids = await self._uids(wanted, grants)
        places = [_place(one.sender_id, grant, uids) for one, grant in zip(wanted, grants, strict=True)]
        attached = await self._attach(wanted, places)
        return [
            _prepared(one.request, place, attached.get(number, one.request.parts))
            for number, (one, place) in enumerate(zip(wanted, places, strict=True))
        ]

    async def _grants(self, wanted: Sequence[Wanted]) -> list[AccessGrant | ChatkitError]:
        """Return for each message the room, or why it has none."""
        answers: dict[AccessQuery, AccessGrant | ChatkitError] = {}
        for query in {one.query for one in wanted}:
            try:
                kept = self._access.kept(query)
            except ChatkitError as refusal:
                answers[query] = refusal
            else:
                if kept is not None:
                    answers[query] = kept
        answers |= await self._ask({one.query for one in wanted} - answers.keys())
        return [answers[one.query] for one in wanted]

    async def _ask(self, queries: Collection[AccessQuery]) -> Mapping[AccessQuery, AccessGrant | ChatkitError]:
        """Ask rooms one question, whatever there are of rooms and senders.

        The question is about one user. With several senders it is about none, because only a superuser has several and
        may send to any room on behalf of anybody: then users says who the senders are.
        """
        if not queries:
            return {}
        senders = {query.user_id for query in queries}
        room_ids = sorted({query.room_id for query in queries})
        sender = senders.pop() if len(senders) == 1 else None
        question = replace(next(iter(queries)), room_id=NO_ROOM, user_id=sender)
        try:
            grants = dict(zip(room_ids, await self._access.check_rooms(question, room_ids), strict=True))
        except ChatkitError as error:
            return dict.fromkeys(queries, error)
        return {query: grants[query.room_id] for query in queries}

    async def _uids(
        self, wanted: Sequence[Wanted], grants: Sequence[AccessGrant | ChatkitError]
    ) -> Mapping[str, UserUid] | ChatkitError:
        """Return who those senders are of whom rooms has not told it, as far as they exist."""
        strangers = {
            one.sender_id: one.deadline
            for one, grant in zip(wanted, grants, strict=True)
            if isinstance(grant, AccessGrant) and grant.user_uid is None
        }
        if not strangers:
            return {}
        try:
            return await self._users.find(strangers, max(strangers.values()))
        except ChatkitError as error:
            return error

    async def _attach(
        self, wanted: Sequence[Wanted], places: Sequence["_Place | ChatkitError"]
    ) -> Mapping[int, Sequence[part_pb2.Part] | ChatkitError]:
        """Return, by their numbers, the parts of those messages that have files, or why they can't have them."""

        async def attach(number: int) -> Sequence[part_pb2.Part]:
            request, place = wanted[number].request, places[number]
            if isinstance(place, ChatkitError):
                raise place
            return await self._attachments.attach(
                request.parts, place.room_uid, place.sender_uid, request.request_id, wanted[number].deadline
            )

        with_files = [number for number, one in enumerate(wanted) if file_ids(one.request.parts)]
        return await _answers(attach, with_files)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a message goes, and from whom."""

    room_uid: RoomUid
    sender_id: UserId
    sender_uid: UserUid


async def _answers(
    ask: Callable[[_Question], Awaitable[_Answer]], questions: Iterable[_Question]
) -> dict[_Question, _Answer | ChatkitError]:
    async def one(question: _Question) -> _Answer | ChatkitError:
        try:
            return await ask(question)
        except ChatkitError as error:
            return error

    asked = list(questions)
    return dict(zip(asked, await asyncio.gather(*map(one, asked)), strict=True))


def _place(
    sender: UserId, grant: AccessGrant | ChatkitError, uids: Mapping[str, UserUid] | ChatkitError
) -> _Place | ChatkitError:
    if isinstance(grant, ChatkitError):
        return grant
    if grant.user_uid is None and isinstance(uids, ChatkitError):
        return uids
    known = {} if isinstance(uids, ChatkitError) else uids
    sender_uid = grant.user_uid or known.get(sender)
    if sender_uid is None:
        return users_not_found([sender])
    if grant.room_uid is None:
        raise RuntimeError("rooms has granted a room that it does not name")
    return _Place(grant.room_uid, sender, sender_uid)


def _prepared(
    request: pb2.SendMessageRequest, place: _Place | ChatkitError, parts: Sequence[part_pb2.Part] | ChatkitError
) -> Prepared:
    if isinstance(place, ChatkitError):
        return place
    if isinstance(parts, ChatkitError):
        return Unattached(_draft(request, place, request.parts), parts)
    return _draft(request, place, parts)


def _draft(request: pb2.SendMessageRequest, place: _Place, parts: Sequence[part_pb2.Part]) -> Draft:
    return draft_of(request, place.room_uid, place.sender_id, place.sender_uid, parts)
