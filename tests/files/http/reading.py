"""Readers of content over HTTP, and what they are refused with."""

import asyncio
from typing import Any
from urllib.parse import urlsplit

import httpx

from services.files.http.transfers import FilesHttp
from services.runtime.contract.errors import class_of


class Reader:
    """Somebody who asks the routes for a URL, and reads when told to."""

    def __init__(self, http: FilesHttp, url: str) -> None:
        self.status = 0
        self.body = b""
        self.is_told = asyncio.Event()
        self.may_read = asyncio.Event()
        parts = urlsplit(url)
        scope = {"type": "http", "method": "GET", "path": parts.path, "query_string": parts.query.encode()}
        self.done = asyncio.create_task(http.app({**scope, "headers": [], "root_path": ""}, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError("nobody leaves")

    async def _send(self, message: Any) -> None:
        self.status = message.get("status", self.status)
        self.is_told.set()
        if self.status != 503:
            await self.may_read.wait()
        self.body += message.get("body", b"")


def refusal(answer: httpx.Response, reason: str, status: int) -> dict[str, str]:
    """Check an answer against a reason, and return its metadata."""
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    info = next(detail for detail in body["details"] if "reason" in detail)
    assert (answer.status_code, info["reason"], info["domain"]) == (status, reason, "chatkit"), body
    assert body["code"] == class_of(reason).code.value[0]
    metadata: dict[str, str] = info["metadata"]
    return metadata
