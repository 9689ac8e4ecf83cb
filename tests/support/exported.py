"""Records of a Chatkit export, as tests want them."""

from collections.abc import Mapping, Sequence
from typing import Any

TIME = "2019-03-04T05:06:07Z"
LATER = "2019-03-04T05:06:08Z"


def a_user(user_id: str, **changes: Any) -> dict[str, Any]:
    """Return a user."""
    return {"id": user_id, "name": user_id, "created_at": TIME, "updated_at": TIME, **changes}


def a_room(room_id: str, *member_ids: str, **changes: Any) -> dict[str, Any]:
    """Return a room that its first member has made."""
    record = {"id": room_id, "name": "A room", "private": True, "member_ids": list(member_ids)}
    creator = {"created_by_id": member_ids[0]} if member_ids else {}
    return {**record, **creator, "created_at": TIME, "updated_at": TIME, **changes}


def a_message(message_id: object, text: str = "hello", **changes: Any) -> dict[str, Any]:
    """Return a message of alice's in the lobby."""
    parts = [part("inline", type="text/plain", content=text)]
    place = {"sender_id": "alice", "room_id": "lobby", "created_at": TIME, "updated_at": TIME}
    return {"id": message_id, **place, "parts": parts, **changes}


def part(part_type: str, **payload: Any) -> dict[str, Any]:
    """Return a part of a message."""
    return {"part_type": part_type, "payload": payload}


def alike(records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return records so that those compare equal which say the same: members and rooms have no order."""
    without_order = [
        {**record, "member_ids": sorted(record["member_ids"])} if "member_ids" in record else dict(record)
        for record in records
    ]
    return sorted(without_order, key=lambda record: (str(record.get("room_id")), str(record["id"])))
