"""The small world that inputs are about: made once, and mended again and again, because some of them tear it down."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from google.protobuf.message import Message

from chatkit_client import ChatkitError, Client
from chatkit_client.types import (
    AddMembersRequest,
    AssignRoleRequest,
    CreateFileRequest,
    CreateRoleRequest,
    CreateRoomRequest,
    CreateUserRequest,
    DeleteUserRequest,
    GetFileRequest,
    GetRoomRequest,
    ListRoomEventsRequest,
    Part,
    SendMessageRequest,
    SubscribeRequest,
    UpdateRoleRequest,
)
from services.edge.public import methods
from services.runtime.contract.policies import permissions
from services.stack.fuzz.making.known import ROOMS, USERS, Known

_OWNER, _SHORT_LIVED = USERS[0], "short-lived"
_FILES, _PENDING_FILES, _CONTENT = 4, 30, b"hello"
_MESSAGES = 4
# Whom and what no input names.
_ARCHIVIST, _ARCHIVE = "archivist", "archive"
_PER_REQUEST = 64
_PRIVATE = "cellar"


class World:
    """What is there; made and mended by a superuser, and partly by its owner."""

    def __init__(self, admin: Client, owner: Client) -> None:
        self._admin = admin
        self._owner = owner
        self._told: dict[str, list[str]] = {}
        self._urls: list[str] = []

    async def make(self) -> Known:
        """Make all of it, and return what inputs may name."""
        await self.mend()
        for room_id in ROOMS:
            for number in range(_MESSAGES):
                await self._owner.call(_message(room_id, number))
        await self._admin.call(CreateUserRequest(id=_ARCHIVIST, name=_ARCHIVIST))
        room = CreateRoomRequest(id=_ARCHIVE, name=_ARCHIVE, visibility="VISIBILITY_PRIVATE", creator_id=_ARCHIVIST)
        await self._admin.call(room)
        await self._make_files()
        await self._admin.call(CreateUserRequest(id=_SHORT_LIVED, name=_SHORT_LIVED))
        deleted = await self._admin.call(DeleteUserRequest(user_id=_SHORT_LIVED, messages="MESSAGE_ERASURE_ERASE"))
        self._tell("deletion_id", deleted.deletion.id)
        room = (await self._owner.call(GetRoomRequest(room_id=ROOMS[0]))).room
        self._tell("etag", room.etag)
        events = await self._owner.call(ListRoomEventsRequest(room_id=ROOMS[0], page_size=1))
        self._tell("epoch", events.position.epoch)
        await self._turn_pages()
        return Known(self._told, tuple(self._urls))

    async def mend(self) -> None:
        """Make again what is missing."""
        for request in _requests():
            with suppress(ChatkitError):
                await self._admin.call(request)

    @asynccontextmanager
    async def open_stream(self) -> AsyncIterator[None]:
        """Hold a stream whose id inputs may name, while the context is open."""
        stream = self._owner.stream(SubscribeRequest(follow_memberships=True))
        frame = await anext(stream)
        self._tell("stream_id", frame.events[0].opened.stream_id)
        reading = asyncio.ensure_future(_read(stream))
        try:
            yield
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            await stream.aclose()

    async def _make_files(self) -> None:
        """Make files that inputs may name, and others whose URLs alone are told, so that nothing takes them away."""
        for number in range(_FILES):
            name = f"file-{number}"
            file = await self._owner.upload(ROOMS[number], _CONTENT, content_type="text/plain", request_id=name)
            self._tell("file_id", file.id)
            kept = await self._admin.upload(
                _ARCHIVE, _CONTENT, content_type="text/plain", user_id=_ARCHIVIST, request_id=name
            )
            got = await self._admin.call(GetFileRequest(room_id=_ARCHIVE, file_id=kept.id))
            # As often as there are URLs for uploads.
            for _ in range(_PENDING_FILES // _FILES):
                self._tell_url(got.file.download_url)
        for number in range(_PENDING_FILES):
            request = CreateFileRequest(room_id=_ARCHIVE, user_id=_ARCHIVIST, content_type="text/plain")
            request.size_bytes, request.request_id = len(_CONTENT), f"pending-{number}"
            self._tell_url((await self._admin.call(request)).upload_url)

    async def _turn_pages(self) -> None:
        """Ask every method that has pages for a small one, so that there are tokens of it."""
        for _, method in methods():
            fields = method.request.fields_by_name
            if "page_token" not in fields:
                continue
            request: Any = method.request_class(page_size=1)
            if "room_id" in fields:
                request.room_id = ROOMS[0]
            name = method.path.removeprefix("/").replace("/", ".")
            for client in (self._owner, self._admin):
                with suppress(ChatkitError):
                    answer = await client.call(request)
                    if answer.next_page_token:
                        self._tell(name, answer.next_page_token)

    def _tell(self, name: str, value: str) -> None:
        self._told.setdefault(name, []).append(value)

    def _tell_url(self, url: str) -> None:
        parts = urlsplit(url)
        self._urls.append(f"{parts.path}?{parts.query}")


def _requests() -> Iterator[Message]:
    """List what makes the world, and changes nothing where it is as it was."""
    names = [one.name for one in permissions()]
    for start in range(0, len(names), _PER_REQUEST):
        some = names[start : start + _PER_REQUEST]
        yield UpdateRoleRequest(scope="ROLE_SCOPE_GLOBAL", name="default", add_permissions=some)
    for user_id in USERS:
        yield CreateUserRequest(id=user_id, name=user_id)
        yield AssignRoleRequest(user_id=user_id, role_name="default")
    for role in ("guide", "visitor"):
        yield CreateRoleRequest(scope="ROLE_SCOPE_ROOM", name=role, permissions=["message:send"])
    for room_id in ROOMS:
        kind = "VISIBILITY_PRIVATE" if room_id == _PRIVATE else "VISIBILITY_PUBLIC"
        yield CreateRoomRequest(id=room_id, name=room_id, visibility=kind, creator_id=_OWNER)
        yield AddMembersRequest(room_id=room_id, user_ids=USERS)


def _message(room_id: str, number: int) -> SendMessageRequest:
    parts = [Part(content_type="text/plain", content=f"message {number}")]
    return SendMessageRequest(room_id=room_id, parts=parts, request_id=f"made-{number}")


async def _read(stream: AsyncIterator[object]) -> None:
    async for _ in stream:
        pass
