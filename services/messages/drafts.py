"""Drafts from requests: what a sender wants said, and by what it is recognised when it is said again.

What files say of themselves is stored and not recognised by: it may be other by then.

A content hash is the SHA-256 of the parts. That of the custom data follows it where there is some; of an edit, where it
says some, if only that there shall be none.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from chatkit.messages.v1 import messages_service_pb2 as pb2
from chatkit.messages.v1 import part_pb2

from services.messages import frames
from services.messages.model import Draft, Edit
from services.runtime.contract.errors import ChatkitError
from services.runtime.contract.wire import embedded
from services.runtime.ids import NO_ROOM, NOBODY, RoomId, RoomUid, UserId, UserUid

_PARTS = pb2.SendMessageRequest.PARTS_FIELD_NUMBER


@dataclass(frozen=True, slots=True)
class Unattached:
    """A send whose files can't be attached: by what it is recognised if it was made before, and why it can't be now."""

    draft: Draft
    refusal: ChatkitError


def draft_of(
    request: pb2.SendMessageRequest,
    room_uid: RoomUid,
    sender_id: UserId,
    sender_uid: UserUid,
    parts: Sequence[part_pb2.Part],
    *,
    time: datetime | None = None,
    edit_time: datetime | None = None,
) -> Draft:
    """Return the draft of a request, with its parts as they are to be stored: with what their files are.

    What this version does not know, and what a sender can't say, must have been taken from the request. The times are
    those of a message that was said and edited before, elsewhere.
    """
    said, stored = _serialized(request.parts, parts)
    # Empty and unset are the same here.
    custom_data = _custom_data(request) or None
    return Draft(
        room_uid=room_uid,
        room_id=RoomId(request.room_id),
        sender_uid=sender_uid,
        sender_id=sender_id,
        request_id=request.request_id,
        content_hash=_content_hash(said, custom_data),
        unplaced=frames.unplaced_message(RoomId(request.room_id), sender_id, stored, custom_data, edit_time),
        time=time,
    )


def edit_of(
    request: pb2.EditMessageRequest, room_uid: RoomUid, request_id: str, parts: Sequence[part_pb2.Part]
) -> Edit:
    """Return the edit of a request, with its parts as they are to be stored; see draft_of."""
    said, stored = _serialized(request.parts, parts)
    custom_data = _custom_data(request)
    return Edit(
        room_uid=room_uid,
        room_id=RoomId(request.room_id),
        seq=request.seq,
        request_id=request_id,
        content_hash=_content_hash(said, custom_data),
        parts=frames.unplaced_message(NO_ROOM, NOBODY, stored),
        custom_data=custom_data,
    )


def _serialized(said: Sequence[part_pb2.Part], stored: Sequence[part_pb2.Part]) -> tuple[list[bytes], list[bytes]]:
    """Serialize the parts as they were said and as they are stored, once where they are the same."""
    serialized = frames.serialized_parts(said)
    return serialized, serialized if stored is said else frames.serialized_parts(stored)


def _custom_data(request: pb2.SendMessageRequest | pb2.EditMessageRequest) -> bytes | None:
    """Serialize custom data, equal ones to equal bytes; None where it is unset."""
    return request.custom_data.SerializeToString(deterministic=True) if request.HasField("custom_data") else None


def _content_hash(parts: Sequence[bytes], custom_data: bytes | None) -> bytes:
    """Return the hash by which equal content is recognised: its parts as those of a SendMessageRequest without more."""
    of_parts = hashlib.sha256(b"".join([embedded(_PARTS, part) for part in parts])).digest()
    return of_parts if custom_data is None else of_parts + hashlib.sha256(custom_data).digest()
