"""grpcio-testing for async servicers.

grpcio-testing is synchronous and calls an `async def` without awaiting it: the call is OK and nothing was done. So each
method is wrapped here in a synchronous one that runs the composed handler to its end.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any, Never

import grpc
import grpc_testing
from google.protobuf.message import Message
from google.rpc import status_pb2

from services.runtime.calls.handlers import Handlers, Servicer
from services.runtime.contract.errors import DETAILS_KEY, from_status
from services.runtime.contract.policies import MethodContract, methods_of


class TestedServicer:
    """A servicer behind grpcio-testing's server."""

    __test__ = False

    def __init__(self, servicer: Servicer, handlers: Handlers) -> None:
        service = servicer.SERVICE
        self._methods = {method.name: method for method in methods_of(service)}
        self._descriptors = {method.name: method for method in service.methods}
        adapted = SimpleNamespace(
            **{name: _adapt(method, servicer, handlers) for name, method in self._methods.items()}
        )
        self._server = grpc_testing.server_from_dictionary({service: adapted}, grpc_testing.strict_real_time())

    def call(self, method: str, request: Message, metadata: Sequence[tuple[str, str]] = ()) -> Any:
        """Call a unary method: return its response, or raise the error that it was refused with."""
        rpc = self._server.invoke_unary_unary(self._descriptors[method], tuple(metadata), request, 5)
        response, trailing, code, details = rpc.termination()
        if code is not grpc.StatusCode.OK:
            raise _error(trailing, code, details)
        if not isinstance(response, self._methods[method].response_class):
            raise TypeError(f"{method} answered OK with {response!r}")
        return response

    def stream(self, method: str, request: Message, metadata: Sequence[tuple[str, str]] = ()) -> list[Any]:
        """Call a streaming method to its end: return its responses, or raise the error that it ended with."""
        rpc = self._server.invoke_unary_stream(self._descriptors[method], tuple(metadata), request, 5)
        trailing, code, details = rpc.termination()
        if code is not grpc.StatusCode.OK:
            raise _error(trailing, code, details)
        responses = []
        while True:
            try:
                responses.append(rpc.take_response())
            except ValueError:
                return responses


class _AbortedError(BaseException):
    """The call was ended; whatever is returned after this is not looked at."""


class _Context:
    """grpcio-testing's context with the asynchronous face that handlers expect."""

    def __init__(self, context: grpc.ServicerContext, request: Message) -> None:
        self._context = context
        self._request = request

    async def read(self) -> bytes:
        return self._request.SerializeToString()

    def invocation_metadata(self) -> Any:
        return self._context.invocation_metadata()

    def time_remaining(self) -> float | None:
        return 5.0

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing_metadata: Any = ()) -> Never:
        # Not through grpcio-testing's own abort, which forgets the metadata.
        self._context.set_trailing_metadata(trailing_metadata)
        self._context.set_code(code)
        self._context.set_details(details)
        raise _AbortedError


def _adapt(method: MethodContract, servicer: object, handlers: Handlers) -> Callable[..., Any]:
    behaviour = getattr(servicer, method.name)
    parse = method.response_class.FromString

    def unary(request: Message, context: grpc.ServicerContext) -> Message:
        handle = handlers.unary(method, behaviour)
        try:
            return parse(asyncio.run(_awaited(handle(None, _Context(context, request)))))
        except _AbortedError:
            return method.response_class()

    def stream(request: Message, context: grpc.ServicerContext) -> Iterator[Message]:
        async def collect() -> list[bytes]:
            handle = handlers.stream(method, behaviour)
            bodies: list[bytes] = []
            try:
                async for body in handle(None, _Context(context, request)):
                    bodies.append(body)  # noqa: PERF401 - what came before an abort counts
            except _AbortedError:
                pass
            return bodies

        return iter([parse(body) for body in asyncio.run(collect())])

    return stream if method.streams else unary


async def _awaited(handled: Any) -> bytes:
    body: bytes = await handled
    return body


def _error(trailing: Any, code: grpc.StatusCode, details: str) -> Exception:
    for key, value in trailing or ():
        if key == DETAILS_KEY:
            decoded = from_status(status_pb2.Status.FromString(value))
            if decoded is not None:
                assert decoded.code == code
                return decoded
    return AssertionError(f"refused without a reason: {code.name} {details}")
