"""Tools that have no protos ask the edge what the contract is: all that is public, with its comments, and no more."""

import asyncio
from typing import Any

import grpc
import pytest
from chatkit.contract.v1 import method_policy_pb2
from chatkit.users.v1 import users_service_pb2
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha import reflection_pb2 as pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from services.edge import public
from services.edge.reflection import ANSWERS_PER_SECOND, Contract
from services.edge.rendering.upstreams import MOST_REFLECTIONS
from tests.support import tokens
from tests.support.edge import Edge
from tests.support.refusals import decode, refused

every_version = pytest.mark.parametrize("path", public.REFLECTION_PATHS)
USERS = "chatkit.users.v1.UsersService"


def _open(edge: Edge, path: str) -> Any:
    return edge.channel.stream_stream(
        path,
        request_serializer=pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=pb2.ServerReflectionResponse.FromString,
    )()


async def _ask(edge: Edge, path: str, *requests: pb2.ServerReflectionRequest) -> list[pb2.ServerReflectionResponse]:
    call = _open(edge, path)
    answers = []
    for request in requests:
        await call.write(request)
        answers.append(await call.read())
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF
    return answers


def _file(answer: pb2.ServerReflectionResponse) -> descriptor_pb2.FileDescriptorProto:
    (serialized,) = answer.file_descriptor_response.file_descriptor_proto
    return descriptor_pb2.FileDescriptorProto.FromString(serialized)


@every_version
async def test_anyone_is_told_the_public_services_and_what_is_said_of_them(edge: Edge, path: str) -> None:
    listed, described, extended, numbers = await _ask(
        edge,
        path,
        pb2.ServerReflectionRequest(list_services=""),
        pb2.ServerReflectionRequest(file_containing_symbol=USERS),
        pb2.ServerReflectionRequest(
            file_containing_extension=pb2.ExtensionRequest(
                containing_type="google.protobuf.MethodOptions", extension_number=50700
            )
        ),
        pb2.ServerReflectionRequest(all_extension_numbers_of_type="google.protobuf.FieldOptions"),
    )
    names = {service.name for service in listed.list_services_response.service}
    assert names == {service.full_name for _, service in public.services()}
    said = [place.leading_comments for place in _file(described).source_code_info.location]
    assert " UsersService keeps the users of the instance.\n" in said
    assert _file(extended).name == "chatkit/contract/v1/method_policy.proto"
    assert list(numbers.all_extension_numbers_response.extension_number) == [50701]


@every_version
async def test_what_is_between_services_or_nowhere_is_not_found(edge: Edge, path: str) -> None:
    unknown = [
        pb2.ServerReflectionRequest(file_containing_symbol="chatkit.internal.access.v1.AccessService"),
        pb2.ServerReflectionRequest(file_by_filename="chatkit/internal/access/v1/access_service.proto"),
        pb2.ServerReflectionRequest(file_containing_symbol=""),
        pb2.ServerReflectionRequest(file_containing_extension=pb2.ExtensionRequest(containing_type="x")),
        pb2.ServerReflectionRequest(all_extension_numbers_of_type="x"),
        pb2.ServerReflectionRequest(),
    ]
    for request, answer in zip(unknown, await _ask(edge, path, *unknown), strict=True):
        assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
        assert answer.original_request == request


async def test_grpcs_own_client_of_reflection_calls_a_method_that_it_has_no_protos_of(edge: Edge) -> None:
    user = await asyncio.to_thread(_get_user, edge.address, tokens.token("alice"))
    assert user == "bob"


def _get_user(address: str, token: str) -> str:
    with grpc.insecure_channel(address) as channel:
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        method = pool.FindServiceByName(USERS).FindMethodByName("GetUser")
        request, response = (GetMessageClass(kind) for kind in (method.input_type, method.output_type))
        call: Any = channel.unary_unary(f"/{USERS}/GetUser", response_deserializer=response.FromString)
        asked: Any = request()
        asked.user_id = "bob"
        answer = call(asked.SerializeToString(), metadata=tokens.bearer(token))
        options = GetMessageClass(pool.FindMessageTypeByName("google.protobuf.MethodOptions"))
        extension: Any = pool.FindExtensionByName("chatkit.contract.v1.method")
        policy: Any = options.FromString(method.GetOptions().SerializeToString()).Extensions[extension]
        assert policy.audience == method_policy_pb2.AUDIENCE_USER
        return str(answer.user.id)


async def test_a_request_that_is_too_long_or_none_is_refused_as_any_other(edge: Edge) -> None:
    for body in (pb2.ServerReflectionRequest(list_services="x" * 5_000).SerializeToString(), b"\xff"):
        call: Any = edge.channel.stream_stream(public.REFLECTION_PATHS[0])()
        await call.write(body)
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await call.read()
        assert decode(refusal.value).reason == "REQUEST_MALFORMED"
    answer = await edge.json(public.REFLECTION_PATHS[0], {})
    assert (answer.status_code, answer.json()["details"][0]["reason"]) == (400, "REQUEST_MALFORMED")
    answer = await edge.http.get(public.REFLECTION_PATHS[0])
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_few_streams_are_open_at_once_and_calls_go_on_beside_them(edge: Edge) -> None:
    path = public.REFLECTION_PATHS[0]
    opened = [_open(edge, path) for _ in range(MOST_REFLECTIONS)]
    for call in opened:
        await call.write(pb2.ServerReflectionRequest(list_services=""))
        assert await call.read() is not grpc.aio.EOF
    # It says nothing: who is refused while writing may hear of the writing only.
    await refused(_open(edge, path).read(), "SERVICE_UNAVAILABLE")
    get_user: Any = edge.channel.unary_unary(f"/{USERS}/GetUser")
    request = users_service_pb2.GetUserRequest(user_id="bob").SerializeToString()
    assert await get_user(request, metadata=tokens.bearer(tokens.token("alice")))
    # Who asks nothing any more has to go.
    for call in opened:
        assert await call.read() is grpc.aio.EOF
    await _ask(edge, path, pb2.ServerReflectionRequest(list_services=""))


def test_every_file_and_symbol_is_found_and_no_answer_is_large() -> None:
    contract = Contract(public.descriptor_set())
    files = descriptor_pb2.FileDescriptorSet.FromString(public.descriptor_set()).file
    assert len(files) < ANSWERS_PER_SECOND
    for file in files:
        answer = contract.answer(pb2.ServerReflectionRequest(file_by_filename=file.name))
        assert _file(answer) == file
        assert answer.ByteSize() < 64 * 1024
    for symbol in (
        f"{USERS}.GetUser",
        "chatkit.users.v1.User.name",
        "chatkit.contract.v1.TOKEN_MISSING",
        "chatkit.contract.v1.ErrorReason.TOKEN_MISSING",
        "chatkit.contract.v1.method",
        "chatkit.messages.v1.RoomEvent.event",
        "google.rpc.BadRequest.FieldViolation",
        "google.protobuf.FieldDescriptorProto.TYPE_STRING",
    ):
        assert contract.answer(
            pb2.ServerReflectionRequest(file_containing_symbol=symbol)
        ).file_descriptor_response.file_descriptor_proto, symbol
