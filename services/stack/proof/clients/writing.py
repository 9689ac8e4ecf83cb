"""What users do that changes something: they send, one message or many, edit, delete, attach, and read on."""

import asyncio
import hashlib
import io
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import grpc

from chatkit_client import ChatkitError
from chatkit_client.types import (
    BatchSendMessagesRequest,
    DeleteMessageRequest,
    EditMessageRequest,
    ListMessagesRequest,
    Message,
    Part,
    SendMessageRequest,
    SetReadCursorRequest,
)
from services.stack.proof.clients.work import PATIENCE_SECONDS, Person, Work, now, shown, text
from services.stack.proof.history import Attachment, CursorMove, Kind, Outcome, Page, Write

# Of a hundred writes, so many of each kind.
_WEIGHTS = {Kind.SEND: 70, Kind.EDIT: 20, Kind.DELETE: 10}
_OPEN = Outcome.UNKNOWN
_MOST_AT_ONCE = 12
_PAGE = 50
_FILE_BYTES = 2_000


async def write(work: Work, person: Person, room_id: str) -> None:
    """Send a message, or edit or delete one of one's own."""
    own = person.own.setdefault(room_id, [])
    kind = work.chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0] if own else Kind.SEND
    content, request_id = _said(work, person, kind)
    seq = 0 if kind is Kind.SEND else own.pop(work.chance.randrange(len(own)))
    began = now()
    answer = await work.tried(person.client, _request(kind, room_id, seq, content, request_id))
    one = Write(room_id, person.user_id, kind, content, began, now(), _OPEN, message_seq=seq)
    _record(work, person, one, _message(answer))


async def send_twice(work: Work, person: Person, room_id: str) -> None:
    """Send the same message from two places at once, as a client does that has given up waiting too early."""
    content, request_id = _said(work, person, Kind.SEND)
    request = SendMessageRequest(room_id=room_id, parts=text(content), request_id=request_id)
    began, losses = now(), work.losses
    answers = await asyncio.gather(*(work.tried(person.client, request) for _ in range(2)))
    # One that was answered is lost by intent if a database was put back before the other one had its answer.
    answers = answers if work.losses == losses else []
    told = [message for answer in answers if (message := _message(answer)) is not None]
    also = tuple(message.seq for message in told)
    one = Write(room_id, person.user_id, Kind.SEND, content, began, now(), _OPEN, also_seqs=also)
    _record(work, person, one, next(iter(told), None))


async def send_many(work: Work, person: Person, room_id: str) -> None:
    """Send many messages, on a stream."""
    requests = _requests(work, person, room_id)
    began = now()
    left = set(requests)
    with suppress(ChatkitError, TimeoutError):
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for sent in person.client.send_many(requests.values()):
                request_id = sent.request.request_id
                left.discard(request_id)
                _record_one(work, person, requests[request_id], began, sent.message)
    for request_id in left:
        _record_one(work, person, requests[request_id], began, None)


async def send_batch(work: Work, person: Person, room_id: str) -> None:
    """Have many messages sent with one call, by a superuser, who alone may."""
    requests = _requests(work, person, room_id)
    for request in requests.values():
        request.sender_id = person.user_id
    began = now()
    answer = await work.tried(work.admin, BatchSendMessagesRequest(requests=requests.values()))
    results = answer.results if answer is not None else [None] * len(requests)
    for request, result in zip(requests.values(), results, strict=True):
        is_there = result is not None and result.HasField("message")
        _record_one(work, person, request, began, result.message if is_there else None)


async def send_what_is_refused(work: Work, person: Person, room_id: str) -> None:
    """Send what no log ever takes: a part without a type."""
    content, request_id = _said(work, person, Kind.SEND)
    began, outcome = now(), _OPEN
    request = SendMessageRequest(room_id=room_id, parts=[Part(content=content)], request_id=request_id)
    try:
        await person.client.call(request, deadline=PATIENCE_SECONDS, repeatable=True)
    except ChatkitError as error:
        outcome = Outcome.REFUSED if error.code is grpc.StatusCode.INVALID_ARGUMENT else _OPEN
    work.history.writes.append(Write(room_id, person.user_id, Kind.SEND, content, began, now(), outcome))


async def attach(work: Work, person: Person, room_id: str) -> None:
    """Send a message with a file."""
    content, request_id = _said(work, person, Kind.SEND)
    data = work.chance.randbytes(_FILE_BYTES)
    with suppress(ChatkitError):
        file = await person.client.upload(room_id, io.BytesIO(data), name="a file", content_type="image/png")
        parts = [*text(content), Part(content_type="image/png", file_id=file.id)]
        began = now()
        answer = await work.tried(
            person.client, SendMessageRequest(room_id=room_id, parts=parts, request_id=request_id)
        )
        one = Write(room_id, person.user_id, Kind.SEND, content, began, now(), _OPEN)
        # Nobody edits it: an edit without the file would take it away.
        _record(work, person, one, _message(answer), is_kept=False)
        if answer is not None:
            work.history.attachments.append(Attachment(room_id, file.id, hashlib.sha256(data).hexdigest(), "", now()))


async def read_on(work: Work, person: Person, room_id: str) -> None:
    """Read the newest messages, and move one's cursor to one of them."""
    found = await read(work, person, room_id)
    if not found:
        return
    seq = work.chance.choice(found)
    answer = await work.tried(person.client, SetReadCursorRequest(room_id=room_id, seq=seq))
    if answer is None:
        move = CursorMove(room_id, person.user_id, seq, _OPEN, now())
    else:
        # It may be farther on already.
        move = CursorMove(room_id, person.user_id, answer.cursor.seq, Outcome.ACKNOWLEDGED, now())
    work.history.cursor_moves.append(move)


async def read(work: Work, person: Person, room_id: str) -> list[int]:
    """Read the newest messages, and return their places."""
    began = now()
    with suppress(ChatkitError):
        answer = await person.client.call(ListMessagesRequest(room_id=room_id, page_size=_PAGE))
        found = [shown(one) for one in reversed(answer.messages)]
        if found:
            first, last = found[0].message_seq, found[-1].message_seq
            work.history.pages.append(Page(room_id, person.user_id, began, now(), first, last, found))
        return [one.message_seq for one in found]
    return []


def _requests(work: Work, person: Person, room_id: str) -> Mapping[str, SendMessageRequest]:
    said = (_said(work, person, Kind.SEND) for _ in range(work.chance.randint(2, _MOST_AT_ONCE)))
    requests = (SendMessageRequest(room_id=room_id, parts=text(content), request_id=one) for content, one in said)
    return {request.request_id: request for request in requests}


def _message(answer: Any) -> Message | None:
    return answer.message if answer is not None else None


def _said(work: Work, person: Person, kind: Kind) -> tuple[str, str]:
    """Return what a write says, which no other one does, and by which id it is sent."""
    number = work.number()
    return "" if kind is Kind.DELETE else f"{kind} {number} of {person.user_id}", f"{work.name} {number}"


def _record_one(work: Work, person: Person, request: SendMessageRequest, began: float, message: Message | None) -> None:
    content = request.parts[0].content
    _record(work, person, Write(request.room_id, person.user_id, Kind.SEND, content, began, now(), _OPEN), message)


def _record(work: Work, person: Person, one: Write, message: Message | None, *, is_kept: bool = True) -> None:
    """Record a write with the message that its answer shows; without an answer it stays open whether it happened."""
    if message is not None:
        one = replace(one, outcome=Outcome.ACKNOWLEDGED, seq=message.revision, message_seq=message.seq)
        if is_kept and one.kind is not Kind.DELETE:
            person.own.setdefault(one.room_id, []).append(one.message_seq)
    work.history.writes.append(one)


def _request(kind: Kind, room_id: str, seq: int, content: str, request_id: str) -> Any:
    match kind:
        case Kind.SEND:
            return SendMessageRequest(room_id=room_id, parts=text(content), request_id=request_id)
        case Kind.EDIT:
            return EditMessageRequest(room_id=room_id, seq=seq, parts=text(content), request_id=request_id)
        case Kind.DELETE:
            return DeleteMessageRequest(room_id=room_id, seq=seq)
