"""The files service on a real database and a real folder, with short ways to create, send and fetch files."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
from chatkit.files.v1 import file_pb2
from chatkit.files.v1 import files_service_pb2 as pb2
from chatkit.files.v1.files_service_pb2_grpc import FilesServiceStub
from chatkit.internal.attachments.v1 import attachments_service_pb2 as attachments_pb2
from chatkit.internal.attachments.v1.attachments_service_pb2_grpc import AttachmentsServiceStub

from services.runtime.identity.tokens import mint_service_token
from services.stack.machine.ports import Port
from tests.support.database_clock import SharedClock
from tests.support.databases import TestDatabase
from tests.support.eventually import HANG_SECONDS
from tests.support.folders import files_in
from tests.support.own_process import own_process
from tests.support.peers import Peers, serve, uid_of
from tests.support.references import References, serve_references
from tests.support.suite import Suite, running
from tests.support.suite import settings as settings_of
from tests.support.tokens import SERVICE_KEY, Metadata, bearer, token
from tests.support.uploads import upload

# What the service sleeps between two looks at what may go, and nothing else in it sleeps.
COLLECT_SECONDS = 61.0
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 300


@dataclass
class Library:
    """The service, and those around it."""

    suite: Suite
    peers: Peers
    references: References
    clock: SharedClock
    http: httpx.AsyncClient
    folder: Path
    # Set when the service has a process of its own.
    pid: int = 0
    _count: int = field(default=0)

    @property
    def stub(self) -> FilesServiceStub:
        """FilesService."""
        return self.suite.files

    @property
    def database(self) -> TestDatabase:
        """The service's database."""
        return self.suite.database

    async def create(self, content: bytes = PICTURE, as_user: str = "alice", **fields: Any) -> pb2.CreateFileResponse:
        """Create a file for content that is to be sent."""
        self._count += 1
        told: dict[str, Any] = {
            "room_id": "lobby",
            "content_type": "image/png",
            "size_bytes": len(content),
            "request_id": f"request {self._count}",
            **fields,
        }
        created: pb2.CreateFileResponse = await self.stub.CreateFile(
            pb2.CreateFileRequest(**told), metadata=user(as_user)
        )
        return created

    async def put(self, url: str, content: bytes, **headers: str) -> httpx.Response:
        """Send content to a URL."""
        return await self.http.put(url, content=content, headers=headers)

    async def add(self, content: bytes = PICTURE, as_user: str = "alice", **fields: Any) -> file_pb2.File:
        """Create a file with its content."""
        created = await self.create(content, as_user, **fields)
        answer = await self.put(created.upload_url, content)
        assert answer.status_code == 200, answer.text
        return await self.get(created.file.id, as_user, created.file.room_id)

    async def upload(
        self, file_id: str, chunks: Iterable[bytes], as_user: str = "alice", room_id: str = "lobby"
    ) -> file_pb2.File:
        """Send content in frames."""
        return await upload(self.stub, file_id, chunks, user(as_user), room_id)

    async def get(
        self, file_id: str, as_user: str = "alice", room_id: str = "lobby", *, attachment: bool = False
    ) -> file_pb2.File:
        """Read a file's description."""
        request = pb2.GetFileRequest(room_id=room_id, file_id=file_id, attachment=attachment)
        answer: pb2.GetFileResponse = await self.stub.GetFile(request, metadata=user(as_user))
        return answer.file

    async def download(self, file_id: str, as_user: str = "alice", offset_bytes: int = 0) -> bytes:
        """Fetch content in frames."""
        request = pb2.DownloadFileRequest(room_id="lobby", file_id=file_id, offset_bytes=offset_bytes)
        frames = [frame async for frame in self.stub.DownloadFile(request, metadata=user(as_user))]
        assert all(frame.ByteSize() <= 64 * 1024 for frame in frames)
        return b"".join(chunk for frame in frames for chunk in frame.chunks)

    async def delete(self, file_id: str, as_user: str = "alice") -> None:
        """Delete a file."""
        request = pb2.DeleteFileRequest(room_id="lobby", file_id=file_id)
        await self.stub.DeleteFile(request, metadata=user(as_user))

    async def attach(
        self, *file_ids: str, as_user: str = "alice", room_id: str = "lobby", metadata: Metadata | None = None
    ) -> attachments_pb2.AttachFilesResponse:
        """Attach files as messages does before it stores a message."""
        request = attachments_pb2.AttachFilesRequest(
            room_uid=str(uid_of(room_id)), owner_uid=str(uid_of(as_user)), file_ids=file_ids
        )
        stub = AttachmentsServiceStub(self.suite.channel("files"))
        attached: attachments_pb2.AttachFilesResponse = await stub.AttachFiles(
            request, metadata=metadata or self.as_messages()
        )
        return attached

    async def send(self, *file_ids: str, as_user: str = "alice", room_id: str = "lobby") -> None:
        """Attach files, and let a message refer to them."""
        await self.attach(*file_ids, as_user=as_user, room_id=room_id)
        self.references.used |= set(file_ids)

    def as_messages(self) -> Metadata:
        """Return the metadata of calls that messages makes."""
        return bearer(mint_service_token(SERVICE_KEY, "messages", "files", self.clock.now()))

    async def look(self) -> None:
        """Let the service's collector look at everything once; the time leaps by two of its intervals."""
        await self.clock.whole_round(COLLECT_SECONDS)

    async def collected(self, condition: Callable[[], object]) -> None:
        """Let the collector look again and again until the condition holds.

        A look may find the database or the bucket busy, and leaves what it has claimed for the next ones.
        """
        async with asyncio.timeout(HANG_SECONDS):
            while not condition():
                await self.look()

    def stored(self) -> list[Path]:
        """List what lies in the folder of content."""
        return files_in(self.folder / "blobs")


def user(user_id: str) -> Metadata:
    """Return the metadata of a user's calls, with a token that survives leaps of the clock."""
    return bearer(token(user_id, ttl=timedelta(days=365)))


def sha256(content: bytes) -> str:
    """Return the hash as the contract writes it."""
    return hashlib.sha256(content).hexdigest()


@asynccontextmanager
async def library(
    database: TestDatabase, folder: Path, command: Sequence[str] = (), **settings: Any
) -> AsyncIterator[Library]:
    """Run the service, with alice and bob in the room lobby and carol in another one.

    It runs in the test's own process, by the library's clock, or as the command that is given.
    """
    clock = SharedClock(database, "files")
    members = {"lobby": {"alice", "bob"}, "attic": {"alice", "carol"}}
    peers = Peers(clock=clock, members=members, users={"alice", "bob", "carol"})
    references, listen, http = References(), Port("127.0.0.1"), Port("127.0.0.1")
    async with AsyncExitStack() as stack:
        stack.callback(http.release)
        stack.callback(listen.release)
        await stack.enter_async_context(serve(peers))
        await stack.enter_async_context(serve_references(references))
        told = {
            "rooms_address": peers.address,
            "users_address": peers.address,
            "messages_address": references.address,
            "http_listen": http.address,
            "public_url": f"http://{http.address}",
            "file_collect_interval_seconds": COLLECT_SECONDS,
            **settings,
        }
        here = () if command else ("files",)
        suite = await stack.enter_async_context(running(database, folder, *here, clock=clock, **told))
        client = await stack.enter_async_context(httpx.AsyncClient(timeout=HANG_SECONDS, trust_env=False))
        shelf = Library(suite, peers, references, clock, client, folder)
        if command:
            values = settings_of(database, folder, "files", listen=listen.address, **told)
            process = await stack.enter_async_context(own_process(command, values, folder / "files.log"))
            assert process.returncode is None, (folder / "files.log").read_text()
            suite.servers["files"] = cast("Any", SimpleNamespace(address=listen.address, http_address=http.address))
            shelf.pid = process.pid
        yield shelf
