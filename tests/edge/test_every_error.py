"""Every error that can leave the edge has a reason and the suite's shape, whoever makes it and whatever the face.

The causes are not remembered, they are read: the codes of gRPC, the statuses of HTTP, the reasons of the contract, the
filters of the rendering, and the fields of requests.
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from chatkit.contract.v1 import error_reason_pb2
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.rpc import status_pb2

from services.edge import public
from services.edge.deployment import EXAMPLE
from services.edge.rendering.bootstrap import configuration
from services.edge.rendering.refusals import refusals
from services.runtime.contract.errors import ChatkitError, Violation, class_of, from_status
from services.runtime.contract.policies import Limits, error_definition
from tests.edge.calling import FACES, GET, Call, Told
from tests.support import tokens
from tests.support.backend import Backend, running_backend
from tests.support.edge import Edge, running_edge
from tests.support.edge_without import manager
from tests.support.refusals import decode
from tests.support.suite import Suite

REASONS = [
    value.name
    for value in error_reason_pb2.ErrorReason.DESCRIPTOR.values
    if value.number and error_definition(value).code
]
CODES = [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]


async def _told(face: str, edge: Edge, call: Call) -> ChatkitError:
    """Make a call, and return its refusal, which each face decodes with the details that it must have."""
    told = await call.by(face, edge)
    assert isinstance(told, Told), f"{face} of {call.path} was not refused"
    _has_the_shape(told.error)
    return told.error


def _has_the_shape(error: ChatkitError) -> None:
    assert error.reason in REASONS
    assert isinstance(error, class_of(error.reason))
    assert error.message


@pytest.fixture
async def answering(suite: Suite, short_path: Path) -> AsyncIterator[tuple[Backend, Edge]]:
    """Run a backend in the place of users, and the edge before it."""
    async with (
        running_backend() as backend,
        running_edge(suite, short_path, CHATKIT_USERS_ADDRESS=backend.address) as edge,
    ):
        yield backend, edge


# What refuses in each filter of the rendering, or why it never does.
FILTERS: dict[str, Call | str] = {
    "envoy.filters.http.header_mutation": "it changes headers of answers",
    "envoy.filters.http.grpc_web": "it turns frames into frames, and what is none is seen further on",
    "envoy.filters.http.compressor": "it compresses answers, also those that refuse",
    "envoy.filters.http.jwt_authn": Call(token=lambda: None),
    "envoy.filters.http.rbac": Call(token=lambda: tokens.forged("alice", instance="another")),
    "envoy.filters.http.local_ratelimit": Call(path="/chatkit.rooms.v1.RoomsService/ListUserRooms", body=b"", json={}),
    "envoy.filters.http.body_size_limit.json": Call(body=b"x" * 200_000, json={"userId": "x" * 200_000}),
    "envoy.filters.http.lua.json": Call(body=b"\xff", json={"other": 1}),
    "envoy.filters.http.grpc_json_transcoder": Call(
        path="/chatkit.users.v1.UsersService/UpdateUser", body=b"\xff", json={"updateMask": 5}
    ),
    "envoy.filters.http.grpc_stats": "it counts",
    "envoy.filters.http.body_size_limit": Call(body=b"x" * 70_000, json={"userId": "x" * 70_000}),
    "envoy.filters.http.buffer": "it holds back, and what goes before it counts",
    "envoy.filters.http.lua": Call(body=b"\xff", json={"userId": {}}),
    "envoy.filters.http.router": Call(path="/chatkit.files.v1.FilesService/GetFile", body=b"", json={}),
}


def _filters() -> list[str]:
    """List the filters of the rendering, those that only differ by a number or a limit as one."""
    names = [item["name"] for item in manager(configuration(EXAMPLE, Limits()))["http_filters"]]
    short = [name for name in FILTERS if name.count(".") > 3 or name.endswith("body_size_limit")]
    return sorted({next((one for one in sorted(short, reverse=True) if name.startswith(one)), name) for name in names})


def test_every_filter_of_the_rendering_is_looked_at() -> None:
    assert _filters() == sorted(FILTERS)


async def test_every_filter_that_refuses_gives_a_reason_in_every_face(suite: Suite, short_path: Path) -> None:
    await suite.make_users("alice")
    settings = {"CHATKIT_FILES_ADDRESS": "127.0.0.1:1", "CHATKIT_LIMIT_REQUESTS_PER_USER_PER_SECOND": "20"}
    async with running_edge(suite, short_path, "refills", **settings) as edge:
        for name, call in sorted(FILTERS.items(), key=lambda item: item[0].endswith("ratelimit")):
            for face in FACES:
                if isinstance(call, Call):
                    told = None
                    # A rate is over after some calls.
                    for _ in range(50 if name.endswith("ratelimit") else 1):
                        told = told or await call.by(face, edge)
                    assert told is not None, (name, face)
                    _has_the_shape(told.error)


async def test_every_status_with_which_envoy_answers_by_itself(suite: Suite, short_path: Path) -> None:
    async with running_edge(suite, short_path, "any status") as edge:
        for status in range(400, 600):
            for face in FACES:
                await _told(face, edge, Call(path=f"/status/{status}", token=lambda: None))


def test_every_refusal_of_the_rendering_is_one_of_the_contract() -> None:
    mappers = manager(configuration(EXAMPLE, Limits()))["local_reply_config"]["mappers"]
    assert len(mappers) == 2 * len(refusals(Limits()))
    for refusal, in_json in zip(refusals(Limits()), mappers[1::2], strict=True):
        _has_the_shape(refusal.error())
        shown = from_status(json_format.ParseDict(in_json["body_format_override"]["json_format"], status_pb2.Status()))
        assert shown is not None
        assert (shown.reason, shown.message) == (refusal.reason, refusal.message)
    # Whatever none of them is for has one as well.
    assert [refusal.least for refusal in refusals(Limits())[-2:]] == [500, 400]


async def test_every_reason_of_a_service_arrives_in_every_face(answering: tuple[Backend, Edge]) -> None:
    backend, edge = answering
    for reason in REASONS:
        backend.refusal = class_of(reason)(
            reason, "what happened", metadata={"fact": "x"}, violations=[Violation("user_id", "is wrong")]
        )
        for face in FACES:
            told = await _told(face, edge, Call())
            assert (told.reason, told.message, told.metadata) == (reason, "what happened", {"fact": "x"})
            assert told.violations == backend.refusal.violations


async def test_every_code_of_grpc_without_a_reason_gets_one(answering: tuple[Backend, Edge]) -> None:
    backend, edge = answering
    for backend.code in CODES:
        for face in FACES:
            assert "nobody" not in (await _told(face, edge, Call())).message


@pytest.mark.parametrize("code", [grpc.StatusCode.INTERNAL, grpc.StatusCode.RESOURCE_EXHAUSTED])
async def test_a_code_that_comes_after_an_answer_gets_a_reason_too(
    code: grpc.StatusCode, answering: tuple[Backend, Edge]
) -> None:
    backend, edge = answering
    backend.code, backend.streams = code, True
    stream: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = edge.channel.unary_stream(GET)
    reading = stream(b"", metadata=tokens.user("alice"))
    assert await reading.read() == b""
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await reading.read()
    _has_the_shape(decode(ended.value))
    answer = await edge.web(GET, b"", tokens.token("alice"))
    assert b"grpc-status-details-bin:" in answer.content


async def test_what_the_transcoder_refuses_has_a_reason(edge: Edge) -> None:
    wrong: list[tuple[str, Any]] = []
    for _, method in public.methods():
        if not method.streams_requests:
            wrong += [(method.path, body) for body in _wrong(method.request)]
    assert len(wrong) > 200
    for number, (path, body) in enumerate(wrong):
        # Each of another user: what a user's rate refuses never gets to the transcoder.
        token = tokens.token(f"alice-{number}", su=True)
        content = json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")
        headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
        async with edge.http.stream("POST", path, content=content, headers=headers) as answer:
            if answer.status_code != 200:
                error = from_status(json_format.ParseDict(json.loads(await answer.aread()), status_pb2.Status()))
                assert error is not None, (path, body)
                assert error.reason != "RATE_EXCEEDED"
                _has_the_shape(error)


def _wrong(message: Descriptor) -> list[Any]:
    """Return a request for each field and each value that is none of the field's."""
    return [{field.json_name: value} for field in message.fields for value in _values(field)]


def _values(field: FieldDescriptor) -> list[Any]:
    values = [5, "\ud800", 10**30, {"unknown": 1}, [[]], True, 1.5, "2026-13-99T00:00:00Z"]
    return [[value] for value in values] if field.is_repeated else values
