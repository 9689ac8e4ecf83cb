"""Answers in JSON of more than 1 KiB are compressed for whoever asks for it; streams and content never are."""

import asyncio
import gzip
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.support import tokens, uploads
from tests.support.edge import Edge
from tests.support.eventually import HANG_SECONDS

_MESSAGES = "/chatkit.messages.v1.MessagesService"
_ASK = {"accept-encoding": "gzip"}
_TEXT = "all work and no play makes jack a dull boy\n" * 20


async def _send(edge: Edge, content: str, request_id: str) -> None:
    parts = [{"contentType": "text/plain", "content": content}]
    body = {"roomId": "lobby", "parts": parts, "requestId": request_id}
    assert (await edge.json(f"{_MESSAGES}/SendMessage", body, tokens.token("alice"))).status_code == 200


async def _raw(edge: Edge, method: str, path: str, **arguments: Any) -> tuple[httpx.Headers, bytes]:
    """Return an answer as it comes."""
    async with edge.http.stream(method, path, **arguments) as answer:
        return answer.headers, b"".join([piece async for piece in answer.aiter_raw()])


async def _list(edge: Edge, **headers: str) -> tuple[httpx.Headers, bytes]:
    bearer = {"authorization": f"Bearer {tokens.token('alice')}"}
    return await _raw(
        edge, "POST", f"{_MESSAGES}/ListMessages", json={"roomId": "lobby"}, headers={**bearer, **headers}
    )


async def test_a_long_answer_is_compressed_for_whoever_asks_for_it(edge: Edge) -> None:
    headers, short = await _list(edge, **_ASK)
    assert ("content-encoding" in headers, len(short) < 1024) == (False, True)
    for number in range(10):
        await _send(edge, _TEXT, f"{number}")
    headers, plain = await _list(edge, **{"accept-encoding": "identity"})
    assert "content-encoding" not in headers
    assert plain.count(b"jack") == 200
    headers, compressed = await _list(edge, **_ASK)
    assert headers["content-encoding"] == "gzip"
    assert gzip.decompress(compressed) == plain
    assert len(compressed) < len(plain) / 10


async def test_the_page_of_limits_is_compressed_too(edge: Edge) -> None:
    headers, body = await _raw(edge, "GET", "/", headers=_ASK)
    assert headers["content-encoding"] == "gzip"
    assert b"REQUEST_BYTES" in gzip.decompress(body)


async def test_what_speaks_grpc_stays_as_it_is(edge: Edge) -> None:
    for number in range(3):
        await _send(edge, _TEXT, f"{number}")
    answer = await edge.web(f"{_MESSAGES}/ListMessages", b"\x0a\x05lobby", tokens.token("alice"), **_ASK)
    assert "content-encoding" not in answer.headers
    assert answer.content.count(b"jack") == 60


async def test_events_come_as_they_happen_and_are_kept_nowhere(edge: Edge) -> None:
    body, bearer = {"roomId": "lobby", "last": 0}, {"authorization": f"Bearer {tokens.token('alice')}"}
    asking = edge.http.stream("POST", f"{_MESSAGES}/SubscribeRoom", json=body, headers={**bearer, **_ASK})
    async with asyncio.timeout(HANG_SECONDS), asking as events:
        assert events.headers["content-type"] == "text/event-stream"
        assert events.headers["cache-control"] == "no-cache"
        assert "content-encoding" not in events.headers
        lines = events.aiter_lines()
        for number in range(3):
            await _send(edge, f"message {number}", f"{number}")
            while f"message {number}" not in await anext(lines):
                pass


async def test_content_stays_as_it_is_and_has_its_length(edge: Edge) -> None:
    content = _TEXT.encode()
    file = await uploads.add(edge.suite.files, content, tokens.user("alice"), content_type="text/plain")
    url = urlsplit(file.download_url)._replace(scheme="", netloc="").geturl()
    headers, body = await _raw(edge, "GET", url, headers=_ASK)
    assert "content-encoding" not in headers
    assert (body, headers["content-length"], headers["vary"]) == (content, f"{len(content)}", "origin")
