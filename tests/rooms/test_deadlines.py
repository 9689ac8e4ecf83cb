"""A call's deadline: what admission has taken of it is not there for the questions that follow."""

from collections.abc import Callable, Sequence
from typing import Any, Never, cast
from uuid import uuid4

import pytest
from chatkit.rooms.v1 import memberships_service_pb2 as memberships_pb2
from chatkit.rooms.v1 import rooms_service_pb2 as pb2
from google.protobuf.descriptor import ServiceDescriptor

from services.rooms.service import Rooms
from services.rooms.servicer import MembershipsServicer, RoomsServicer
from services.runtime.access.port import AccessGrant, AccessQuery
from services.runtime.calls.handlers import Handlers
from services.runtime.calls.observing import Observer
from services.runtime.clock import SystemClock
from services.runtime.contract.absent import users_not_found
from services.runtime.contract.policies import Limits, methods_of
from services.runtime.deadline import Deadline
from services.runtime.metrics.registry import Metrics
from services.runtime.streaming.open_streams import Streams
from tests.support import tokens
from tests.support.clock import ManualClock, deadlines_by
from tests.support.peers import room_uid_of, user_uid_of


class _EndedError(Exception):
    """The call was ended with an error."""


class _Slow:
    """A client, access and users: the request takes two seconds to come, and the answer about access three."""

    def __init__(self, clock: ManualClock, request: Any, seconds: float | None) -> None:
        self.left: list[float] = []
        self._clock = clock
        self._request = request
        self._waits_until = None if seconds is None else clock.monotonic() + seconds

    def invocation_metadata(self) -> Sequence[tuple[str, str]]:
        return tokens.user("alice")

    def time_remaining(self) -> float | None:
        return None if self._waits_until is None else self._waits_until - self._clock.monotonic()

    async def read(self) -> object:
        self._clock.jump(2.0)
        return self._request.SerializeToString()

    async def abort(self, *_: object) -> Never:
        raise _EndedError

    async def check(self, _query: AccessQuery) -> AccessGrant:
        self._clock.jump(3.0)
        return AccessGrant(7, room_uid_of("lobby"), user_uid_of("alice"))

    async def resolve(self, user_ids: Sequence[str], deadline: Deadline) -> Never:
        self.left.append(deadline.left())
        raise users_not_found(user_ids)


def _handler(slow: _Slow, service: ServiceDescriptor, name: str) -> Callable[[object, Any], Any]:
    """Compose the handler of a method over a use case that asks users."""
    limits, them = Limits(), cast("Any", slow)
    verifier = tokens.verifier(SystemClock(), service="rooms", limits=limits)
    handlers = Handlers(
        verifier=verifier,
        limits=limits,
        streams=Streams(limits, SystemClock()),
        access=them,
        observer=Observer(Metrics()),
    )
    nobody = cast("Any", None)
    rooms = Rooms(nobody, nobody, them, nobody, most_members=10, new_uid=uuid4)
    servicer = (
        RoomsServicer(rooms, nobody, nobody, nobody, nobody, nobody, limits)
        if service is _ROOMS
        else MembershipsServicer(rooms, nobody, nobody, limits)
    )
    (method,) = (method for method in methods_of(service) if method.name == name)
    return handlers.unary(method, getattr(servicer, name))


_ROOMS = pb2.DESCRIPTOR.services_by_name["RoomsService"]
_MEMBERSHIPS = memberships_pb2.DESCRIPTOR.services_by_name["MembershipsService"]
_CREATE = pb2.CreateRoomRequest(id="lobby", name="Lobby", user_ids=["bob"], visibility="VISIBILITY_PUBLIC")
_ADD = memberships_pb2.AddMembersRequest(room_id="lobby", user_ids=["bob"])


# Ten seconds are what the methods' policies say.
@pytest.mark.parametrize(("seconds", "left"), [(None, 5.0), (20.0, 5.0), (7.0, 2.0), (4.0, 0.0)])
@pytest.mark.parametrize(
    ("service", "request_"), [(_ROOMS, _CREATE), (_MEMBERSHIPS, _ADD)], ids=["CreateRoom", "AddMembers"]
)
async def test_users_has_what_admission_has_left(
    service: ServiceDescriptor, request_: Any, seconds: float | None, left: float
) -> None:
    clock = ManualClock()
    slow = _Slow(clock, request_, seconds)
    handle = _handler(slow, service, type(request_).__name__.removesuffix("Request"))
    with deadlines_by(clock), pytest.raises(_EndedError):
        await handle(None, slow)
    assert slow.left == [left]
