"""Every method's handler, composed once at registration: authenticate, limits, access, call, map errors, record.

It is not a chain of gRPC interceptors, because each of those costs on every call. Handlers take and give bytes: what a
method returns as bytes is sent as it is.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from typing import Any, Never, Protocol, cast
from uuid import uuid4

import grpc
import structlog
from chatkit.contract.v1 import limit_pb2, method_policy_pb2
from google.protobuf.descriptor import Descriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message

from services.runtime.access import AccessChecker, AccessGrant, AccessQuery, RoomGrant
from services.runtime.contract import (
    Limits,
    MethodContract,
    field_getter,
    field_policy,
    limit_name,
    methods_of,
)
from services.runtime.errors import (
    DETAILS_KEY,
    ChatkitError,
    DeadlineExceeded,
    Internal,
    InvalidArgument,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unimplemented,
    Violation,
    to_status,
)
from services.runtime.identity import Caller, TokenVerifier
from services.runtime.streams import OpenStream, Streams
from services.runtime.validation import Validator

MEMBERSHIP_REQUIRED = method_policy_pb2.MEMBERSHIP_REQUIRED
MEMBERSHIP_NOT_REQUIRED = method_policy_pb2.MEMBERSHIP_NOT_REQUIRED
MEMBERSHIP_REQUIRED_PER_ROOM = method_policy_pb2.MEMBERSHIP_REQUIRED_PER_ROOM
_log = structlog.get_logger()
_BEARER = "bearer "
_READ_AWAY_SECONDS = 0.5


class Context(Protocol):
    """The part of grpc.aio's context that handlers use."""

    def invocation_metadata(self) -> Sequence[tuple[str, str | bytes]] | None:
        """Return the request's metadata."""

    def time_remaining(self) -> float | None:
        """Return the seconds that the caller still waits."""

    async def abort(
        self,
        code: grpc.StatusCode,
        details: str = "",
        trailing_metadata: tuple[tuple[str, bytes], ...] = (),
    ) -> Never:
        """End the call."""


@dataclass(frozen=True, slots=True)
class Call:
    """What a servicer knows of a call beside its request."""

    caller: Caller
    # On whose behalf the call is made; None only for superusers without a subject, and services.
    user_id: str | None
    # Set when somebody was asked whether the caller may act: what was asked, and the answer. Without an answer it is
    # what the method is to ask of each of its rooms.
    query: AccessQuery | None
    grant: AccessGrant | None
    # The seconds that were left for the call when it was admitted; None for a stream without a deadline.
    remaining: float | None
    # Set when the method answers with a stream.
    stream: OpenStream | None = None
    # What to ask, too, when the method turns out to act on what is another user's; None when that is granted already.
    query_for_others: AccessQuery | None = None

    @property
    def acting_user(self) -> str:
        """The user on whose behalf the call is made, for methods whose policy has a self_field."""
        if self.user_id is None:
            raise _nobody_acts("")
        return self.user_id

    def on_behalf_of(self, named: str, field: str) -> str:
        """Return the user that a field names, or oneself; for methods that only sometimes act for a user."""
        acting = _subject(named, self.caller, field)
        if acting is None:
            raise _nobody_acts(field)
        return acting

    @property
    def seconds(self) -> float:
        """The seconds that were left for the call, for methods whose policy has a deadline."""
        if self.remaining is None:
            raise RuntimeError("the method's policy has no deadline")
        return self.remaining

    @property
    def room(self) -> RoomGrant:
        """The room, for methods whose policy asks for membership."""
        if self.grant is None or self.grant.room_uid is None:
            raise RuntimeError("the method's policy asks for no membership")
        return RoomGrant(self.grant.room_uid, self.grant.user_uid)

    def on_end(self, goodbye: Callable[[ChatkitError], None]) -> None:
        """Say, for a method that streams, how it ends when the process must end it.

        `goodbye` is called with the error; from then on the method sends its last word only, and raises the error.
        """
        if self.stream is None:
            raise RuntimeError("the method answers with no stream")
        self.stream.on_end(goodbye)


QueryReader = Callable[[Message, Caller, str | None], AccessQuery | None]
Unary = Callable[[Any, Call], Awaitable[Message | bytes]]
Stream = Callable[[Any, Call], AsyncIterator[Message | bytes]]
# A method whose requests are a stream: its first request, all of them with the first one included, and the call.
Requests = Callable[[Any, AsyncIterator[Any], Call], Awaitable[Message | bytes]]
_Responses = AsyncGenerator[Message | bytes, None]
_Admission = Callable[[bytes, "Context", Caller, OpenStream | None], Awaitable[tuple[Message, Call]]]


class Handlers:
    """Composes the handlers of a service and counts what they answer."""

    def __init__(
        self,
        *,
        verifier: TokenVerifier,
        limits: Limits,
        streams: Streams,
        access: AccessChecker | None = None,
    ) -> None:
        self._verifier = verifier
        self._limits = limits
        self._streams = streams
        self._validator = Validator(limits)
        self._access = access
        # How often each method answered with each code, by (path, code's name).
        self.answers: Counter[tuple[str, str]] = Counter()

    def generic(self, service: ServiceDescriptor, servicer: object) -> grpc.GenericRpcHandler:
        """Return the handler of a whole service."""
        methods = {method.name: self._handler(method, getattr(servicer, method.name)) for method in methods_of(service)}
        return grpc.method_handlers_generic_handler(service.full_name, methods)

    def unknown(self) -> grpc.GenericRpcHandler:
        """Return the handler of last resort, which answers METHOD_NOT_FOUND."""
        return _Unknown()

    def _handler(self, method: MethodContract, behaviour: Any) -> "grpc.RpcMethodHandler[bytes, bytes]":
        self._validator.compile(method.request_class)
        if method.streams_requests:
            return grpc.stream_unary_rpc_method_handler(self.requests(method, behaviour))
        if method.streams:
            return grpc.unary_stream_rpc_method_handler(self.stream(method, behaviour))
        return grpc.unary_unary_rpc_method_handler(self.unary(method, behaviour))

    def unary(self, method: MethodContract, behaviour: Unary) -> Callable[[bytes, Context], Awaitable[bytes]]:
        """Compose the handler of a unary method."""
        admit = self._admission(method)
        deadline = method.policy.deadline_ms / 1000

        async def handle(body: bytes, context: Context) -> bytes:
            try:
                async with asyncio.timeout(deadline):
                    request, call = await admit(body, context, self._caller(method, context), None)
                    response = await behaviour(request, call)
            except Exception as error:  # noqa: BLE001 - the boundary: nothing else may leave the process
                await self._abort(method.path, error, context)
            self.answers[method.path, "OK"] += 1
            return response if isinstance(response, bytes) else response.SerializeToString()

        return handle

    def stream(self, method: MethodContract, behaviour: Stream) -> Callable[[bytes, Context], AsyncIterator[bytes]]:
        """Compose the handler of a server-streaming method."""
        admit = self._admission(method)

        async def handle(body: bytes, context: Context) -> AsyncIterator[bytes]:
            try:
                with self._streams.open(self._caller(method, context)) as stream:
                    request, call = await admit(body, context, stream.caller, stream)
                    # Closed with the call, and not whenever somebody collects it.
                    async with aclosing(cast("_Responses", behaviour(request, call))) as responses:
                        async for response in responses:
                            stream.check()
                            stream.is_writing = True
                            yield (response if isinstance(response, bytes) else response.SerializeToString())
                            stream.is_writing = False
                            stream.check()
            except Exception as error:  # noqa: BLE001 - the boundary: nothing else may leave the process
                await self._abort(method.path, error, context)
            self.answers[method.path, "OK"] += 1

        return handle

    def requests(
        self, method: MethodContract, behaviour: Requests
    ) -> Callable[[AsyncIterator[bytes], Context], Awaitable[bytes]]:
        """Compose the handler of a client-streaming method.

        The first request is admitted as that of a unary method is; of those that follow only form and size are looked
        at, because what they would name is settled. It counts as a stream, and ends with its token.
        """
        admit = self._admission(method)
        read = self._reader(method)
        deadline = method.policy.deadline_ms / 1000

        async def handle(bodies: AsyncIterator[bytes], context: Context) -> bytes:
            try:
                with self._streams.open(self._caller(method, context)) as stream:
                    async with asyncio.timeout(deadline):
                        first, call = await admit(await _first(bodies), context, stream.caller, stream)
                        response = await behaviour(first, read(first, bodies), call)
            except Exception as error:  # noqa: BLE001 - the boundary: nothing else may leave the process
                await _read_away(bodies)
                await self._abort(method.path, error, context)
            self.answers[method.path, "OK"] += 1
            return response if isinstance(response, bytes) else response.SerializeToString()

        return handle

    def _reader(self, method: MethodContract) -> Callable[[Message, AsyncIterator[bytes]], AsyncIterator[Message]]:
        decode = self._decoder(method)
        check_bytes = self._validator.check_bytes

        async def read(first: Message, bodies: AsyncIterator[bytes]) -> AsyncIterator[Message]:
            yield first
            async for body in bodies:
                request = decode(body)
                check_bytes(request)
                yield request

        return read

    def _caller(self, method: MethodContract, context: Context) -> Caller:
        caller = self._verifier.verify(_token(context))
        _check_audience(method, caller)
        return caller

    def _admission(self, method: MethodContract) -> _Admission:
        policy = method.policy
        decode = self._decoder(method)
        subject_of = _subject_reader(method)
        query_of = self._query_reader(method)
        asks = policy.room.membership != MEMBERSHIP_REQUIRED_PER_ROOM
        asked_for_fields = _permissions_reader(method)
        deadline = policy.deadline_ms / 1000 or None

        async def admit(
            body: bytes, context: Context, caller: Caller, stream: OpenStream | None
        ) -> tuple[Message, Call]:
            request = decode(body)
            self._validator.check(request)
            user_id = subject_of(request, caller)
            query = query_of(request, caller, user_id) if query_of else None
            grant, for_others = await self._ask(query if asks else None, policy.permission_for_others)
            if query is not None and not query.superuser:
                for permission in asked_for_fields(request):
                    await self.access.check(replace(query, permission=permission))
            return request, Call(
                caller,
                user_id,
                query,
                grant,
                _least(context.time_remaining(), deadline),
                stream,
                for_others,
            )

        return admit

    async def _ask(
        self, query: AccessQuery | None, permission_for_others: str
    ) -> tuple[AccessGrant | None, AccessQuery | None]:
        """Return the grant, and what is still to be asked where the method acts on what is another user's."""
        if query is None:
            return None, None
        if query.superuser or not permission_for_others:
            return await self.access.check(query), None
        for_others = replace(query, permission=permission_for_others)
        try:
            return await self.access.check(query), for_others
        except PermissionDenied as refusal:
            if refusal.reason != "PERMISSION_MISSING":
                raise
            try:
                return await self.access.check(for_others), None
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
    def access(self) -> AccessChecker:
        """Whoever answers for rooms and roles."""
        if self._access is None:
            raise ValueError("the service has methods that ask for a permission and nobody to ask about it")
        return self._access

    def _query_reader(
        self, method: MethodContract
    ) -> Callable[[Message, Caller, str | None], AccessQuery | None] | None:
        policy = method.policy
        asks_membership = bool(policy.room.field) and policy.room.membership != MEMBERSHIP_NOT_REQUIRED
        membership = (policy.room.membership or MEMBERSHIP_REQUIRED) if asks_membership else MEMBERSHIP_NOT_REQUIRED
        is_per_room = membership == MEMBERSHIP_REQUIRED_PER_ROOM
        if not asks_membership and not policy.permission:
            return None
        _ = self.access
        names_one = bool(policy.room.field) and not is_per_room
        room_id_of = field_getter(method.request_class, policy.room.field) if names_one else None

        def query(request: Message, caller: Caller, user_id: str | None) -> AccessQuery | None:
            if caller.superuser and not asks_membership:
                return None
            return AccessQuery(
                room_id_of(request) if room_id_of else "",
                user_id,
                caller.superuser,
                MEMBERSHIP_REQUIRED if is_per_room else membership,
                policy.permission,
            )

        return query

    async def _abort(self, path: str, error: Exception, context: Context) -> Never:
        known = _known(error, path)
        self.answers[path, known.code.name] += 1
        if known.code not in {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE}:
            _log.debug("call_refused", method=path, reason=known.reason, message=known.message)
        await abort(context, known)


def _known(error: Exception, path: str) -> ChatkitError:
    if isinstance(error, TimeoutError):
        return DeadlineExceeded("DEADLINE_EXCEEDED", "the call took longer than its deadline")
    if isinstance(error, ChatkitError) and not isinstance(error, Internal):
        if error.code == grpc.StatusCode.UNAVAILABLE and error.reason != "SHUTTING_DOWN":
            _log.warning(
                "call_unavailable",
                method=path,
                reason=error.reason,
                message=error.message,
            )
        return error
    error_id = uuid4().hex
    _log.error("call_failed", method=path, error_id=error_id, exc_info=error)
    return Internal("INTERNAL", f"internal error {error_id}", metadata={"error_id": error_id})


async def _read_away(bodies: AsyncIterator[bytes]) -> None:
    """Let a client that is still sending come to its end, for a moment.

    Python's clients would else hear that their sending has failed, and not why.
    """
    with suppress(Exception):
        async with asyncio.timeout(_READ_AWAY_SECONDS):
            async for _ in bodies:
                pass


async def _first(bodies: AsyncIterator[bytes]) -> bytes:
    async for body in bodies:
        return body
    raise InvalidArgument("REQUEST_MALFORMED", "the call brought no request")


async def abort(context: Context, error: ChatkitError) -> Never:
    """End a call with an error and all its details."""
    details = ((DETAILS_KEY, to_status(error).SerializeToString()),)
    await context.abort(error.code, error.message, details)


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


def _subject_reader(method: MethodContract) -> Callable[[Message, Caller], str | None]:
    field = method.policy.self_field
    named_by = field_getter(method.request_class, field) if field else None
    users_only = method.policy.audience == method_policy_pb2.AUDIENCE_USER

    def subject(request: Message, caller: Caller) -> str | None:
        acting = _subject(named_by(request) if named_by else "", caller, field)
        if acting is None and users_only and (named_by is not None or not caller.superuser):
            raise _nobody_acts(field)
        return acting

    return subject


def _subject(named: str, caller: Caller, field: str) -> str | None:
    """Return who acts when a field names them, or does not; another's name needs a superuser's token."""
    if named and named != caller.subject and not caller.superuser:
        raise PermissionDenied(
            "SUBJECT_MISMATCH",
            f"{field} is another user's and the token has no su",
            metadata={"field": field},
        )
    return named or caller.subject


def _permissions_reader(method: MethodContract) -> Callable[[Message], Sequence[str]]:
    descriptor = cast("Descriptor", method.request_class.DESCRIPTOR)
    asked = {field.name: permission for field in descriptor.fields if (permission := field_policy(field).permission)}
    if not asked:
        return lambda _: ()
    if not method.policy.permission:
        raise ValueError(f"{method.path} asks for a permission to set a field and for none to be called")
    return lambda request: [asked[field.name] for field, _ in request.ListFields() if field.name in asked]


def _nobody_acts(field: str) -> InvalidArgument:
    description = "neither the request nor the token says who acts"
    return InvalidArgument("SUBJECT_REQUIRED", description, violations=[Violation(field, description)] if field else ())


def _least(*seconds: float | None) -> float | None:
    return min((some for some in seconds if some is not None), default=None)


def _too_large(limit: int, maximum: int) -> ResourceExhausted:
    name = limit_name(cast("limit_pb2.Limit", limit))
    message = f"the request is larger than {maximum} bytes"
    return ResourceExhausted(
        "REQUEST_TOO_LARGE",
        message,
        metadata={"limit": name, "maximum": str(maximum)},
        quota=[Violation(name, message)],
    )


class _Unknown(grpc.GenericRpcHandler):
    def service(self, _details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes]":
        """Answer every method that no other handler knows."""

        async def refuse(_body: bytes, context: Context) -> bytes:
            await abort(
                context,
                Unimplemented("METHOD_NOT_FOUND", "there is no such method here"),
            )

        return grpc.unary_unary_rpc_method_handler(refuse)
