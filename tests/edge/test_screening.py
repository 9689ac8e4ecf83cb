"""What of a call goes on to a service: no header that gRPC would take for its own, and one message that is whole."""

import gzip
import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import httpx
import pytest
from chatkit.files.v1 import files_service_pb2
from chatkit.files.v1.files_service_pb2_grpc import FilesServiceStub
from chatkit.users.v1 import users_service_pb2

from tests.edge.calling import FACES, GET, Call, heard, unheard
from tests.support import http2, tokens, uploads
from tests.support.edge import Edge, running_edge
from tests.support.refusals import decode
from tests.support.suite import Suite

_MESSAGE = users_service_pb2.GetUserRequest(user_id="bob").SerializeToString()
_JSON = {"content-type": "application/json"}
_WEB = {"content-type": "application/grpc-web+proto"}
_INVALID_ARGUMENT = "3"

# What a client may send and no service reads. None of it may change what is answered.
ODD_HEADERS = {
    "x-trace-bin": "%%%",
    "grpc-trace-bin": "not base64!",
    "grpc-tags-bin": "%",
    "grpc-status-details-bin": "%%%",
    "grpc-status": "abc",
    "grpc-message": "%zz",
    "grpc-encoding": "br",
    "grpc-accept-encoding": "%%",
    "grpc-previous-rpc-attempts": "abc",
    "grpc-retry-pushback-ms": "x",
    "grpc-internal-encoding-request": "gzip",
    "grpc-timeout": "bogus",
    "lb-token": "x",
    "lb-cost-bin": "%",
    "endpoint-load-metrics-bin": "%",
    "content-encoding": "br",
    "x-forwarded-for": "1.2.3.4," * 3_000 + "1.2.3.4",
    "user-agent": "u" * 30_000,
    "tracestate": "t" * 30_000,
    "cookie": "c" * 31 * 1024,
    "x-anything": "a" * 31 * 1024,
}


def _frame(message: bytes, flag: int = 0, length: int | None = None) -> bytes:
    return bytes([flag]) + struct.pack(">I", len(message) if length is None else length) + message


FRAMES = {
    "compressed by nothing": _frame(_MESSAGE, 1),
    "compressed": _frame(gzip.compress(_MESSAGE), 1),
    "compressed to a thousandth": _frame(gzip.compress(b"x" * 10_000_000), 1),
    "of an unknown kind": _frame(_MESSAGE, 2),
    "trailers": _frame(_MESSAGE, 0x80),
    "longer than it says": _frame(_MESSAGE, length=len(_MESSAGE) - 1),
    "shorter than it says": _frame(_MESSAGE, length=len(_MESSAGE) + 1),
    "as long as can be said": _frame(_MESSAGE, length=2**32 - 1),
    "two": _frame(_MESSAGE) * 2,
    "cut in its head": b"\0\0\0",
}


@asynccontextmanager
async def _edge(suite: Suite, folder: Path, without: str = "") -> AsyncIterator[Edge]:
    await suite.make_users("alice", "bob")
    async with running_edge(suite, folder, without, CHATKIT_LIMIT_REQUESTS_PER_USER_PER_SECOND="1000") as edge:
        yield edge


async def _post(edge: Edge, kind: dict[str, str], headers: list[tuple[str, str]], body: bytes) -> httpx.Response:
    bearer = ("authorization", f"Bearer {tokens.token('alice')}")
    return await edge.http.post(GET, content=body, headers=[*kind.items(), bearer, *headers])


async def _is_answered(edge: Edge, headers: list[tuple[str, str]]) -> bool:
    """Tell whether a call with these headers is answered in every face as one without them is."""
    in_json = await _post(edge, _JSON, headers, b'{"userId": "bob"}')
    by_web = await _post(edge, _WEB, headers, _frame(_MESSAGE))
    async with http2.connected(edge.address) as connection:
        number = await connection.call(GET, _MESSAGE, *tokens.user("alice"), *headers)
        await connection.until(lambda: connection.answers[number].ended or connection.answers[number].reset is not None)
        native = connection.answers[number].headers
    return in_json.status_code == 200 and b"grpc-status:0" in by_web.content and native.get("grpc-status") == "0"


async def test_headers_that_no_service_reads_change_nothing_in_any_face(suite: Suite, short_path: Path) -> None:
    async with _edge(suite, short_path) as edge:
        assert await _is_answered(edge, [])
        odd = [name for name, value in ODD_HEADERS.items() if not await _is_answered(edge, [(name, value)])]
        assert odd == []
        assert await _is_answered(edge, [(f"x-{number}", "") for number in range(500)])
        assert await _is_answered(edge, [("tracestate", "a=1")] * 500)


async def test_without_the_screen_one_clients_header_fails_its_call_and_those_of_others(
    suite: Suite, short_path: Path
) -> None:
    async with _edge(suite, short_path, "screening") as edge:
        answer = await _post(edge, _JSON, [("grpc-encoding", "br")], b'{"userId": "bob"}')
        assert (answer.status_code, answer.json()["details"]) == (500, [])
        other = await _post(edge, _JSON, [("grpc-encoding", "identity")], b'{"userId": "bob"}')
        assert other.status_code == 500


@pytest.mark.parametrize("name", ["user-agent", "traceparent", "tracestate", "x-request-id"])
async def test_what_is_no_ascii_in_a_header_reaches_no_service(
    name: str, suite: Suite, short_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with _edge(suite, short_path) as edge:
        bearer = f"Bearer {tokens.token('alice')}"
        headers = [
            (b"content-type", b"application/json"),
            (b"authorization", bearer.encode()),
            (name.encode(), b"a\xff\xc3\xa9"),
        ]
        assert (await edge.http.post(GET, content=b'{"userId": "bob"}', headers=headers)).status_code == 200
    # gRPC complains of what it can't read, with a traceback.
    assert [record for record in caplog.records if record.name.startswith("grpc")] == []


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
async def test_frames_of_an_upload_that_are_compressed_are_refused_with_a_reason(
    compression: grpc.Compression, edge: Edge
) -> None:
    create = files_service_pb2.CreateFileRequest(
        room_id="lobby", content_type="text/plain", size_bytes=9_000, request_id="1"
    )
    file = (await edge.suite.files.CreateFile(create, metadata=tokens.user("alice"))).file
    async with grpc.aio.insecure_channel(edge.address, compression=compression) as channel:
        sending = uploads.upload(FilesServiceStub(channel), file.id, [bytes(9_000)], tokens.user("alice"))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await sending
    assert decode(refused.value).reason == "REQUEST_MALFORMED"
    assert "compressed" in (refused.value.details() or "")


@pytest.mark.parametrize(("name", "words"), [("compressed", "is compressed"), ("two", "is not one message")])
async def test_what_is_wrong_with_a_message_is_said(name: str, words: str, suite: Suite, short_path: Path) -> None:
    async with _edge(suite, short_path) as edge, http2.connected(edge.address) as connection:
        number = await connection.begin(GET, *tokens.user("alice"))
        await connection.send(number, FRAMES[name])
        await connection.until(lambda: connection.answers[number].ended)
        assert words in connection.answers[number].headers["grpc-message"].replace("%20", " ")
        assert "x-chatkit-fault" not in connection.answers[number].headers


async def test_more_headers_than_there_may_be_are_told_so(suite: Suite, short_path: Path) -> None:
    async with _edge(suite, short_path) as edge, unheard(suite):
        answer = await _post(edge, _JSON, [(f"x-{number}", "") for number in range(1_000)], b'{"userId": "bob"}')
        assert answer.status_code == 431
        assert "or more than 1000" in answer.json()["message"]


@pytest.mark.parametrize("name", FRAMES)
async def test_what_is_not_one_message_is_refused_and_no_service_hears_of_it(
    name: str, suite: Suite, short_path: Path
) -> None:
    async with _edge(suite, short_path) as edge, unheard(suite), http2.connected(edge.address) as connection:
        for encoding in ([], [("grpc-encoding", "gzip")]):
            answer = await _post(edge, _WEB, encoding, FRAMES[name])
            assert answer.headers["grpc-status"] == _INVALID_ARGUMENT
            assert "grpc-status-details-bin" in answer.headers
            number = await connection.begin(GET, *tokens.user("alice"), *encoding)
            await connection.send(number, FRAMES[name])
            await connection.until(lambda: connection.answers[number].ended)  # noqa: B023 - awaited here
            assert connection.answers[number].headers["grpc-status"] == _INVALID_ARGUMENT
            assert "grpc-status-details-bin" in connection.answers[number].headers


async def test_without_the_screen_a_compressed_message_fails_without_a_reason(suite: Suite, short_path: Path) -> None:
    async with _edge(suite, short_path, "screening") as edge:
        answer = await _post(edge, _WEB, [], FRAMES["compressed by nothing"])
        assert (answer.headers["grpc-status"], "grpc-status-details-bin" in answer.headers) == ("13", False)


async def test_a_message_that_is_whole_reaches_the_service_in_every_face(suite: Suite, short_path: Path) -> None:
    async with _edge(suite, short_path) as edge:
        for face in FACES:
            before = heard(suite, GET)
            assert await Call().by(face, edge) is None
            assert heard(suite, GET) == before + 1
        assert json.loads((await _post(edge, _JSON, [], b'{"userId": "bob"}')).content)["user"]["id"] == "bob"
