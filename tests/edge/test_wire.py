"""One port, four protocols: the same call and the same refusal through each of them."""

import asyncio

import grpc
import pytest
from chatkit.users.v1 import users_service_pb2 as users_pb2
from chatkit.users.v1.users_service_pb2_grpc import UsersServiceStub
from google.protobuf import descriptor_pb2
from google.rpc import status_pb2

from services.runtime.errors import class_of, from_status
from tests.support import faces, tokens
from tests.support.edge import Edge
from tests.support.refusals import check

_GET = "/chatkit.users.v1.UsersService/GetUser"
_STATUS = {"METHOD_NOT_FOUND": 404, "REQUEST_TOO_LARGE": 413, "SERVICE_UNAVAILABLE": 503, "TOKEN_MISSING": 401}


async def _refused_everywhere(edge: Edge, path: str, body: bytes, json: object, reason: str) -> None:
    """Send a call that must be refused through gRPC, gRPC-Web and JSON, and compare what each of them is told."""
    token = None if reason == "TOKEN_MISSING" else tokens.token("alice")
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = edge.channel.unary_unary(path)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(body, metadata=tokens.bearer(token) if token else None)
    error = check(caught.value, reason)

    web = await edge.web(path, body, token)
    assert web.status_code == 200
    assert web.headers["content-type"] == "application/grpc-web+proto"
    assert int(web.headers["grpc-status"]) == class_of(reason).code.value[0]
    decoded = from_status(status_pb2.Status.FromString(faces.details(web.headers["grpc-status-details-bin"])))
    assert decoded is not None
    assert decoded.reason == reason

    answer = await edge.json(path, json, token)
    assert answer.status_code == _STATUS[reason]
    told = answer.json()
    assert told["code"] == class_of(reason).code.value[0]
    assert told["message"] == error.message
    assert told["details"][0]["reason"] == reason
    assert told["details"][0]["domain"] == "chatkit"


async def test_a_call_gets_the_same_answer_through_every_protocol(edge: Edge) -> None:
    request = users_pb2.GetUserRequest(user_id="bob")
    token = tokens.token("alice")
    user = (await UsersServiceStub(edge.channel).GetUser(request, metadata=tokens.bearer(token))).user
    web = await edge.web(_GET, request.SerializeToString(), token)
    size = int.from_bytes(web.content[1:5], "big")
    assert users_pb2.GetUserResponse.FromString(web.content[5 : 5 + size]).user == user
    assert b"grpc-status:0" in web.content[5 + size :]
    shown = (await edge.json(_GET, {"userId": "bob"}, token)).json()["user"]
    assert shown["name"] == user.name
    assert shown["avatarUrl"] == ""
    assert shown["createTime"].startswith(user.create_time.ToJsonString()[:19])


async def test_what_is_no_method_for_clients_does_not_exist(edge: Edge) -> None:
    for path in ("/chatkit.users.v1.UsersService/Nope", "/chatkit.internal.access.v1.AccessService/CheckAccess"):
        await _refused_everywhere(edge, path, b"", {}, "METHOD_NOT_FOUND")
    for url in (_GET, "/nope", "/grpc.health.v1.Health/Check"):
        answer = await edge.http.get(url)
        assert (answer.status_code, answer.json()["details"][0]["reason"]) == (404, "METHOD_NOT_FOUND")


async def test_a_body_over_the_methods_size_never_reaches_the_service(edge: Edge) -> None:
    before = edge.suite.servers["users"].handlers.answers.copy()
    body = users_pb2.GetUserRequest(user_id="x" * 100_000).SerializeToString()
    await _refused_everywhere(edge, _GET, body, {"userId": "x" * 100_000}, "REQUEST_TOO_LARGE")
    after = edge.suite.servers["users"].handlers.answers
    # Envoy does not see a body that arrives in one frame; then the service refuses it.
    assert after - before in ({}, {(_GET, "RESOURCE_EXHAUSTED"): 1})


async def test_without_a_token_every_protocol_is_told_so(edge: Edge) -> None:
    body = users_pb2.GetUserRequest(user_id="bob").SerializeToString()
    await _refused_everywhere(edge, _GET, body, {"userId": "bob"}, "TOKEN_MISSING")


async def test_a_service_that_is_away_is_unavailable_with_a_delay_and_comes_back(edge: Edge) -> None:
    await edge.suite.stop("users")
    body = users_pb2.GetUserRequest(user_id="bob").SerializeToString()
    await _refused_everywhere(edge, _GET, body, {"userId": "bob"}, "SERVICE_UNAVAILABLE")
    answer = await edge.json(_GET, {"userId": "bob"}, tokens.token("alice"))
    retry = next(item for item in answer.json()["details"] if item["@type"].endswith("RetryInfo"))
    assert retry["retryDelay"] == "0.500s"
    await edge.suite.start("users", listen=edge.suite.servers["users"].address)
    async with asyncio.timeout(20):
        while (await edge.json(_GET, {"userId": "bob"}, tokens.token("alice"))).status_code != 200:
            pass


async def test_json_that_is_none_is_told_so(edge: Edge) -> None:
    headers = {"content-type": "application/json", "authorization": f"Bearer {tokens.token('alice')}"}
    for content, url in (
        (b'{"userId":', _GET),
        (b"[]", _GET),
        (b'{"userId": 1}', _GET),
        (b"{}", f"{_GET}?userId=bob&x=1"),
    ):
        answer = await edge.http.post(url, content=content, headers=headers)
        assert answer.status_code == 400, content
        assert answer.json()["code"] == 3
        assert answer.json()["details"][0]["reason"] in {"REQUEST_MALFORMED", "FIELD_REQUIRED"}


async def test_the_front_page_has_the_limits_and_the_contract_can_be_fetched(edge: Edge) -> None:
    front = await edge.http.get("/")
    assert front.headers["content-type"] == "application/json"
    assert front.json()["name"] == "chatkit"
    assert {"name": "ROOM_MEMBERS", "value": 100}.items() <= front.json()["limits"][0].items()
    contract = await edge.http.get("/descriptor.binpb")
    files = descriptor_pb2.FileDescriptorSet.FromString(contract.content).file
    assert "chatkit/messages/v1/messages_service.proto" in {file.name for file in files}


async def test_a_large_page_is_whole_in_json(edge: Edge) -> None:
    names = [f"{number:03}" + "é" * 150 for number in range(100)]
    await edge.suite.make_users("carol", *names)
    for number in range(12):
        await edge.suite.make_room(f"r{number:03}", "carol", *names[:99])
    path = "/chatkit.rooms.v1.RoomsService/ListUserRooms"
    answer = await edge.json(path, {"pageSize": 100}, tokens.token("carol"))
    assert answer.status_code == 200
    assert len(answer.json()["rooms"]) == 12
    assert len(answer.json()["memberships"][11]["userIds"]) == 100
