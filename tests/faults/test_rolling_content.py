"""Every replica of files and of messages is restarted, one after the other, while content goes up, down and into rooms.

Over HTTP nobody repeats anything: no PUT and no GET at the edge may fail, not even one that is long under way.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence

import grpc
import httpx
import pytest
from chatkit.files.v1 import files_service_pb2 as files_pb2
from chatkit.files.v1.files_service_pb2_grpc import FilesServiceStub
from chatkit.messages.v1 import messages_service_pb2 as pb2
from chatkit.messages.v1 import part_pb2
from chatkit.messages.v1.messages_service_pb2_grpc import MessagesServiceStub

from services.stack.sign_in import bearer
from tests.faults.rolling import Call, Callers, restart
from tests.support.eventually import HANG_SECONDS
from tests.support.stack import RunningStack, running_stack

# Those of one step at once.
_STEPS = (("files-1", "messages-1"), ("files-2", "messages-2"))
_CALLERS = 2
_CONTENT = random.Random(1).randbytes(300_000)


@pytest.fixture
async def stack(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RunningStack]:
    """Run the whole suite with two processes of files and of messages, for callers who are in a hurry."""
    for limit in ("REQUESTS", "SENDS"):
        monkeypatch.setenv(f"CHATKIT_LIMIT_{limit}_PER_USER_PER_SECOND", "10000")
    async with running_stack("--replicas", "files=2,messages=2") as started:
        yield started


class _Content(Callers):
    """Senders of files, through the edge."""

    def __init__(self, stack: RunningStack, channel: grpc.aio.Channel, http: httpx.AsyncClient) -> None:
        super().__init__(_CALLERS)
        self._files = FilesServiceStub(channel)
        self._messages = MessagesServiceStub(channel)
        self._http = http
        self._alice = bearer(stack.home, "alice")

    def calls(self) -> Sequence[Call]:
        """List every kind of call."""
        return (self._send_at_once, self._send_slowly)

    async def _send_at_once(self, number: int) -> None:
        await self._send(f"at once {number}", _CONTENT)

    async def _send_slowly(self, number: int) -> None:
        await self._send(f"slowly {number}", _slowly())

    async def _send(self, request_id: str, content: bytes | AsyncIterator[bytes]) -> None:
        """Create a file, send its content, fetch some of it, and send a message with it."""
        create = files_pb2.CreateFileRequest(
            room_id="lobby", content_type="image/png", size_bytes=len(_CONTENT), request_id=request_id
        )
        created = await self._files.CreateFile(create, metadata=self._alice)
        put = await self._http.put(created.upload_url, content=content)
        assert put.status_code == httpx.codes.OK, f"PUT {put.status_code} {put.text}"
        got = await self._http.get(put.json()["file"]["downloadUrl"], headers={"range": "bytes=1000-1999"})
        assert got.status_code == httpx.codes.PARTIAL_CONTENT, f"GET {got.status_code} {got.text}"
        assert got.content == _CONTENT[1000:2000]
        part = part_pb2.Part(content_type="image/png", file_id=created.file.id)
        send = pb2.SendMessageRequest(room_id="lobby", parts=[part], request_id=request_id)
        sent = await self._messages.SendMessage(send, metadata=self._alice)
        assert sent.message.parts[0].file.size_bytes == len(_CONTENT)


async def _slowly() -> AsyncIterator[bytes]:
    """Yield the content for about as long as a process drains."""
    for start in range(0, len(_CONTENT), len(_CONTENT) // 20):
        yield _CONTENT[start : start + len(_CONTENT) // 20]
        await asyncio.sleep(0.1)


async def test_every_replica_is_restarted_and_no_content_is_lost_on_its_way(stack: RunningStack) -> None:
    async with grpc.aio.insecure_channel(stack.address) as channel, httpx.AsyncClient(timeout=HANG_SECONDS) as http:
        load = _Content(stack, channel, http)
        load.begin()
        for names in _STEPS:
            await asyncio.gather(*(restart(stack, name) for name in names))
            await load.some_more(2)
        await load.end()
        assert not load.failed
        assert load.answered
