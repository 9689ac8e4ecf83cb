"""Drafts from requests: what a sender wants said, and by what it is recognised when it is said again."""

import hashlib
from collections.abc import Sequence
from uuid import UUID

from chatkit.messages.v1 import messages_service_pb2 as pb2

from services.messages import wire
from services.messages.model import Draft, Edit

_PARTS = pb2.SendMessageRequest.PARTS_FIELD_NUMBER


def draft_of(request: pb2.SendMessageRequest, room_uid: UUID, sender_id: str, sender_uid: UUID) -> Draft:
    """Return the draft of a request; what this version does not know must have been discarded."""
    parts = wire.serialized_parts(request.parts)
    return Draft(
        room_uid=room_uid,
        room_id=request.room_id,
        sender_uid=sender_uid,
        request_id=request.request_id,
        content_hash=_content_hash(parts),
        unplaced=wire.unplaced_message(request.room_id, sender_id, parts),
    )


def edit_of(request: pb2.EditMessageRequest, room_uid: UUID, request_id: str) -> Edit:
    """Return the edit of a request; what this version does not know must have been discarded."""
    parts = wire.serialized_parts(request.parts)
    return Edit(
        room_uid=room_uid,
        room_id=request.room_id,
        seq=request.seq,
        request_id=request_id,
        content_hash=_content_hash(parts),
        parts=wire.unplaced_message("", "", parts),
    )


def _content_hash(parts: Sequence[bytes]) -> bytes:
    """Return the hash by which equal parts are recognised: of a SendMessageRequest that has nothing else."""
    return hashlib.sha256(b"".join([wire.embedded(_PARTS, part) for part in parts])).digest()
