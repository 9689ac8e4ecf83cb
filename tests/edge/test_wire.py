"""One port, four protocols: the same call and the same refusal through each of them."""

import asyncio
import json

import grpc
import pytest
from chatkit.messages.v1 import messages_service_pb2
from chatkit.messages.v1.messages_service_pb2_grpc import MessagesServiceStub
from chatkit.users.v1 import users_service_pb2 as users_pb2
from chatkit.users.v1.users_service_pb2_grpc import UsersServiceStub
from google.protobuf import descriptor_pb2

from tests.edge.calling import GET, Call, refused
from tests.support import tokens
from tests.support.edge import Edge
from tests.support.eventually import HANG_SECONDS


async def test_a_call_gets_the_same_answer_through_every_protocol(edge: Edge) -> None:
    request = users_pb2.GetUserRequest(user_id="bob")
    token = tokens.token("alice")
    user = (await UsersServiceStub(edge.channel).GetUser(request, metadata=tokens.bearer(token))).user
    web = await edge.web(GET, request.SerializeToString(), token)
    size = int.from_bytes(web.content[1:5], "big")
    assert users_pb2.GetUserResponse.FromString(web.content[5 : 5 + size]).user == user
    assert b"grpc-status:0" in web.content[5 + size :]
    shown = (await edge.json(GET, {"userId": "bob"}, token)).json()["user"]
    assert shown["name"] == user.name
    assert shown["avatarUrl"] == ""
    assert shown["createTime"].startswith(user.create_time.ToJsonString()[:19])


async def test_what_is_no_method_for_clients_does_not_exist(edge: Edge) -> None:
    for path in ("/chatkit.users.v1.UsersService/Nope", "/chatkit.internal.access.v1.AccessService/CheckAccess"):
        await refused(edge, Call(path=path, body=b"", json={}), "METHOD_NOT_FOUND")
        await refused(edge, Call(path=path, body=b"", json={}, token=lambda: None), "METHOD_NOT_FOUND")
    for url in ("/nope", "/grpc.health.v1.Health/Check"):
        answer = await edge.http.get(url)
        assert (answer.status_code, answer.json()["details"][0]["reason"]) == (404, "METHOD_NOT_FOUND")


async def test_another_verb_than_a_path_takes_is_told_which_it_is(edge: Edge) -> None:
    for method, url, allowed in (
        ("GET", GET, "POST"),
        ("GET", f"{GET}?userId=bob", "POST"),
        ("HEAD", GET, "POST"),
        ("PUT", "/chatkit.messages.v1.MessagesService/SubscribeRoom", "POST"),
        ("POST", "/", "GET, HEAD"),
        ("DELETE", "/descriptor.binpb", "GET, HEAD"),
        ("POST", "/files/x", "GET, HEAD, PUT"),
    ):
        answer = await edge.http.request(method, url)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed), (method, url)
        if method != "HEAD":
            assert answer.json()["message"] == f"this path takes {allowed} only"
            assert answer.json()["details"][0]["reason"] == "METHOD_NOT_FOUND"


async def test_connect_is_no_method_whoever_asks(edge: Edge) -> None:
    host, _, port = edge.address.rpartition(":")
    for who in (f"authorization: Bearer {tokens.token('alice')}\r\n", "authorization: Basic eA==\r\n", ""):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"CONNECT x:80 HTTP/1.1\r\nhost: x:80\r\nconnection: close\r\n{who}\r\n".encode())
        async with asyncio.timeout(HANG_SECONDS):
            answered, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        assert answered.startswith(b"HTTP/1.1 404 "), answered
        assert json.loads(body)["details"][0]["reason"] == "METHOD_NOT_FOUND"


async def test_fields_are_spelled_as_they_were_sent(edge: Edge) -> None:
    path, token = "/chatkit.messages.v1.MessagesService/SendMessage", tokens.token("alice")
    sent = {"roomId": "lobby", "parts": [{"contentType": "nonsense", "content": "room_id"}], "requestId": ""}
    answer = (await edge.json(path, sent, token)).json()
    assert answer["message"].startswith("parts[0].contentType: ")
    info, request = answer["details"]
    assert info["metadata"] == {"field": "parts[0].contentType"}
    assert [found["field"] for found in request["fieldViolations"]] == ["parts[0].contentType", "requestId"]
    cursors = "/chatkit.messages.v1.ReadStatesService/ListReadCursors"
    answer = (await edge.json(cursors, {"roomId": "lobby", "userId": "alice"}, token)).json()
    assert answer["message"] == "userId: must be empty beside roomId"
    # By gRPC they are the contract's.
    message = messages_service_pb2.SendMessageRequest(room_id="lobby", request_id="1")
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await MessagesServiceStub(edge.channel).SendMessage(message, metadata=tokens.bearer(token))
    assert refusal.value.details() == "parts: must have at least one item"
    message.parts.add(content_type="nonsense")
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await MessagesServiceStub(edge.channel).SendMessage(message, metadata=tokens.bearer(token))
    assert (refusal.value.details() or "").startswith("parts[0].content_type: ")


async def test_a_reason_is_spelled_alike_in_errors_and_in_the_results_of_a_batch(edge: Edge) -> None:
    path = "/chatkit.messages.v1.MessagesService/BatchSendMessages"
    request = {"roomId": "lobby", "senderId": "alice", "parts": [{"contentType": ""}], "requestId": "1"}
    answer = await edge.json(path, {"requests": [request]}, tokens.token(None, su=True))
    failure = answer.json()["results"][0]["failure"]
    assert (failure["reason"], failure["metadata"]) == ("FIELD_REQUIRED", {"field": "parts[0].contentType"})
    assert failure["message"].startswith("parts[0].contentType: ")


async def test_a_service_that_is_away_is_unavailable_with_a_delay_and_comes_back(edge: Edge) -> None:
    await edge.suite.stop("users")
    for told in await refused(edge, Call(), "SERVICE_UNAVAILABLE"):
        assert told.error.retry_after is not None
        assert told.error.retry_after.total_seconds() == 0.5
    await edge.suite.start("users", listen=edge.suite.servers["users"].address)
    async with asyncio.timeout(HANG_SECONDS):
        while (await edge.json(GET, {"userId": "bob"}, tokens.token("alice"))).status_code != 200:
            pass


async def test_json_that_is_none_is_told_so(edge: Edge) -> None:
    headers = {"content-type": "application/json", "authorization": f"Bearer {tokens.token('alice')}"}
    for content, url in (
        (b'{"userId":', GET),
        (b"[]", GET),
        (b'{"userId": 1}', GET),
        (b"{}", f"{GET}?userId=bob&x=1"),
    ):
        answer = await edge.http.post(url, content=content, headers=headers)
        assert answer.status_code == 400, content
        assert answer.json()["code"] == 3
        assert answer.json()["details"][0]["reason"] in {"REQUEST_MALFORMED", "FIELD_REQUIRED"}


async def test_the_front_page_has_the_limits_and_the_contract_can_be_fetched(edge: Edge) -> None:
    # A page that is compressed has no length before it is sent.
    edge.http.headers["accept-encoding"] = "identity"
    front = await edge.http.get("/")
    assert front.headers["content-type"] == "application/json"
    assert front.json()["name"] == "chatkit"
    assert {"name": "ROOM_MEMBERS", "value": 100}.items() <= front.json()["limits"][0].items()
    contract = await edge.http.get("/descriptor.binpb")
    for page in (front, contract, await edge.http.get("/health")):
        head = await edge.http.head(page.request.url)
        assert (head.status_code, head.content) == (200, b"")
        assert {name: head.headers[name] for name in ("content-type", "content-length")}.items() <= page.headers.items()
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


async def test_http_that_is_not_spoken_here_is_told_so(edge: Edge) -> None:
    head = f"POST {GET} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {tokens.token('alice')}\r\n"
    for request in (
        head.replace("HTTP/1.1", "HTTP/1.0"),
        head + "connection: upgrade\r\nupgrade: websocket\r\n",
        head + "transfer-encoding: gzip\r\n",
        head + "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
        head + "content-length: 5\r\ncontent-length: 6\r\n",
    ):
        host, _, port = edge.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"{request}\r\n".encode())
        async with asyncio.timeout(HANG_SECONDS):
            answered, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        assert answered.startswith(b"HTTP/1.1 400 "), answered
        assert json.loads(body)["details"][0]["reason"] == "REQUEST_MALFORMED"
