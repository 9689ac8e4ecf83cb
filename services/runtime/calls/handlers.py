"""Every method's handler, composed once at registration: admit, call, map errors, record.

It is not a chain of gRPC interceptors, because each of those costs on every call. Handlers take and give bytes: what a
method returns as bytes is sent as it is.

All methods are given to gRPC as ones whose requests are a stream, also those that take one request, which they read
themselves. For a method of one request gRPC would begin when it is there: a call that never brings it would be no call,
and one that ends without it would never be answered.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Any, Never, Protocol, cast
from uuid import uuid4

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message

from services.runtime.access.port import AccessChecker
from services.runtime.calls.admission import Admission
from services.runtime.calls.call import Call, Context, deadline_of
from services.runtime.calls.edges import edge_of
from services.runtime.calls.observing import ObservedCall, Observer
from services.runtime.calls.spelling import JsonNames, is_json
from services.runtime.contract.errors import (
    DETAILS_KEY,
    HTTP_STATUS_KEY,
    ChatkitError,
    DeadlineExceeded,
    Internal,
    InvalidArgument,
    Unimplemented,
    http_status_of,
    to_status,
)
from services.runtime.contract.policies import Limits, MethodContract, methods_of
from services.runtime.identity.tokens import TokenVerifier
from services.runtime.streaming.open_streams import OpenStream, Streams

_READ_AWAY_SECONDS = 0.5
# How a call ends that its caller gave up, or whose connection was lost.
_GIVEN_UP = grpc.StatusCode.CANCELLED.name
# How long a stream waits for its request; other calls have their deadlines.
_REQUEST_SECONDS = 10.0

Unary = Callable[[Any, Call], Awaitable[Message | bytes]]
Stream = Callable[[Any, Call], AsyncIterator[Message | bytes]]
# A method whose requests are a stream: its first request, all of them with the first one included, and the call.
Requests = Callable[[Any, AsyncIterator[Any], Call], Awaitable[Message | bytes]]
# One whose answers are a stream as well: all its requests, and the call.
Both = Callable[[AsyncIterator[Any], Call], AsyncIterator[Message | bytes]]
StreamHandler = Callable[[object, Context], AsyncIterator[bytes]]
_Responses = AsyncGenerator[Message | bytes, None]
_Begin = Callable[["_Bodies", Context, OpenStream, ObservedCall], Awaitable[AsyncIterator[Message | bytes]]]


class Servicer(Protocol):
    """What serves a service of the contract: it has a method for each of the service's, with the same name."""

    SERVICE: ServiceDescriptor


class Handlers:
    """Composes the handlers of a service, and lets what they answer be seen."""

    def __init__(
        self,
        *,
        verifier: TokenVerifier,
        limits: Limits,
        streams: Streams,
        observer: Observer,
        access: AccessChecker | None = None,
    ) -> None:
        self._admission = Admission(verifier, limits, access)
        self._streams = streams
        self._observer = observer

    @property
    def answers(self) -> Counter[tuple[str, str]]:
        """How often each method has answered with each code, by its path and the code's name."""
        return self._observer.figures.answers()

    def generic(self, servicer: Servicer) -> grpc.GenericRpcHandler:
        """Return the handler of a whole service."""
        service = servicer.SERVICE
        methods = {method.name: self._handler(method, getattr(servicer, method.name)) for method in methods_of(service)}
        return grpc.method_handlers_generic_handler(service.full_name, methods)

    def unknown(self) -> grpc.GenericRpcHandler:
        """Return the handler of last resort, which answers METHOD_NOT_FOUND."""
        return _Unknown()

    def _handler(self, method: MethodContract, behaviour: Any) -> "grpc.RpcMethodHandler[bytes, bytes]":
        if method.streams:
            compose = self.both if method.streams_requests else self.stream
            return grpc.stream_stream_rpc_method_handler(compose(method, behaviour))
        if method.streams_requests:
            return grpc.stream_unary_rpc_method_handler(self.requests(method, behaviour))
        return grpc.stream_unary_rpc_method_handler(self.unary(method, behaviour))

    def unary(self, method: MethodContract, behaviour: Unary) -> Callable[[object, Context], Awaitable[bytes]]:
        """Compose the handler of a unary method."""
        caller_of, admit = self._admission.caller, self._admission.of(method)
        names = JsonNames(method.request)
        seconds = method.policy.deadline_ms / 1000
        begin = self._observer.of(method).begin

        async def handle(_bodies: object, context: Context) -> bytes:
            deadline, seen = deadline_of(context, seconds), begin(context)
            try:
                async with asyncio.timeout(seconds):
                    caller = caller_of(method, context)
                    request, call = await admit(await _only(context), context, caller, deadline, None)
                    seen.admitted(call)
                    response = await behaviour(request, call)
                seen.end("OK")
            except Exception as error:  # noqa: BLE001 - the boundary: nothing else may leave the process
                await self._abort(names, error, context, seen)
            finally:
                seen.end(_GIVEN_UP)
            return response if isinstance(response, bytes) else response.SerializeToString()

        return handle

    def stream(self, method: MethodContract, behaviour: Stream) -> StreamHandler:
        """Compose the handler of a server-streaming method."""
        admit = self._admission.of(method)

        async def begin(
            bodies: "_Bodies", context: Context, stream: OpenStream, seen: ObservedCall
        ) -> AsyncIterator[Message | bytes]:
            async with asyncio.timeout(_REQUEST_SECONDS):
                body = await bodies.first()
            request, call = await admit(body, context, stream.caller, deadline_of(context), stream)
            seen.admitted(call)
            return behaviour(request, call)

        return self._responding(method, begin)

    def both(self, method: MethodContract, behaviour: Both) -> StreamHandler:
        """Compose the handler of a method whose requests and responses are streams.

        The caller is admitted at once, as by a request that says nothing: the stream may be opened before there is
        something to say. Every request is checked as the one of other methods is.
        """
        admit, read = self._admission.of(method), self._admission.each_of(method)

        async def begin(
            bodies: "_Bodies", context: Context, stream: OpenStream, seen: ObservedCall
        ) -> AsyncIterator[Message | bytes]:
            _, call = await admit(b"", context, stream.caller, deadline_of(context), stream)
            seen.admitted(call)
            return behaviour(read(bodies), call)

        return self._responding(method, begin)

    def _responding(self, method: MethodContract, begin: _Begin) -> StreamHandler:
        caller_of = self._admission.caller
        names = JsonNames(method.request)
        arrive = self._observer.of(method).begin

        async def handle(_bodies: object, context: Context) -> AsyncIterator[bytes]:
            bodies, seen = _Bodies(context), arrive(context)
            try:
                with self._streams.open(caller_of(method, context), edge_of(context)) as stream:
                    # Closed with the call, and not whenever somebody collects it.
                    async with aclosing(cast("_Responses", await begin(bodies, context, stream, seen))) as responses:
                        async for response in responses:
                            stream.check()
                            stream.is_writing = True
                            seen.answers()
                            yield (response if isinstance(response, bytes) else response.SerializeToString())
                            stream.is_writing = False
                            stream.check()
                seen.end("OK")
            except Exception as error:  # noqa: BLE001 - the boundary: nothing else may leave the process
                if method.streams_requests:
                    await bodies.read_away()
                await self._abort(names, error, context, seen)
            finally:
                seen.end(_GIVEN_UP)
                bodies.close()

        return handle

    def requests(
        self, method: MethodContract, behaviour: Requests
    ) -> Callable[[AsyncIterator[bytes], Context], Awaitable[bytes]]:
        """Compose the handler of a client-streaming method.

        The first request is admitted as that of a unary method is. It counts as a stream, and ends with its token.
        """
        caller_of, admit = self._admission.caller, self._admission.of(method)
        names = JsonNames(method.request)
        read = self._admission.reader_of(method)
        seconds = method.policy.deadline_ms / 1000
        begin = self._observer.of(method).begin

        async def handle(_bodies: object, context: Context) -> bytes:
            deadline, bodies, seen = deadline_of(context, seconds), _Bodies(context), begin(context)
            try:
                with self._streams.open(caller_of(method, context)) as stream:
                    async with asyncio.timeout(seconds):
                        first, call = await admit(await bodies.first(), context, stream.caller, deadline, stream)
                        seen.admitted(call)
                        response = await behaviour(first, read(first, bodies), call)
                seen.end("OK")
            except Exception as error:  # noqa: BLE001 - the boundary: nothing else may leave the process
                await bodies.read_away()
                await self._abort(names, error, context, seen)
            finally:
                seen.end(_GIVEN_UP)
                bodies.close()
            return response if isinstance(response, bytes) else response.SerializeToString()

        return handle

    async def _abort(self, names: JsonNames, error: Exception, context: Context, seen: ObservedCall) -> Never:
        known = _known(error)
        seen.end(known.code.name, known, error)
        await abort(context, names.spelled(known) if is_json(context) else known)


def _known(error: Exception) -> ChatkitError:
    if isinstance(error, TimeoutError):
        return DeadlineExceeded("DEADLINE_EXCEEDED", "the call took longer than its deadline")
    if isinstance(error, ChatkitError) and not isinstance(error, Internal):
        return error
    error_id = uuid4().hex
    return Internal("INTERNAL", f"internal error {error_id}", metadata={"error_id": error_id})


class _Bodies:
    """The requests of a call, in their bytes; whoever is cancelled while they wait for the next one takes none away.

    gRPC knows no reading that is given up: what is read after it would be the end.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._reading: asyncio.Task[object] | None = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._reading is None:
            self._reading = asyncio.create_task(self._context.read())
        body = await asyncio.shield(self._reading)
        self._reading = None
        if body is grpc.aio.EOF:
            raise StopAsyncIteration
        return cast("bytes", body)

    async def first(self) -> bytes:
        """Return the next request, or raise REQUEST_MALFORMED: there must be one."""
        async for body in self:
            return body
        raise _no_request()

    async def read_away(self) -> None:
        """Let a client that is still sending come to its end, for a moment.

        Python's clients would else hear that their sending has failed, and not why.
        """
        with suppress(Exception):
            async with asyncio.timeout(_READ_AWAY_SECONDS):
                async for _ in self:
                    pass

    def close(self) -> None:
        """Read no more."""
        if self._reading is not None:
            self._reading.cancel()


async def _only(context: Context) -> bytes:
    """Read the request of a method that takes one, which costs less than to read one of many."""
    body = await context.read()
    if body is grpc.aio.EOF:
        raise _no_request()
    return cast("bytes", body)


def _no_request() -> InvalidArgument:
    return InvalidArgument("REQUEST_MALFORMED", "the call brought no request")


async def abort(context: Context, error: ChatkitError) -> Never:
    """End a call with an error and all its details."""
    status = to_status(error)
    told: tuple[tuple[str, str | bytes], ...] = ((DETAILS_KEY, status.SerializeToString()),)
    if http_status := http_status_of(error.reason):
        told = (*told, (HTTP_STATUS_KEY, str(http_status)))
    await context.abort(error.code, status.message, told)


class _Unknown(grpc.GenericRpcHandler):
    def service(self, _details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes]":
        """Answer every method that no other handler knows."""

        async def refuse(_bodies: object, context: Context) -> bytes:
            await abort(
                context,
                Unimplemented("METHOD_NOT_FOUND", "there is no such method here"),
            )

        return grpc.stream_unary_rpc_method_handler(refuse)
