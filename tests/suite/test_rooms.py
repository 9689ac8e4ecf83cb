"""Rooms in JSON through the edge: what is unset and what is empty can be told apart."""

from typing import Any

from tests.support import tokens
from tests.support.edge import Edge

_SERVICE = "/chatkit.rooms.v1.RoomsService/"
_FIELD = "pushNotificationTitleOverride"


async def _call(edge: Edge, method: str, body: dict[str, Any], token: str) -> dict[str, Any]:
    answer = await edge.json(_SERVICE + method, body, token)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def test_a_title_is_set_emptied_left_and_cleared_in_json(edge: Edge) -> None:
    token = tokens.token(None, su=True)
    assert _FIELD not in (await _call(edge, "GetRoom", {"roomId": "lobby"}, token))["room"]
    for change, expected in (
        ({_FIELD: "T"}, "T"),
        ({"name": "Hall"}, "T"),
        ({_FIELD: ""}, ""),
        ({_FIELD: "U", "updateMask": "name,pushNotificationTitleOverride", "name": "Hall"}, "U"),
        ({_FIELD: None, "updateMask": "pushNotificationTitleOverride"}, None),
    ):
        await _call(edge, "UpdateRoom", {"roomId": "lobby", **change}, token)
        room = (await _call(edge, "GetRoom", {"roomId": "lobby"}, token))["room"]
        assert room.get(_FIELD) == expected
        assert (_FIELD in room) == (expected is not None)


async def test_direct_rooms_and_listings_are_called_in_json(edge: Edge) -> None:
    made = await _call(edge, "GetOrCreateDirectRoom", {"otherUserId": "bob"}, tokens.token("alice"))
    assert made["room"]["directUserIds"] == made["membership"]["userIds"] == ["alice", "bob"]
    su = tokens.token(None, su=True)
    listed = await _call(edge, "ListRooms", {"includePrivate": True, "afterRoomId": ""}, su)
    assert {room["id"] for room in listed["rooms"]} == {"lobby", made["room"]["id"]}
    joinable = await _call(edge, "ListJoinableRooms", {}, tokens.token("alice"))
    assert joinable == {"rooms": [], "memberships": [], "nextPageToken": ""}
