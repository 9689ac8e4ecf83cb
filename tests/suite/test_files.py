"""Pictures and videos through the edge: from one client to another, as gRPC, as JSON, in a browser, and with curl."""

import asyncio
import hashlib
import http.client
import json
import random
import shutil
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
import httpx
import pytest
from chatkit.files.v1 import files_service_pb2 as files_pb2
from chatkit.files.v1.files_service_pb2_grpc import FilesServiceStub
from chatkit.messages.v1 import messages_service_pb2 as pb2
from chatkit.messages.v1 import part_pb2, room_event_pb2
from chatkit.messages.v1.messages_service_pb2_grpc import MessagesServiceStub
from chatkit.rooms.v1.rooms_service_pb2 import SubscribeUserRequest
from chatkit.rooms.v1.rooms_service_pb2_grpc import RoomsServiceStub

from tests.support.edge import Edge
from tests.support.eventually import HANG_SECONDS, eventually
from tests.support.refusals import refused
from tests.support.tokens import token, user

_RANDOM = random.Random(1)
CONTENTS = {
    "image/png": b"\x89PNG\r\n\x1a\n" + _RANDOM.randbytes(100_000),
    "image/gif": b"GIF89a" + _RANDOM.randbytes(300_000),
    "video/mp4": b"\0\0\0\x18ftypmp42" + _RANDOM.randbytes(5_242_880 - 12),
}
SERVICE = "/chatkit.files.v1.FilesService/"


def _path(url: str) -> str:
    """Return a URL without its host, which in a test is not the edge's."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


async def _upload(edge: Edge, content_type: str, content: bytes) -> str:
    """Send content as alice and return the file's id."""
    request = {"roomId": "lobby", "contentType": content_type, "sizeBytes": len(content), "requestId": content_type}
    created = (await edge.json(f"{SERVICE}CreateFile", request, token("alice"))).json()
    answer = await edge.http.put(_path(created["uploadUrl"]), content=content)
    assert answer.status_code == 200, answer.text
    assert answer.json()["file"]["sha256"] == hashlib.sha256(content).hexdigest()
    return str(created["file"]["id"])


async def test_what_one_sends_another_sees_and_fetches_as_identical_bytes(edge: Edge, tmp_path: Path) -> None:
    opened = MessagesServiceStub(edge.channel).SubscribeRoom(
        pb2.SubscribeRoomRequest(room_id="lobby", last=0), metadata=user("bob")
    )

    async def messages() -> AsyncIterator[room_event_pb2.RoomEvent]:
        async for frame in opened:
            for event in frame.events:
                if event.HasField("message_created"):
                    yield event

    seen = messages()
    for content_type, content in CONTENTS.items():
        file_id = await _upload(edge, content_type, content)
        part = part_pb2.Part(content_type=content_type, file_id=file_id)
        send = pb2.SendMessageRequest(room_id="lobby", parts=[part], request_id=content_type)
        await MessagesServiceStub(edge.channel).SendMessage(send, metadata=user("alice"))
        async with asyncio.timeout(HANG_SECONDS):
            attached = (await anext(seen)).message_created.parts[0].file
        assert attached.sha256 == hashlib.sha256(content).hexdigest()
        stub = FilesServiceStub(edge.channel)
        request = files_pb2.DownloadFileRequest(room_id="lobby", file_id=attached.id)
        frames = [frame async for frame in stub.DownloadFile(request, metadata=user("bob"))]
        assert b"".join(chunk for frame in frames for chunk in frame.chunks) == content
        got = await stub.GetFile(files_pb2.GetFileRequest(room_id="lobby", file_id=attached.id), metadata=user("bob"))
        url = f"http://{edge.address}{_path(got.file.download_url)}"
        assert await _with_curl(url, tmp_path / "fetched", middle=len(content) // 2) in {content, b"no curl"}
        whole = await edge.http.get(url)
        assert (whole.content, whole.headers["content-type"]) == (content, content_type)
        head = await edge.http.head(url, headers={"range": "bytes=0-9"})
        assert (head.status_code, head.headers["content-range"]) == (206, f"bytes 0-9/{len(content)}")
    opened.cancel()


async def test_an_empty_file_can_be_sent(edge: Edge) -> None:
    file_id = await _upload(edge, "text/plain", b"")
    part = part_pb2.Part(content_type="text/plain", file_id=file_id)
    send = pb2.SendMessageRequest(room_id="lobby", parts=[part], request_id="empty")
    sent = await MessagesServiceStub(edge.channel).SendMessage(send, metadata=user("alice"))
    assert sent.message.parts[0].file.sha256 == hashlib.sha256(b"").hexdigest()
    shown = (await edge.json(f"{SERVICE}GetFile", {"roomId": "lobby", "fileId": file_id}, token("bob"))).json()
    assert shown["file"]["sizeBytes"] == "0"
    assert (await edge.http.get(_path(shown["file"]["downloadUrl"]))).content == b""


async def test_a_file_in_use_is_a_conflict_in_json(edge: Edge) -> None:
    file_id = await _upload(edge, "text/plain", b"x")
    part = part_pb2.Part(content_type="text/plain", file_id=file_id)
    send = pb2.SendMessageRequest(room_id="lobby", parts=[part], request_id="used")
    await MessagesServiceStub(edge.channel).SendMessage(send, metadata=user("alice"))
    answer = await edge.json(f"{SERVICE}DeleteFile", {"roomId": "lobby", "fileId": file_id}, token("alice"))
    assert answer.status_code == 409
    assert answer.json()["details"][0]["reason"] == "FILE_IN_USE"
    assert answer.json()["details"][1]["retryDelay"] == "60s"


async def _with_curl(url: str, target: Path, middle: int) -> bytes:
    """Fetch content in two ranges."""
    curl = shutil.which("curl")
    if curl is None:
        return b"no curl"
    halves = []
    for part in (f"0-{middle - 1}", f"{middle}-"):
        command = (curl, "--silent", "--fail", "--range", part, "--output", str(target), url)
        process = await asyncio.create_subprocess_exec(*command)
        assert await process.wait() == 0
        halves.append(await asyncio.to_thread(target.read_bytes))
    return b"".join(halves)


async def test_content_sent_in_frames_is_not_held_back_by_the_edge(edge: Edge) -> None:
    content = CONTENTS["video/mp4"]
    request = files_pb2.CreateFileRequest(
        room_id="lobby", content_type="video/mp4", size_bytes=len(content), request_id="frames"
    )
    stub = FilesServiceStub(edge.channel)
    file_id = (await stub.CreateFile(request, metadata=user("alice"))).file.id

    async def frames() -> AsyncIterator[files_pb2.UploadFileRequest]:
        yield files_pb2.UploadFileRequest(room_id="lobby", file_id=file_id)
        # The service has seen the beginning before the rest is sent.
        await eventually(lambda: edge.suite.database.count("files.uploads"))
        for start in range(0, len(content), 256 * 1024):
            yield files_pb2.UploadFileRequest(chunk=content[start : start + 256 * 1024])

    uploaded = await stub.UploadFile(frames(), metadata=user("alice"))
    assert uploaded.file.sha256 == hashlib.sha256(content).hexdigest()
    await refused(stub.UploadFile(frames(), metadata=user("bob")), "FILE_NOT_FOUND")


async def test_content_of_a_type_that_calls_have_stays_as_it_is(edge: Edge) -> None:
    for content_type in ("application/grpc-web-text", "application/grpc", "application/json"):
        request = {"roomId": "lobby", "contentType": content_type, "sizeBytes": 5, "requestId": content_type}
        created = (await edge.json(f"{SERVICE}CreateFile", request, token("alice"))).json()
        told = {"content-type": content_type}
        answer = await edge.http.put(_path(created["uploadUrl"]), content=b"AAAAA", headers=told)
        assert answer.status_code == 200, answer.text
        got = await edge.http.get(_path(answer.json()["file"]["downloadUrl"]), headers=told)
        assert (got.status_code, got.content) == (200, b"AAAAA")


async def test_custom_data_as_deep_as_may_be_can_be_read_wherever_it_is_shown(edge: Edge) -> None:
    deep: Any = "x"
    for _ in range(20):
        deep = {"a": deep}
    request = {"roomId": "lobby", "contentType": "a/b", "sizeBytes": 5, "requestId": "deep", "customData": deep}
    created = (await edge.json(f"{SERVICE}CreateFile", request, token("alice"))).json()
    await edge.http.put(_path(created["uploadUrl"]), content=b"AAAAA")
    room = {"id": "deep", "name": "deep", "visibility": "VISIBILITY_PUBLIC", "customData": deep, "requestId": "deep"}
    for path, body in (
        ("users.v1.UsersService/UpdateUser", {"userId": "alice", "customData": deep, "updateMask": "customData"}),
        ("rooms.v1.RoomsService/CreateRoom", room),
        (
            "messages.v1.MessagesService/SendMessage",
            {
                "roomId": "lobby",
                "requestId": "deep",
                "parts": [{"contentType": "a/b", "fileId": created["file"]["id"]}],
            },
        ),
        ("messages.v1.MessagesService/ListRoomEvents", {"roomId": "lobby"}),
        ("rooms.v1.RoomsService/ListUserRooms", {}),
        ("users.v1.UsersService/ListUsers", {}),
    ):
        answer = await edge.json(f"/chatkit.{path}", body, token("alice", su=True))
        assert answer.status_code == 200, (path, answer.text)
        assert '{"a":' * 20 in answer.text.replace(" ", "").replace("\n", ""), path
    streams: list[Any] = [
        MessagesServiceStub(edge.channel).SubscribeRoom(
            pb2.SubscribeRoomRequest(room_id="lobby"), metadata=user("bob")
        ),
        RoomsServiceStub(edge.channel).SubscribeUser(SubscribeUserRequest(), metadata=user("alice")),
    ]
    for stream in streams:
        async with asyncio.timeout(HANG_SECONDS):
            async for frame in stream:
                if any(event.WhichOneof("event") == "caught_up" for event in frame.events):
                    break
        stream.cancel()


async def test_the_edge_lets_through_what_is_signed_and_refuses_the_rest_in_the_suites_words(edge: Edge) -> None:
    file_id = await _upload(edge, "image/png", CONTENTS["image/png"])
    for method, path, status, reason in (
        ("GET", f"/files/{file_id}", 403, "FILE_URL_INVALID"),
        ("GET", "/files/nothing", 404, "FILE_NOT_FOUND"),
        ("POST", f"/files/{file_id}", 405, "METHOD_NOT_FOUND"),
        ("GET", "/healthz", 404, "METHOD_NOT_FOUND"),
        ("GET", "/chatkit.internal.attachments.v1.AttachmentsService/AttachFiles", 404, "METHOD_NOT_FOUND"),
    ):
        answer = await edge.http.request(method, path)
        reasons = {detail.get("reason") for detail in answer.json()["details"]}
        assert (answer.status_code, reason in reasons) == (status, True), (path, answer.text)


def _sent_at_once(address: str, path: str, content: bytes, **headers: str) -> tuple[int, dict[str, Any]]:
    """Send everything and only then look for an answer, as simple clients do."""
    connection = http.client.HTTPConnection(address, timeout=HANG_SECONDS)
    try:
        connection.request("PUT", path, content, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


async def test_whoever_looks_for_an_answer_after_sending_is_told_why_a_put_was_refused(edge: Edge) -> None:
    request = {"roomId": "lobby", "contentType": "video/mp4", "sizeBytes": 5_242_880, "requestId": "refused"}
    created = (await edge.json(f"{SERVICE}CreateFile", request, token("alice"))).json()
    path, content = _path(created["uploadUrl"]), CONTENTS["video/mp4"]
    for target, sent, headers, status, reason in (
        (path, content + b"!", {}, 413, "REQUEST_TOO_LARGE"),
        (path, content * 10, {}, 413, "REQUEST_TOO_LARGE"),
        (path, content[:-1], {}, 400, "FILE_CONTENT_MISMATCH"),
        (path, content, {"content-type": "text/html"}, 400, "FILE_CONTENT_MISMATCH"),
        (path.replace("signature=", "signature=x"), content, {}, 403, "FILE_URL_INVALID"),
        ("/files/nothing", content, {}, 404, "FILE_NOT_FOUND"),
    ):
        told, answer = await asyncio.to_thread(_sent_at_once, edge.address, target, sent, **headers)
        reasons = [detail["reason"] for detail in answer["details"] if "reason" in detail]
        assert (told, reasons) == (status, [reason])
    assert edge.suite.database.count("files.uploads") == 0
    assert (await edge.http.put(path, content=content)).status_code == 200


async def test_more_than_a_file_may_have_is_cut_off_by_the_edge(edge: Edge) -> None:
    request = {"roomId": "lobby", "contentType": "video/mp4", "sizeBytes": 5_242_880, "requestId": "large"}
    created = (await edge.json(f"{SERVICE}CreateFile", request, token("alice"))).json()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(64 * 1024)

    # Cut off, with an answer or without one.
    with suppress(httpx.TransportError):
        async with asyncio.timeout(HANG_SECONDS):
            answer = await edge.http.put(_path(created["uploadUrl"]), content=endless())
            assert answer.status_code in {400, 413}
    await eventually(lambda: not edge.suite.database.count("files.uploads"))


async def test_files_away_is_unavailable_and_the_rest_goes_on(edge: Edge) -> None:
    file_id = await _upload(edge, "image/png", CONTENTS["image/png"])
    stub = FilesServiceStub(edge.channel)
    request = files_pb2.GetFileRequest(room_id="lobby", file_id=file_id)
    url = _path((await stub.GetFile(request, metadata=user("alice"))).file.download_url)
    await edge.suite.stop("files")
    answer = await edge.http.get(url)
    assert answer.status_code == 503
    assert "SERVICE_UNAVAILABLE" in answer.text
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.GetFile(request, metadata=user("alice"))
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    listing = pb2.ListMessagesRequest(room_id="lobby")
    assert not (await MessagesServiceStub(edge.channel).ListMessages(listing, metadata=user("bob"))).messages


async def test_a_page_of_pictures_is_read_at_once_in_json(edge: Edge) -> None:
    made = {kind: await _upload(edge, kind, content) for kind, content in CONTENTS.items() if kind != "video/mp4"}
    unknown = "00000000-0000-0000-0000-000000000000"
    request = {"fileIds": [*made.values(), unknown]}
    for who, told in (("alice", list(made.values())), ("bob", [])):
        answer = (await edge.json(f"{SERVICE}BatchGetFiles", request, token(who))).json()
        assert [file["id"] for file in answer["files"]] == told
        for file in answer["files"]:
            assert (await edge.http.get(_path(file["downloadUrl"]))).content == CONTENTS[file["contentType"]]
