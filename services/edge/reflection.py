"""gRPC's server reflection: the public contract with its comments, for tools such as grpcurl that have no protos.

Anyone may ask, as for the descriptor set. So little is spent on it: an answer is a file that is serialized already, all
streams together get as many answers in a second as one pace gives, and a stream that asks nothing soon ends.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
from google.protobuf import descriptor_pb2
from google.protobuf.message import DecodeError
from grpc_reflection.v1alpha import reflection_pb2 as pb2

from services.edge import public
from services.runtime.calls.call import Context
from services.runtime.calls.handlers import abort
from services.runtime.calls.rates import Rate
from services.runtime.clock import Clock
from services.runtime.contract.errors import InvalidArgument
from services.runtime.ids import UserId

# All streams together, and twice as many where nobody asked before; a tool asks for some sixty files.
ANSWERS_PER_SECOND = 200
_EVERYBODY = UserId("")
_IDLE_SECONDS = 5.0
_REQUEST_BYTES = 4096
# Room for gRPC's own limit above it, so that what is a little too much is told so.
_RECEIVE_BYTES = 64 * 1024
_NOT_FOUND = grpc.StatusCode.NOT_FOUND.value[0]


class Contract:
    """A descriptor set, found by the names of files, symbols and extensions."""

    def __init__(self, descriptor_set: bytes) -> None:
        files = descriptor_pb2.FileDescriptorSet.FromString(descriptor_set).file
        self._serialized = {file.name: file.SerializeToString() for file in files}
        self._services = [f"{file.package}.{service.name}" for file in files for service in file.service]
        self._of_symbol = {symbol: file.name for file in files for symbol in _symbols(file)}
        self._of_extension = {
            (extension.extendee.removeprefix("."), extension.number): file.name
            for file in files
            for extension in file.extension
        }

    def answer(self, request: pb2.ServerReflectionRequest) -> pb2.ServerReflectionResponse:
        """Answer one question; a file comes without what it imports, which is asked for by its name."""
        response = pb2.ServerReflectionResponse(valid_host=request.host, original_request=request)
        match request.WhichOneof("message_request"):
            case "file_by_filename":
                self._add(response, request.file_by_filename)
            case "file_containing_symbol":
                self._add(response, self._of_symbol.get(request.file_containing_symbol, ""))
            case "file_containing_extension":
                asked = request.file_containing_extension
                self._add(response, self._of_extension.get((asked.containing_type, asked.extension_number), ""))
            case "all_extension_numbers_of_type":
                self._add_numbers(response, request.all_extension_numbers_of_type)
            case "list_services":
                named = response.list_services_response.service
                named.extend(pb2.ServiceResponse(name=name) for name in self._services)
            case _:
                _refuse(response)
        return response

    def _add(self, response: pb2.ServerReflectionResponse, name: str) -> None:
        if name in self._serialized:
            response.file_descriptor_response.file_descriptor_proto.append(self._serialized[name])
        else:
            _refuse(response)

    def _add_numbers(self, response: pb2.ServerReflectionResponse, name: str) -> None:
        if name not in self._of_symbol:
            _refuse(response)
            return
        found = response.all_extension_numbers_response
        found.base_type_name = name
        found.extension_number.extend(sorted(number for extended, number in self._of_extension if extended == name))


def _refuse(response: pb2.ServerReflectionResponse) -> None:
    response.error_response.error_code = _NOT_FOUND
    response.error_response.error_message = "the public contract has no such thing"


def _symbols(file: descriptor_pb2.FileDescriptorProto) -> Iterable[str]:
    for service in file.service:
        yield f"{file.package}.{service.name}"
        yield from (f"{file.package}.{service.name}.{method.name}" for method in service.method)
    yield from (f"{file.package}.{extension.name}" for extension in file.extension)
    yield from _enums(file.package, file.enum_type)
    for message in file.message_type:
        yield from _of_message(file.package, message)


def _of_message(scope: str, message: descriptor_pb2.DescriptorProto) -> Iterable[str]:
    name = f"{scope}.{message.name}"
    yield name
    yield from (f"{name}.{part}" for part in _parts(message))
    yield from _enums(name, message.enum_type)
    for inner in message.nested_type:
        yield from _of_message(name, inner)


def _parts(message: descriptor_pb2.DescriptorProto) -> list[str]:
    return [*(field.name for field in message.field), *(oneof.name for oneof in message.oneof_decl)]


def _enums(scope: str, enums: Iterable[descriptor_pb2.EnumDescriptorProto]) -> Iterable[str]:
    for enum in enums:
        yield f"{scope}.{enum.name}"
        # A value is named beside its enum, and tools ask for it within the enum as well.
        for value in enum.value:
            yield f"{scope}.{value.name}"
            yield f"{scope}.{enum.name}.{value.name}"


class _Handlers(grpc.GenericRpcHandler):
    """The one method, in both of its versions, whose messages are the same bytes."""

    def __init__(self, contract: Contract, clock: Clock) -> None:
        self._contract = contract
        self._pace = Rate(ANSWERS_PER_SECOND, clock)
        self._method: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(self._info)

    def service(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes] | None":
        """Return the method's handler."""
        return self._method if details.method in public.REFLECTION_PATHS else None

    async def _info(self, bodies: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        while (body := await _next(bodies)) is not None:
            await asyncio.sleep(self._pace.take(_EVERYBODY))
            try:
                request = _decode(body)
            except InvalidArgument as error:
                await abort(context, error)
            yield self._contract.answer(request).SerializeToString()


def _decode(body: bytes) -> pb2.ServerReflectionRequest:
    if len(body) > _REQUEST_BYTES:
        raise InvalidArgument("REQUEST_MALFORMED", f"a question has at most {_REQUEST_BYTES} bytes")
    try:
        return pb2.ServerReflectionRequest.FromString(body)
    except DecodeError:
        raise InvalidArgument("REQUEST_MALFORMED", "the question can't be read") from None


async def _next(bodies: AsyncIterator[bytes]) -> bytes | None:
    """Return the next question; None when there is none, or none has come for a while."""
    try:
        async with asyncio.timeout(_IDLE_SECONDS):
            return await anext(bodies, None)
    except TimeoutError:
        return None


@asynccontextmanager
async def serving(path: Path, contract: Contract, clock: Clock) -> AsyncIterator[None]:
    """Answer on a Unix socket while the context is open."""
    server = _server(path, _Handlers(contract, clock))
    await server.start()
    try:
        yield
    finally:
        await server.stop(None)


def _server(path: Path, handlers: _Handlers) -> grpc.aio.Server:
    path.unlink(missing_ok=True)
    server = grpc.aio.server(options=(("grpc.max_receive_message_length", _RECEIVE_BYTES),))
    server.add_generic_rpc_handlers((handlers,))
    server.add_insecure_port(f"unix:{path}")
    return server
