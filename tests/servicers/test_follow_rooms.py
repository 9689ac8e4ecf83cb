"""The servicer of streams of several rooms through grpcio-testing: the request to the domain, and frames back."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from chatkit.messages.v1 import messages_service_pb2 as pb2
from chatkit.messages.v1 import position_pb2
from chatkit.messages.v1.room_subscription_pb2 import RoomSubscription

from services.messages import frames
from services.messages.follow_rooms import RoomsSubscription
from services.messages.model import Position, Start
from services.messages.servicer import MessagesServicer
from services.runtime.access.port import AccessQuery
from services.runtime.calls.handlers import Handlers
from services.runtime.calls.paging import PageTokens
from services.runtime.contract.errors import InvalidArgument
from services.runtime.contract.policies import Limits
from tests.support.adapter import TestedServicer
from tests.support.tokens import user

_TIME = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)


class _ManyRooms:
    """The use case of several rooms: every stream is opened."""

    def __init__(self) -> None:
        self.wishes: list[tuple[AccessQuery, RoomsSubscription]] = []

    async def subscribe(
        self, query: AccessQuery, _caller: object, wanted: RoomsSubscription, _on_end: object
    ) -> AsyncIterator[bytes]:
        self.wishes.append((query, wanted))
        yield frames.stream_opened_event(_TIME)


def test_many_rooms(handlers: Handlers, page_tokens: PageTokens, limits: Limits) -> None:
    follow_rooms = _ManyRooms()
    parts: Any = (None, follow_rooms, None, None, None, None, None, page_tokens, limits)
    tested = TestedServicer(MessagesServicer(*parts), handlers)
    position = position_pb2.Position(epoch="epoch", seq=3)
    rooms = [
        RoomSubscription(room_id="lobby", after=position),
        RoomSubscription(room_id="r"),
    ]
    several = pb2.SubscribeRoomsRequest(rooms=rooms, default_last=5, follow_memberships=True)
    (frame,) = tested.stream("SubscribeRooms", several, user("bob"))
    assert frame.events[0].HasField("opened")
    ((query, wanted),) = follow_rooms.wishes
    assert (query.room_id, query.user_id, query.permission) == ("", "bob", "room:messages:get")
    starts = [("lobby", Start(Position("epoch", 3), 100)), ("r", Start(None, 5))]
    assert wanted == RoomsSubscription(starts, Start(None, 5), True, False, False)
    several.rooms.add(room_id="r")
    with pytest.raises(InvalidArgument, match="twice"):
        tested.stream("SubscribeRooms", several, user("bob"))
