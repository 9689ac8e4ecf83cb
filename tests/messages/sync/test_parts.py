"""Where the user's part of a device's stream stands: behind what it was told, and never further."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, cast

import pytest
from chatkit.contract.v1 import method_policy_pb2
from chatkit.internal.feeds.v1 import user_feed_service_pb2 as pb2
from chatkit.rooms.v1 import rooms_service_pb2, user_event_pb2
from chatkit.rooms.v1.user_position_pb2 import UserPosition

from services.messages.sync.frames import Part
from services.messages.sync.parts import UserPart
from services.runtime.access.port import AccessQuery
from services.runtime.contract.errors import Aborted, ChatkitError, PermissionDenied, ResourceExhausted
from services.runtime.ids import NO_ROOM, UserId

_SOON = timedelta(seconds=1)


class _Feed:
    """A feed on which all who have caught up stand somewhere."""

    is_current = True
    position: UserPosition | None = None


class _Device:
    """A device that takes what it is told."""

    query = AccessQuery(NO_ROOM, UserId("bob"), False, method_policy_pb2.MEMBERSHIP_REQUIRED, "")

    def __init__(self) -> None:
        self.caught_up = 0

    def send_state(self, events: Iterable[bytes]) -> None:
        list(events)

    def push(self, _seq: int, _event: bytes) -> None:
        pass

    def cut(self, error: ChatkitError) -> None:
        raise error

    def has_caught_up(self, _part: Part) -> None:
        self.caught_up += 1


def _at(rooms_version: int, *, life: str = "rooms") -> UserPosition:
    return UserPosition(rooms_epoch=life, rooms_version=rooms_version, users_epoch="users", users_version=1)


class _Followed:
    """The user's part of a device, which stood somewhere, and its feed."""

    def __init__(self, after: UserPosition | None = None) -> None:
        self.feed, self.device = _Feed(), _Device()
        self.part = UserPart(self.device, cast("Any", self.feed), after)

    def tell(self, *events: user_event_pb2.UserEvent) -> None:
        frame = rooms_service_pb2.SubscribeUserResponse(events=events).SerializeToString()
        position = events[-1].position if events[-1].HasField("position") else None
        self.part.told(pb2.UserFeedEvent(number=1, events=frame, position=position))

    @property
    def after(self) -> UserPosition | None:
        """Where the part asks the feed to go on."""
        asked = self.part.request(1)
        return asked.after if asked.HasField("after") else None


def _opened(*, resumed: bool) -> user_event_pb2.UserEvent:
    return user_event_pb2.UserEvent(opened=user_event_pb2.UserOpened(resumed=resumed))


def _caught_up(position: UserPosition | None) -> user_event_pb2.UserEvent:
    return user_event_pb2.UserEvent(caught_up=user_event_pb2.UserCaughtUp(), position=position)


def _left(position: UserPosition | None) -> user_event_pb2.UserEvent:
    left = user_event_pb2.MemberMoved(room_id="lobby", user_id="alice")
    return user_event_pb2.UserEvent(member_left=left, position=position)


async def test_it_goes_on_where_all_stand_who_were_told_everything() -> None:
    followed = _Followed()
    followed.tell(_opened(resumed=False), _caught_up(_at(5)))
    followed.feed.position = _at(7)
    assert followed.part.position == _at(7)
    followed.tell(_left(_at(8)))
    assert followed.part.position == _at(8)
    # Not a place that is said of another life, nor an earlier one.
    followed.feed.position = _at(9, life="another")
    assert followed.part.position == _at(8)
    followed.feed.position = _at(9)
    followed.part.interrupted()
    assert followed.after == _at(9)


async def test_where_others_stood_before_it_had_caught_up_is_not_where_it_stands() -> None:
    followed = _Followed()
    followed.feed.position = _at(7)
    # The change 6 is on its way.
    followed.tell(_opened(resumed=False), _caught_up(_at(5)))
    assert followed.device.caught_up == 1
    assert followed.part.position == _at(5)
    followed.tell(_left(_at(6)))
    assert followed.part.position == _at(6)
    followed.feed.position = _at(8)
    assert followed.part.position == _at(8)


async def test_in_the_middle_of_the_state_there_is_no_place_to_go_on_from() -> None:
    followed = _Followed(_at(3))
    assert followed.after == _at(3)
    followed.tell(_opened(resumed=False))
    followed.feed.position = _at(7)
    assert followed.part.position is None
    followed.part.interrupted()
    assert followed.after is None
    assert followed.device.caught_up == 0


async def test_in_the_middle_of_what_was_missed_it_goes_on_from_before_that() -> None:
    followed = _Followed(_at(3))
    followed.tell(_opened(resumed=True), _left(None))
    followed.part.interrupted()
    assert followed.after == _at(3)


@pytest.mark.parametrize("error", [Aborted, ResourceExhausted])
async def test_a_part_that_is_refused_for_a_moment_goes_on_where_it_stood(error: type[ChatkitError]) -> None:
    followed = _Followed(_at(3))
    followed.tell(_opened(resumed=True), _caught_up(_at(5)))
    followed.feed.position = _at(7)
    assert followed.part.refused(error("LOG_RESET", "again", retry_after=_SOON))
    # Told to others since.
    followed.feed.position = _at(8)
    assert followed.after == followed.part.position == _at(7)
    assert followed.part.is_behind
    assert not followed.part.refused(PermissionDenied("PERMISSION_MISSING", "for good"))
    assert not followed.part.is_behind
