"""Who is let in, by methods of the contract: without a network, and with somebody who says what rooms would."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from chatkit.contract.v1 import limit_pb2, method_policy_pb2
from chatkit.files.v1 import files_service_pb2
from chatkit.internal.access.v1 import access_service_pb2
from chatkit.internal.edges.v1 import edges_service_pb2
from chatkit.messages.v1 import messages_service_pb2
from chatkit.rooms.v1 import rooms_service_pb2
from chatkit.users.v1 import users_service_pb2
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.message import Message

from services.runtime.access.port import AccessGrant, AccessQuery
from services.runtime.calls.admission import Admission
from services.runtime.calls.call import Call
from services.runtime.clock import SystemClock
from services.runtime.contract.errors import (
    ChatkitError,
    InvalidArgument,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
)
from services.runtime.contract.policies import Limits, MethodContract, methods_of
from services.runtime.deadline import NEVER, Deadline
from services.runtime.fair_queue import on_behalf_of
from tests.support import tokens
from tests.support.peers import room_uid_of, user_uid_of

ALICE, ROOT = tokens.lasting("alice"), tokens.lasting(None, su=True)
ROOT_AS_EVE = tokens.lasting("eve", su=True)


def peer() -> Any:
    """Make a token of a service, which is good for minutes only: not when the module is read."""
    return tokens.service("messages", "tested")


_CREATE_FIELDS: Any = {"id": "lobby", "name": "Lobby", "visibility": "VISIBILITY_PRIVATE"}
_DELETED: Any = {"room_id": "lobby", "seq": 1}


def _method(file: Any, name: str) -> MethodContract:
    services = cast("FileDescriptor", file.DESCRIPTOR).services_by_name.values()
    return next(method for service in services for method in methods_of(service) if method.name == name)


GET_USER = _method(users_service_pb2, "GetUser")
CREATE_USER = _method(users_service_pb2, "CreateUser")
CREATE_ROOM = _method(rooms_service_pb2, "CreateRoom")
GET_ROOM = _method(rooms_service_pb2, "GetRoom")
SEND_TYPING = _method(messages_service_pb2, "SendTyping")
DELETE = _method(messages_service_pb2, "DeleteMessage")
CHECK_ACCESS = _method(access_service_pb2, "CheckAccess")
UPLOAD = _method(files_service_pb2, "UploadFile")


@dataclass
class _Rooms:
    """Grants what was not taken away, and notes what it was asked."""

    refused: dict[str, str] = field(default_factory=dict)
    asked: list[AccessQuery] = field(default_factory=list)

    async def check(self, query: AccessQuery) -> AccessGrant:
        self.asked.append(query)
        if reason := self.refused.get(query.permission):
            raise PermissionDenied(reason, query.permission)
        return AccessGrant(1, room_uid_of("lobby"), user_uid_of("alice"))

    @property
    def permissions(self) -> list[str]:
        return [query.permission for query in self.asked]


@dataclass
class _Context:
    """A call's metadata."""

    metadata: Any = ()

    def invocation_metadata(self) -> Any:
        return self.metadata() if callable(self.metadata) else self.metadata


class _World:
    def __init__(self) -> None:
        limits = Limits()
        verifier = tokens.verifier(SystemClock(), limits=limits)
        self.rooms = _Rooms()
        self.admission = Admission(verifier, limits, self.rooms)
        self.without_rooms = Admission(verifier, limits, None)

    async def admit(
        self, method: MethodContract, metadata: Any, fields: Any = None, deadline: Deadline = NEVER
    ) -> tuple[Message, Call]:
        context: Any = _Context(metadata)
        caller = self.admission.caller(method, context)
        body = method.request_class(**(fields or {})).SerializeToString()
        return await self.admission.of(method)(body, context, caller, deadline, None)

    async def call(self, method: MethodContract, metadata: Any, fields: Any = None) -> Call:
        return (await self.admit(method, metadata, fields))[1]


@pytest.fixture
def world() -> _World:
    return _World()


def _refusal(kind: type[ChatkitError], reason: str) -> Any:
    return pytest.raises(kind, check=lambda error: error.reason == reason)


@pytest.mark.parametrize(
    ("method", "metadata", "kind", "reason"),
    [
        (GET_USER, (), Unauthenticated, "TOKEN_MISSING"),
        (GET_USER, (("other", ALICE[0][1]),), Unauthenticated, "TOKEN_MISSING"),
        (GET_USER, (("authorization", b"Bearer"),), Unauthenticated, "TOKEN_MISSING"),
        (GET_USER, (("authorization", "Basic YTpi"),), Unauthenticated, "TOKEN_INVALID"),
        (GET_USER, (("authorization", ALICE[0][1].replace("Bearer", "Basics")),), Unauthenticated, "TOKEN_INVALID"),
        (GET_USER, peer, Unauthenticated, "TOKEN_INVALID"),
        (CREATE_USER, ALICE, PermissionDenied, "SUPERUSER_REQUIRED"),
        (CHECK_ACCESS, ALICE, PermissionDenied, "SERVICE_REQUIRED"),
        (CHECK_ACCESS, ROOT, PermissionDenied, "SERVICE_REQUIRED"),
    ],
)
def test_who_calls_is_known_by_a_token_that_the_method_is_for(
    world: _World, method: MethodContract, metadata: Any, kind: type[ChatkitError], reason: str
) -> None:
    with _refusal(kind, reason):
        world.admission.caller(method, cast("Any", _Context(metadata)))


def test_a_token_is_found_among_other_headers_and_an_edge_needs_none(world: _World) -> None:
    headers = (("x-one", "1"), ("authorization", "bEARER  " + ALICE[0][1].split()[1] + " "))
    assert world.admission.caller(GET_USER, cast("Any", _Context(headers))).subject == "alice"
    (edge_method,) = methods_of(edges_service_pb2.DESCRIPTOR.services_by_name["EdgesService"])
    edge = world.admission.caller(edge_method, cast("Any", _Context()))
    assert (edge.service, edge.subject, edge.superuser) == ("edge", None, False)


async def test_a_request_is_measured_read_and_checked(world: _World) -> None:
    admit = world.admission.of(GET_USER)
    context: Any = _Context(ALICE)
    caller = world.admission.caller(GET_USER, context)
    most = Limits()[GET_USER.policy.request_bytes]
    with _refusal(ResourceExhausted, "REQUEST_TOO_LARGE") as refusal:
        await admit(b"\x0a" * (most + 1), context, caller, NEVER, None)
    assert refusal.value.metadata == {"limit": "REQUEST_BYTES", "maximum": str(most)}
    with _refusal(InvalidArgument, "REQUEST_MALFORMED"):
        await admit(b"\x0a" * most, context, caller, NEVER, None)
    with pytest.raises(InvalidArgument):
        await admit(b"", context, caller, NEVER, None)
    assert world.rooms.asked == []


async def test_who_acts_is_whom_the_request_or_else_the_token_names(world: _World) -> None:
    typing = {"room_id": "lobby"}
    assert (await world.call(SEND_TYPING, ALICE, typing)).user_id == "alice"
    assert (await world.call(SEND_TYPING, ROOT_AS_EVE, typing)).user_id == "eve"
    assert (await world.call(SEND_TYPING, ROOT, {**typing, "user_id": "bob"})).user_id == "bob"
    with _refusal(PermissionDenied, "SUBJECT_MISMATCH"):
        await world.call(SEND_TYPING, ALICE, {**typing, "user_id": "bob"})
    with _refusal(InvalidArgument, "SUBJECT_REQUIRED"):
        await world.call(SEND_TYPING, ROOT, typing)
    # For a method that is nobody's in particular a superuser need be nobody.
    assert (await world.call(GET_USER, ROOT, {"user_id": "bob"})).user_id is None


@pytest.mark.parametrize(
    ("method", "metadata", "fields", "expected"),
    [
        (GET_USER, ALICE, {"user_id": "bob"}, "alice"),
        (GET_USER, ROOT, {"user_id": "bob"}, "\0superusers"),
        (CHECK_ACCESS, peer, {"user_id": "bob", "membership": "MEMBERSHIP_NOT_REQUIRED"}, "bob"),
        (CHECK_ACCESS, peer, {"superuser": True, "membership": "MEMBERSHIP_NOT_REQUIRED"}, "\0messages"),
    ],
)
async def test_work_is_done_on_behalf_of_a_user_or_of_the_caller(
    world: _World, method: MethodContract, metadata: Any, fields: Any, expected: str
) -> None:
    await world.call(method, metadata, fields)
    assert on_behalf_of.get() == expected


async def test_rooms_is_asked_for_what_the_method_and_its_fields_need(world: _World) -> None:
    call = await world.call(SEND_TYPING, ALICE, {"room_id": "lobby"})
    required = method_policy_pb2.MEMBERSHIP_REQUIRED
    query = AccessQuery("lobby", "alice", False, required, "room:typing_indicator:create")  # type: ignore[arg-type]
    assert (call.query, world.rooms.asked) == (query, [query])
    assert call.room.room_uid == room_uid_of("lobby")
    call = await world.call(GET_ROOM, ALICE, {"room_id": "lobby"})
    assert call.query is not None
    assert call.query.membership == method_policy_pb2.MEMBERSHIP_REQUIRED_UNLESS_PUBLIC
    world.rooms.asked.clear()
    await world.call(CREATE_ROOM, ALICE, _CREATE_FIELDS)
    assert world.rooms.permissions == ["room:create"]
    await world.call(CREATE_ROOM, ALICE, {**_CREATE_FIELDS, "retention_days": 30})
    assert world.rooms.permissions == ["room:create"] * 2 + ["room:update"]
    world.rooms.refused = {"room:update": "PERMISSION_MISSING"}
    with _refusal(PermissionDenied, "PERMISSION_MISSING"):
        await world.call(CREATE_ROOM, ALICE, {**_CREATE_FIELDS, "retention_days": 30})


async def test_of_superusers_only_rooms_and_memberships_are_asked(world: _World) -> None:
    assert (await world.call(GET_USER, ROOT, {"user_id": "bob"})).query is None
    await world.call(CREATE_ROOM, ROOT_AS_EVE, {**_CREATE_FIELDS, "retention_days": 30})
    assert world.rooms.asked == []
    call = await world.call(DELETE, ROOT, _DELETED)
    assert ([query.superuser for query in world.rooms.asked], call.query_for_others) == ([True], None)


async def test_who_may_act_on_others_things_is_asked_about_only_where_it_counts(world: _World) -> None:
    call = await world.call(DELETE, ALICE, _DELETED)
    assert world.rooms.permissions == ["message:delete"]
    assert call.query_for_others is not None
    assert call.query_for_others.permission == "message:moderate"
    # Whoever may do more needs no permission for less.
    world.rooms.refused = {"message:delete": "PERMISSION_MISSING"}
    call = await world.call(DELETE, ALICE, _DELETED)
    assert (call.query_for_others, call.room.room_uid) == (None, room_uid_of("lobby"))
    world.rooms.refused |= {"message:moderate": "PERMISSION_MISSING"}
    with pytest.raises(PermissionDenied, match="message:delete"):
        await world.call(DELETE, ALICE, _DELETED)
    world.rooms.asked.clear()
    world.rooms.refused = {"message:delete": "ROOM_ACCESS_DENIED"}
    with _refusal(PermissionDenied, "ROOM_ACCESS_DENIED"):
        await world.call(DELETE, ALICE, _DELETED)
    assert world.rooms.permissions == ["message:delete"]


async def test_a_call_has_the_deadline_that_it_came_with(world: _World) -> None:
    deadline = Deadline.after(10.0)
    _, call = await world.admit(GET_USER, ALICE, {"user_id": "bob"}, deadline)
    assert call.deadline is deadline


@pytest.mark.parametrize(
    ("bad", "kind", "reason"),
    [
        (bytes(Limits()[UPLOAD.policy.request_bytes] + 1), ResourceExhausted, "REQUEST_TOO_LARGE"),
        (b"\x22", InvalidArgument, "REQUEST_MALFORMED"),
        (
            UPLOAD.request_class(chunk=bytes(Limits()[limit_pb2.LIMIT_FILE_CHUNK_BYTES] + 1)).SerializeToString(),
            InvalidArgument,
            "LIMIT_EXCEEDED",
        ),
    ],
)
async def test_requests_that_follow_the_first_are_measured_and_read_too(
    world: _World, bad: bytes, kind: type[ChatkitError], reason: str
) -> None:
    first = UPLOAD.request_class(room_id="lobby", file_id="f")
    # It names no room and no file, which is settled.
    chunk = UPLOAD.request_class(chunk=b"bytes")

    async def bodies() -> AsyncIterator[bytes]:
        yield chunk.SerializeToString()
        yield bad

    requests = world.admission.reader_of(UPLOAD)(first, bodies())
    assert [await anext(requests), await anext(requests)] == [first, chunk]
    with _refusal(kind, reason):
        await anext(requests)


def test_a_service_that_knows_nobody_to_ask_has_no_method_that_asks(world: _World) -> None:
    world.without_rooms.of(CREATE_USER)
    with pytest.raises(ValueError, match="nobody to ask"):
        world.without_rooms.of(GET_USER)


def test_a_method_whose_fields_need_a_permission_needs_one_itself(world: _World) -> None:
    policy = method_policy_pb2.MethodPolicy()
    policy.CopyFrom(CREATE_ROOM.policy)
    policy.permission = ""
    with pytest.raises(ValueError, match="for none to be called"):
        world.admission.of(replace(CREATE_ROOM, policy=policy))
