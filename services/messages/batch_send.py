"""BatchSendMessages: many messages in one call of a superuser's, each with a result of its own.

Rooms and users are asked once for all messages together; files for each message that has some.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from chatkit.contract.v1 import method_policy_pb2
from chatkit.messages.v1 import messages_service_pb2 as pb2
from chatkit.messages.v1 import part_pb2

from services.messages.attachments.service import Attachments, clear_output, file_ids
from services.messages.drafts import draft_of
from services.messages.log.outcomes import Appended, Result
from services.messages.model import Draft
from services.messages.service import Messages
from services.runtime.access.port import AccessGrant, AccessQuery, RoomsChecker
from services.runtime.contract.absent import users_not_found
from services.runtime.contract.errors import ChatkitError, invalid_field
from services.runtime.contract.policies import Limits
from services.runtime.contract.validation import Validator
from services.runtime.deadline import Deadline
from services.runtime.ids import NO_ROOM, RoomId, RoomUid, UserId, UserUid
from services.runtime.peers.directory import DirectoryClient

_Question = TypeVar("_Question")
_Answer = TypeVar("_Answer")


class BatchSend:
    """Sends of many messages."""

    def __init__(
        self,
        messages: Messages,
        users: DirectoryClient,
        attachments: Attachments,
        access: RoomsChecker,
        limits: Limits,
    ) -> None:
        self._messages = messages
        self._users = users
        self._attachments = attachments
        self._access = access
        self._validator = Validator(limits)

    async def send(
        self, requests: Sequence[pb2.SendMessageRequest], subject: UserId | None, deadline: Deadline
    ) -> list[bytes | ChatkitError]:
        """Append the messages that can be appended; return each as it is stored, or why it is not."""
        for request in requests:
            clear_output(request.parts)
        senders = [self._sender(request, subject) for request in requests]
        grants = await self._grants(requests, senders)
        uids = await self._uids(senders, grants, deadline)
        places = [_place(sender, grant, uids) for sender, grant in zip(senders, grants, strict=True)]
        attached = await self._attach(requests, places, deadline)
        drafts = [
            _draft(request, place, attached.get(number, request.parts))
            for number, (request, place) in enumerate(zip(requests, places, strict=True))
        ]
        accepted = [draft for draft in drafts if isinstance(draft, Draft)]
        results = iter(await self._messages.send_each(accepted, deadline))
        outcomes = [next(results) if isinstance(draft, Draft) else draft for draft in drafts]
        for number, before in (await self._sent_before(requests, places, attached)).items():
            outcomes[number] = before
        return [outcome.message if isinstance(outcome, Appended) else outcome for outcome in outcomes]

    def _sender(self, request: pb2.SendMessageRequest, subject: UserId | None) -> UserId | ChatkitError:
        try:
            self._validator.check(request)
        except ChatkitError as error:
            return error
        return UserId(request.sender_id) if request.sender_id else subject or _nobody_sends()

    async def _grants(
        self, requests: Sequence[pb2.SendMessageRequest], senders: Sequence[UserId | ChatkitError]
    ) -> list[AccessGrant | ChatkitError]:
        """Return for each message the room, or why it has none."""
        queries = [
            sender if isinstance(sender, ChatkitError) else _query(RoomId(request.room_id), sender)
            for request, sender in zip(requests, senders, strict=True)
        ]
        asked = {query for query in queries if not isinstance(query, ChatkitError)}
        kept = {query: grant for query in asked if (grant := self._access.kept(query)) is not None}
        answers = {**kept, **await self._ask(asked - kept.keys())}
        return [query if isinstance(query, ChatkitError) else answers[query] for query in queries]

    async def _ask(self, queries: Collection[AccessQuery]) -> Mapping[AccessQuery, AccessGrant | ChatkitError]:
        """Ask rooms one question, whatever there are of rooms and senders.

        The question is about one user. With several senders it is about none, because a superuser may send to any room
        on behalf of anybody: then users says who the senders are.
        """
        if not queries:
            return {}
        senders = {query.user_id for query in queries}
        room_ids = sorted({query.room_id for query in queries})
        question = _query(NO_ROOM, senders.pop() if len(senders) == 1 else None)
        try:
            grants = dict(zip(room_ids, await self._access.check_rooms(question, room_ids), strict=True))
        except ChatkitError as error:
            return dict.fromkeys(queries, error)
        return {query: grants[query.room_id] for query in queries}

    async def _uids(
        self, senders: Sequence[UserId | ChatkitError], grants: Sequence[AccessGrant | ChatkitError], deadline: Deadline
    ) -> Mapping[str, UserUid] | ChatkitError:
        """Return who those senders are of whom rooms has not told it, as far as they exist."""
        strangers = {
            sender
            for sender, grant in zip(senders, grants, strict=True)
            if isinstance(sender, str) and isinstance(grant, AccessGrant) and grant.user_uid is None
        }
        if not strangers:
            return {}
        try:
            return await self._users.find(strangers, deadline)
        except ChatkitError as error:
            return error

    async def _attach(
        self, requests: Sequence[pb2.SendMessageRequest], places: Sequence["_Place | ChatkitError"], deadline: Deadline
    ) -> Mapping[int, Sequence[part_pb2.Part] | ChatkitError]:
        """Return, by their numbers, the parts of those messages that have files, or why they can't have them."""

        async def attach(number: int) -> Sequence[part_pb2.Part]:
            request, place = requests[number], places[number]
            if isinstance(place, ChatkitError):
                raise place
            return await self._attachments.attach(
                request.parts, place.room_uid, place.sender_uid, request.request_id, deadline
            )

        with_files = [number for number, request in enumerate(requests) if file_ids(request.parts)]
        return await _answers(attach, with_files)

    async def _sent_before(
        self,
        requests: Sequence[pb2.SendMessageRequest],
        places: Sequence["_Place | ChatkitError"],
        attached: Mapping[int, Sequence[part_pb2.Part] | ChatkitError],
    ) -> Mapping[int, Result]:
        """Return, by their numbers, what answers those messages that can't have their files and were sent before."""
        refused = {
            number: draft
            for number, parts in attached.items()
            if isinstance(parts, ChatkitError)
            and isinstance(draft := _draft(requests[number], places[number], requests[number].parts), Draft)
        }
        if not refused:
            return {}
        try:
            found = await self._messages.sent_before(list(refused.values()))
        except ChatkitError as error:
            return dict.fromkeys(refused, error)
        return {number: before for number, before in zip(refused, found, strict=True) if before is not None}


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


def _nobody_sends() -> ChatkitError:
    return invalid_field("SUBJECT_REQUIRED", "sender_id", "neither the message nor the token says who sends it")


def _query(room_id: RoomId, sender: UserId | None) -> AccessQuery:
    # The permission of none is asked for: a superuser sends, on the sender's behalf.
    return AccessQuery(room_id, sender, superuser=True, membership=method_policy_pb2.MEMBERSHIP_REQUIRED, permission="")


def _place(
    sender: UserId | ChatkitError, grant: AccessGrant | ChatkitError, uids: Mapping[str, UserUid] | ChatkitError
) -> _Place | ChatkitError:
    if isinstance(sender, ChatkitError):
        return sender
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


def _draft(
    request: pb2.SendMessageRequest, place: _Place | ChatkitError, parts: Sequence[part_pb2.Part] | ChatkitError
) -> Draft | ChatkitError:
    if isinstance(place, ChatkitError):
        return place
    if isinstance(parts, ChatkitError):
        return parts
    return draft_of(request, place.room_uid, place.sender_id, place.sender_uid, parts)
