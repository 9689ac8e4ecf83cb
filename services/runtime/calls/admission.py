"""The admission of a call, composed once per method: who calls, the request, for whom they act, and whether they may.

In this order: the token, the method's audience, the request's bytes and fields, the subject, and what rooms is asked.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import cast

from chatkit.contract.v1 import limit_pb2, method_policy_pb2
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError, Message

from services.runtime.access.port import AccessChecker, AccessGrant, AccessQuery
from services.runtime.calls.call import Call, Context, nobody_acts, who_acts
from services.runtime.calls.spelling import is_json
from services.runtime.contract.errors import (
    InvalidArgument,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Violation,
)
from services.runtime.contract.policies import Limits, MethodContract, field_getter, field_policy, limit_name
from services.runtime.contract.validation import Validator
from services.runtime.deadline import Deadline
from services.runtime.fair_queue import on_behalf_of
from services.runtime.identity.tokens import Caller, TokenVerifier
from services.runtime.ids import NO_ROOM, RoomId, UserId
from services.runtime.streaming.open_streams import OpenStream

MEMBERSHIP_REQUIRED = method_policy_pb2.MEMBERSHIP_REQUIRED
MEMBERSHIP_NOT_REQUIRED = method_policy_pb2.MEMBERSHIP_NOT_REQUIRED
MEMBERSHIP_REQUIRED_UNLESS_PUBLIC = method_policy_pb2.MEMBERSHIP_REQUIRED_UNLESS_PUBLIC
MEMBERSHIP_REQUIRED_PER_ROOM = method_policy_pb2.MEMBERSHIP_REQUIRED_PER_ROOM
MEMBERSHIP_REQUIRED_OF_USERS = method_policy_pb2.MEMBERSHIP_REQUIRED_OF_USERS
_BEARER = "bearer "
# Which edge it is, and that it is one, the method sees in its request.
_EDGE = Caller(subject=None, superuser=False, service="edge", expire_time=datetime.max.replace(tzinfo=UTC))

Admit = Callable[[bytes, Context, Caller, Deadline, OpenStream | None], Awaitable[tuple[Message, Call]]]


class Admission:
    """Composes what lets the calls of a service's methods in."""

    def __init__(self, verifier: TokenVerifier, limits: Limits, access: AccessChecker | None) -> None:
        self._verifier = verifier
        self._limits = limits
        self._validator = Validator(limits)
        self._access = access

    def caller(self, method: MethodContract, context: Context) -> Caller:
        """Return who calls, by the token, if it is one that the method is for."""
        if method.policy.audience == method_policy_pb2.AUDIENCE_EDGE:
            return _EDGE
        caller = self._verifier.verify(_token(context))
        _check_audience(method, caller)
        return caller

    def of(self, method: MethodContract) -> Admit:
        """Compose what lets a call in by its first request, which for most methods is the only one."""
        self._validator.compile(method.request_class)
        policy = method.policy
        decode = self._decoder(method)
        subject_of, named_by = _subject_reader(method), _named_reader(method)
        query_of = self._query_reader(method)
        asks = policy.room.membership != MEMBERSHIP_REQUIRED_PER_ROOM
        asked_for_fields = _permissions_reader(method)

        async def admit(
            body: bytes, context: Context, caller: Caller, deadline: Deadline, stream: OpenStream | None
        ) -> tuple[Message, Call]:
            request = decode(body)
            self._validator.check(request)
            user_id = subject_of(request, caller)
            # What is nobody's is the caller's; no user's id begins so.
            on_behalf_of.set(user_id or named_by(request) or f"\0{caller.service or 'superusers'}")
            query = query_of(request, caller, user_id) if query_of else None
            grant, for_others = await self._ask(query if asks else None, policy.permission_for_others)
            if query is not None and not query.superuser:
                for permission in asked_for_fields(request):
                    await self._checker.check(replace(query, permission=permission))
            return request, Call(
                caller,
                user_id,
                query,
                grant,
                deadline,
                stream,
                for_others,
                partial(is_json, context),
            )

        return admit

    def reader_of(self, method: MethodContract) -> Callable[[Message, AsyncIterator[bytes]], AsyncIterator[Message]]:
        """Compose what reads all requests of a call whose first one was admitted.

        Of those that follow only form and size are looked at, because what they would name is settled.
        """
        decode = self._decoder(method)
        check_bytes = self._validator.check_bytes

        async def read(first: Message, bodies: AsyncIterator[bytes]) -> AsyncIterator[Message]:
            yield first
            async for body in bodies:
                request = decode(body)
                check_bytes(request)
                yield request

        return read

    def each_of(self, method: MethodContract) -> Callable[[AsyncIterator[bytes]], AsyncIterator[Message]]:
        """Compose what reads the requests of a call that was admitted before the first: each is checked like one."""
        decode = self._decoder(method)
        check = self._validator.check

        async def read(bodies: AsyncIterator[bytes]) -> AsyncIterator[Message]:
            async for body in bodies:
                request = decode(body)
                check(request)
                yield request

        return read

    async def _ask(
        self, query: AccessQuery | None, permission_for_others: str
    ) -> tuple[AccessGrant | None, AccessQuery | None]:
        """Return the grant, and what is still to be asked where the method acts on what is another user's."""
        if query is None:
            return None, None
        if query.superuser or not permission_for_others:
            return await self._checker.check(query), None
        for_others = replace(query, permission=permission_for_others)
        try:
            return await self._checker.check(query), for_others
        except PermissionDenied as refusal:
            if refusal.reason != "PERMISSION_MISSING":
                raise
            try:
                return await self._checker.check(for_others), None
            except PermissionDenied:
                # The permission for one's own is the one that more users have.
                raise refusal from None

    def _decoder(self, method: MethodContract) -> Callable[[bytes], Message]:
        parse = method.request_class.FromString
        limit, most = method.policy.request_bytes, self._limits[method.policy.request_bytes]

        def decode(body: bytes) -> Message:
            if len(body) > most:
                raise _too_large(limit, most)
            try:
                return parse(body)
            except DecodeError:
                raise InvalidArgument("REQUEST_MALFORMED", "the request's bytes are not its message") from None

        return decode

    @property
    def _checker(self) -> AccessChecker:
        """Whoever answers for rooms and roles."""
        if self._access is None:
            raise ValueError("the service has methods that ask for a permission and nobody to ask about it")
        return self._access

    def _query_reader(
        self, method: MethodContract
    ) -> Callable[[Message, Caller, UserId | None], AccessQuery | None] | None:
        policy = method.policy
        is_per_room = policy.room.membership == MEMBERSHIP_REQUIRED_PER_ROOM
        asks_membership = is_per_room or (bool(policy.room.field) and policy.room.membership != MEMBERSHIP_NOT_REQUIRED)
        asks_superusers = asks_membership and policy.room.membership != MEMBERSHIP_REQUIRED_OF_USERS
        membership = _rule(policy.room.membership) if asks_membership else MEMBERSHIP_NOT_REQUIRED
        if not asks_membership and not policy.permission:
            return None
        _ = self._checker
        names_one = bool(policy.room.field) and not is_per_room
        room_id_of = field_getter(method.request_class, policy.room.field) if names_one else None

        def query(request: Message, caller: Caller, user_id: UserId | None) -> AccessQuery | None:
            if caller.superuser and not asks_superusers:
                return None
            return AccessQuery(
                RoomId(room_id_of(request)) if room_id_of else NO_ROOM,
                user_id,
                caller.superuser,
                membership,
                policy.permission,
                caller.token_time,
            )

        return query


def _rule(declared: "method_policy_pb2.Membership") -> "method_policy_pb2.Membership":
    """Return what is asked about one room and one caller."""
    if declared == MEMBERSHIP_REQUIRED_UNLESS_PUBLIC:
        return declared
    return MEMBERSHIP_REQUIRED


def _token(context: Context) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == "authorization" and isinstance(value, str):
            if value[: len(_BEARER)].lower() != _BEARER:
                raise Unauthenticated("TOKEN_INVALID", "authorization must be Bearer and a token")
            return value[len(_BEARER) :].strip()
    raise Unauthenticated("TOKEN_MISSING", "the call carries no token")


def _check_audience(method: MethodContract, caller: Caller) -> None:
    metadata = {"method": method.path}
    if method.policy.audience == method_policy_pb2.AUDIENCE_SERVICE:
        if caller.service is None:
            raise PermissionDenied("SERVICE_REQUIRED", "the method is for services only", metadata=metadata)
        return
    if caller.service is not None:
        raise Unauthenticated("TOKEN_INVALID", "a service's token is not for public methods")
    if method.policy.audience == method_policy_pb2.AUDIENCE_SUPERUSER and not caller.superuser:
        raise PermissionDenied("SUPERUSER_REQUIRED", "the method needs a token with su", metadata=metadata)


def _subject_reader(method: MethodContract) -> Callable[[Message, Caller], UserId | None]:
    field = method.policy.self_field
    named_by = field_getter(method.request_class, field) if field else None
    users_only = method.policy.audience == method_policy_pb2.AUDIENCE_USER

    def subject(request: Message, caller: Caller) -> UserId | None:
        acting = who_acts(named_by(request) if named_by else "", caller, field)
        if acting is None and users_only and (named_by is not None or not caller.superuser):
            raise nobody_acts(field)
        return acting

    return subject


def _named_reader(method: MethodContract) -> Callable[[Message], str]:
    """Return what reads the user whom another service asks for, where it names one."""
    is_between_services = method.policy.audience == method_policy_pb2.AUDIENCE_SERVICE
    descriptor = cast("Descriptor", method.request_class.DESCRIPTOR)
    if not is_between_services or "user_id" not in descriptor.fields_by_name:
        return lambda _: ""
    return field_getter(method.request_class, "user_id")


def _permissions_reader(method: MethodContract) -> Callable[[Message], Sequence[str]]:
    descriptor = cast("Descriptor", method.request_class.DESCRIPTOR)
    asked = {field.name: permission for field in descriptor.fields if (permission := field_policy(field).permission)}
    if not asked:
        return lambda _: ()
    if not method.policy.permission:
        raise ValueError(f"{method.path} asks for a permission to set a field and for none to be called")
    return lambda request: [asked[field.name] for field, _ in request.ListFields() if field.name in asked]


def _too_large(limit: int, maximum: int) -> ResourceExhausted:
    name = limit_name(cast("limit_pb2.Limit", limit))
    message = f"the request is larger than {maximum} bytes"
    return ResourceExhausted(
        "REQUEST_TOO_LARGE",
        message,
        metadata={"limit": name, "maximum": str(maximum)},
        quota=[Violation(name, message)],
    )
