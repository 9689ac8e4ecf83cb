"""The servicer of read states through grpcio-testing: requests to the domain and back, behind composed handlers."""

from collections.abc import Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from chatkit.messages.v1 import message_pb2
from chatkit.messages.v1 import read_states_service_pb2 as pb2

from services.messages.peers import RoomOfUser
from services.messages.read_states.model import Move, ReadCursor, ReadState, Unread, UnreadTotal
from services.messages.read_states.service import Reader
from services.messages.read_states.servicer import ReadStatesServicer
from services.runtime.calls.handlers import Handlers
from services.runtime.calls.paging import PageTokens
from services.runtime.contract.errors import InvalidArgument
from services.runtime.contract.policies import Limits
from services.runtime.deadline import Deadline
from services.runtime.ids import RoomId, RoomUid, UserId, UserUid
from tests.support.adapter import TestedServicer
from tests.support.peers import room_uid_of, user_uid_of
from tests.support.tokens import user

_TIME = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)


class _ReadStates:
    """The use cases of cursors: a user has read what they say, and one message is unread."""

    def __init__(self) -> None:
        self.moves: list[Move] = []

    async def move(self, _room_id: str, move: Move) -> ReadCursor:
        self.moves.append(move)
        return ReadCursor(move.room_uid, move.user_uid, move.user_id, move.seq, 4, _TIME)

    async def find(self, _room_uid: RoomUid, _user_uid: UserUid) -> None:
        return None

    async def of_room(
        self, _room_id: str, room_uid: RoomUid, after: UserUid, size: int, _deadline: Deadline
    ) -> tuple[list[ReadCursor], UserUid | None]:
        users = sorted((user_uid_of(name), name) for name in ("alice", "bob", "carol"))
        found = [ReadCursor(room_uid, uid, name, 1, 1, _TIME) for uid, name in users if uid > after]
        return found[:size], found[size - 1].user_uid if len(found) > size else None

    async def of_user(self, rooms: Sequence[RoomOfUser]) -> list[tuple[str, ReadCursor]]:
        return [(room.room_id, ReadCursor(room.room_uid, room.user_uid, "alice", 1, 1, _TIME)) for room in rooms]

    async def states(self, reader: Reader, rooms: Sequence[RoomOfUser], _deadline: Deadline) -> list[ReadState]:
        message = message_pb2.Message(seq=9).SerializeToString() if reader == Reader(UserId("alice"), False) else None
        return [ReadState(room.room_uid, None, Unread(1, is_capped=False), message) for room in rooms]

    async def total(self, reader: Reader, _deadline: Deadline) -> UnreadTotal:
        return (
            UnreadTotal(7, is_capped=True, room_count=2) if reader == Reader(UserId("alice"), False) else UnreadTotal()
        )


def test_read_states(handlers: Handlers, page_tokens: PageTokens, limits: Limits) -> None:
    async def of_user(_user_id: str, _size: int, token: str, _deadline: Deadline) -> tuple[list[RoomOfUser], str]:
        room_id = token or "first"
        return [RoomOfUser(RoomId(room_id), room_uid_of(room_id), user_uid_of("alice"))], "" if token else "second"

    read_states, rooms = _ReadStates(), SimpleNamespace(of_user=of_user)
    nobody = cast("Any", None)
    servicer = ReadStatesServicer(cast("Any", read_states), nobody, cast("Any", rooms), nobody, page_tokens, limits)
    tested = TestedServicer(servicer, handlers)
    move = pb2.SetReadCursorRequest(room_id="lobby", seq=3, allow_backward=True)
    cursor = tested.call("SetReadCursor", move, user("alice")).cursor
    assert (cursor.room_id, cursor.user_id, cursor.seq, cursor.revision) == ("lobby", "alice", 3, 4)
    assert cursor.update_time.ToDatetime(tzinfo=UTC) == _TIME
    assert read_states.moves == [Move(room_uid_of("lobby"), user_uid_of("alice"), "alice", 3, allow_backward=True)]
    get = pb2.GetReadCursorRequest(room_id="lobby")
    assert not tested.call("GetReadCursor", get, user("alice")).HasField("cursor")
    of_room = pb2.ListReadCursorsRequest(room_id="lobby", page_size=2)
    page = tested.call("ListReadCursors", of_room, user("alice"))
    of_room.page_token = page.next_page_token
    rest = tested.call("ListReadCursors", of_room, user("alice"))
    assert {cursor.user_id for cursor in (*page.cursors, *rest.cursors)} == {"alice", "bob", "carol"}
    assert (len(page.cursors), rest.next_page_token) == (2, "")
    for method, request in (
        ("ListReadCursors", pb2.ListReadCursorsRequest()),
        ("ListReadStates", pb2.ListReadStatesRequest()),
    ):
        page = tested.call(method, request, user("alice"))
        request.page_token = page.next_page_token
        rest = tested.call(method, request, user("alice"))
        listed = [*getattr(page, "cursors", ()), *getattr(page, "read_states", ())]
        listed += [*getattr(rest, "cursors", ()), *getattr(rest, "read_states", ())]
        assert [one.room_id for one in listed] == ["first", "second"]
        assert rest.next_page_token == ""
        with pytest.raises(InvalidArgument, match="page token"):
            tested.call(method, request, user("bob"))
    one = pb2.ListReadStatesRequest(room_id="lobby")
    (state,) = tested.call("ListReadStates", one, user("alice")).read_states
    assert (state.room_id, state.unread_count, state.last_message.seq) == ("lobby", 1, 9)
    assert not state.HasField("cursor")
    total = tested.call("GetUnreadTotal", pb2.GetUnreadTotalRequest(), user("alice"))
    assert (total.unread_count, total.unread_capped, total.unread_room_count) == (7, True, 2)
