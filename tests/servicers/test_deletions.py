"""Deletions of rooms, as the servicer of rooms shows them."""

from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import pytest
from chatkit.contract.v1 import deletion_pb2
from chatkit.rooms.v1 import rooms_service_pb2 as rooms_pb2

from services.rooms.servicer import RoomsServicer
from services.runtime.access.port import RoomGrant
from services.runtime.calls.handlers import Handlers
from services.runtime.calls.paging import PageTokens
from services.runtime.contract.errors import NotFound, PermissionDenied
from services.runtime.contract.policies import Limits
from services.runtime.deadline import Deadline
from services.runtime.erasure.listing import DeletionListing
from services.runtime.erasure.model import Deletion, DeletionId, DeletionState, ServiceDeletion
from tests.support.adapter import TestedServicer
from tests.support.peers import room_uid_of
from tests.support.tokens import su, user

_TIME = datetime(2026, 1, 2, tzinfo=UTC)


class _Deletions:
    """The use case of deleting rooms, with three deletions; it is its own list of them, too."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.known = [
            Deletion(
                id=DeletionId(UUID(int=number)),
                subject_uid=room_uid_of("attic"),
                subject_id="attic" if number == 3 else "",
                state=DeletionState.RUNNING if number == 3 else DeletionState.DONE,
                create_time=_TIME,
                update_time=_TIME,
                keeps_messages=False,
                pseudonyms=None,
                services=[ServiceDeletion("rooms", DeletionState.DONE, _TIME)],
            )
            for number in (3, 2, 1)
        ]

    async def delete(self, grant: RoomGrant, room_id: str, deadline: Deadline) -> Deletion:
        self.asked.append((grant.room_uid, room_id, deadline.left() > 0))
        return self.known[0]

    async def delete_or_find(self, room_id: str, deadline: Deadline) -> Deletion:
        self.asked.append((None, room_id, deadline.left() > 0))
        return self.known[0]

    async def get(self, deletion_id: DeletionId) -> Deletion:
        return next(one for one in self.known if one.id == deletion_id)

    async def page(self, after: tuple[datetime, UUID] | None, size: int) -> list[Deletion]:
        return [one for one in self.known if after is None or (one.create_time, one.id) < after][:size]


def test_deletions_of_rooms(handlers: Handlers, page_tokens: PageTokens, limits: Limits) -> None:
    deletions = _Deletions()
    listing = DeletionListing(cast("Any", deletions), page_tokens, limits)
    nobody = cast("Any", None)
    servicer = RoomsServicer(nobody, nobody, cast("Any", deletions), listing, nobody, page_tokens, limits)
    tested = TestedServicer(servicer, handlers)
    request = rooms_pb2.DeleteRoomRequest(room_id="lobby")
    deleted = tested.call("DeleteRoom", request, user("alice")).deletion
    assert tested.call("DeleteRoom", request, su()).deletion == deleted
    assert deletions.asked == [(room_uid_of("lobby"), "lobby", True), (None, "lobby", True)]
    assert (deleted.id, deleted.subject, deleted.state) == (
        str(UUID(int=3)),
        "attic",
        deletion_pb2.DELETION_STATE_RUNNING,
    )
    assert [(one.service, one.state) for one in deleted.services] == [("rooms", deletion_pb2.DELETION_STATE_DONE)]
    got = rooms_pb2.GetDeletionRequest(deletion_id=deleted.id)
    assert tested.call("GetDeletion", got, user("bob")).deletion == deleted
    for unknown in ("lobby", deleted.id.upper().replace("-", "")):
        with pytest.raises(NotFound, match="no such deletion"):
            tested.call("GetDeletion", rooms_pb2.GetDeletionRequest(deletion_id=unknown), user("bob"))
    listed = rooms_pb2.ListDeletionsRequest(page_size=2)
    first = tested.call("ListDeletions", listed, su())
    listed.page_token = first.next_page_token
    last = tested.call("ListDeletions", listed, su())
    ids = [UUID(one.id).int for page in (first, last) for one in page.deletions]
    assert (ids, last.next_page_token) == ([3, 2, 1], "")
    with pytest.raises(PermissionDenied):
        tested.call("ListDeletions", rooms_pb2.ListDeletionsRequest(), user("bob"))
