"""After a user's erasure nothing they were, said or gave is found: in tables, blobs, logs, streams or listings.

What is in the logs is what a service or a database that was killed, or that had to refuse something, has written there.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import Any

import grpc
import psycopg
import pytest
from chatkit.contract.v1 import deletion_pb2
from chatkit.files.v1 import files_service_pb2 as files_pb2
from chatkit.files.v1.files_service_pb2_grpc import FilesServiceStub
from chatkit.messages.v1 import messages_service_pb2 as messages_pb2
from chatkit.messages.v1 import part_pb2
from chatkit.messages.v1 import read_states_service_pb2 as states_pb2
from chatkit.messages.v1.messages_service_pb2_grpc import MessagesServiceStub
from chatkit.messages.v1.read_states_service_pb2_grpc import ReadStatesServiceStub
from chatkit.rooms.v1 import roles_service_pb2 as roles_pb2
from chatkit.rooms.v1 import rooms_service_pb2 as rooms_pb2
from chatkit.rooms.v1.roles_service_pb2_grpc import RolesServiceStub
from chatkit.rooms.v1.rooms_service_pb2_grpc import RoomsServiceStub
from chatkit.users.v1 import presence_service_pb2 as presence_pb2
from chatkit.users.v1 import users_service_pb2 as users_pb2
from chatkit.users.v1.presence_service_pb2_grpc import PresenceServiceStub
from chatkit.users.v1.users_service_pb2_grpc import UsersServiceStub
from google.protobuf import struct_pb2

from services.edge import public
from services.runtime.contract.policies import MethodContract
from services.stack import sign_in
from services.stack.roles import SERVICES
from tests.support.eventually import answered, until
from tests.support.folders import files_in
from tests.support.stack import RunningStack, running_stack
from tests.support.tokens import Metadata
from tests.support.uploads import add, upload

# In all that is of alice.
_WORD = "rhubarb"
_ALICE, _BOB = f"alice-{_WORD}", "brian"
_READING = ("Get", "List", "Batch", "Search", "Subscribe", "Download", "Export")
_VICTIMS = ("postgres", "messages", "rooms", "users", "nats")
# What tells bob or a superuser of her.
_COULD_TELL = {
    *("ListUsers", "ExportUser", "GetRoom", "ListUserRooms", "ListMembers", "SubscribeUser", "GetMessage"),
    *("ListMessages", "ListRoomEvents", "SubscribeRoom", "SubscribeRooms", "ListReadStates", "ListFiles", "GetFile"),
    *("DownloadFile", "BatchGetFiles", "SearchUsers", "Subscribe"),
}
# Where those are named who have been deleted, so that what comes late is kept out.
_KEEP_UIDS = ("fences", "deletions")


class _Story:
    """Alice and bob at the edge of a suite."""

    def __init__(self, stack: RunningStack, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.users, self.presence = UsersServiceStub(channel), PresenceServiceStub(channel)
        self.rooms, self.roles = RoomsServiceStub(channel), RolesServiceStub(channel)
        self.messages, self.states = MessagesServiceStub(channel), ReadStatesServiceStub(channel)
        self.files = FilesServiceStub(channel)
        self._stack = stack
        self.file_id = ""

    def by(self, user_id: str | None) -> Metadata:
        """Return the metadata of a user's calls; of a superuser's without one."""
        return sign_in.bearer(self._stack.home, user_id, su=user_id is None)

    async def call(self, method: Any, request: Any, who: str | None = _ALICE) -> Any:
        """Call as a user, or as a superuser."""
        return await answered(lambda: method(request, metadata=self.by(who)))

    async def fill(self) -> None:
        """Let alice have something of everything."""
        data = struct_pb2.Struct()
        data["motto"] = _WORD
        avatar_url = f"https://example.com/{_WORD}.png"
        made = users_pb2.CreateUserRequest(id=_ALICE, name=f"Alice {_WORD}", avatar_url=avatar_url, custom_data=data)
        await self.call(self.users.CreateUser, made, None)
        await self.call(self.users.CreateUser, users_pb2.CreateUserRequest(id=_BOB, name=_BOB), None)
        await self.call(self.rooms.CreateRoom, self.room("hall", _BOB))
        of_bob = self.room("attic", _ALICE)
        of_bob.request_id = "attic"
        await self.call(self.rooms.CreateRoom, of_bob, _BOB)
        direct = rooms_pb2.GetOrCreateDirectRoomRequest(other_user_id=_BOB)
        await self.call(self.rooms.GetOrCreateDirectRoom, direct)
        role = roles_pb2.AssignRoleRequest(user_id=_ALICE, role_name="admin")
        await self.call(self.roles.AssignRole, role, None)
        file = await add(
            self.files, f"{_WORD} content".encode(), self.by(_ALICE), name=_WORD, request_id=_WORD, room_id="hall"
        )
        self.file_id = file.id
        await self.say(0, file_id=file.id)
        for number in range(1, 4):
            await self.say(number)
        edit = messages_pb2.EditMessageRequest(room_id="hall", seq=2, parts=[_text(f"{_WORD} as edited")])
        await self.call(self.messages.EditMessage, edit)
        gone = messages_pb2.DeleteMessageRequest(room_id="hall", seq=3)
        await self.call(self.messages.DeleteMessage, gone)
        cursor = states_pb2.SetReadCursorRequest(room_id="hall", seq=2)
        await self.call(self.states.SetReadCursor, cursor)
        await self.call(self.messages.SendTyping, messages_pb2.SendTypingRequest(room_id="hall"))
        online = self.presence.SubscribePresence(
            presence_pb2.SubscribePresenceRequest(online=True), metadata=self.by(_ALICE)
        )
        await anext(aiter(online))
        online.cancel()
        hello = messages_pb2.SendMessageRequest(room_id="hall", request_id="1", parts=[_text("hello")])
        await self.call(self.messages.SendMessage, hello, _BOB)

    def room(self, room_id: str, other: str) -> rooms_pb2.CreateRoomRequest:
        """Return the request of alice's that makes a room."""
        return rooms_pb2.CreateRoomRequest(
            id=room_id, name=room_id, user_ids=[other], request_id=f"{_WORD} {room_id}", visibility="VISIBILITY_PRIVATE"
        )

    async def say(self, number: int, content: str = _WORD, file_id: str = "") -> None:
        """Let alice say something."""
        part = part_pb2.Part(content_type="video/mp4", file_id=file_id) if file_id else _text(content)
        request = messages_pb2.SendMessageRequest(room_id="hall", request_id=f"{_WORD} {number}", parts=[part])
        await self.call(self.messages.SendMessage, request)

    async def be_refused(self) -> None:
        """Let alice try what is refused, each for another reason."""
        await _refused(self.call(self.users.CreateUser, users_pb2.CreateUserRequest(id=_ALICE, name="x"), None))
        same_id, same_request = self.room("hall", _BOB), self.room("another", _BOB)
        same_id.request_id, same_request.request_id = f"{_WORD} other", f"{_WORD} hall"
        await _refused(self.call(self.rooms.CreateRoom, same_id, _ALICE))
        await _refused(self.call(self.rooms.CreateRoom, same_request, _ALICE))
        await _refused(self.call(self.rooms.CreateRoom, self.room("another", f"nobody-{_WORD}"), _ALICE))
        await _refused(self.say(1, content=f"{_WORD} again"))
        await _refused(self.say(9, content=_WORD * 2_000))
        await _refused(self.say(9, file_id=_WORD))
        bad = files_pb2.CreateFileRequest(
            room_id="hall", name=_WORD, content_type=_WORD, size_bytes=1, request_id=f"{_WORD} bad"
        )
        await _refused(self.call(self.files.CreateFile, bad, _ALICE))
        bad.content_type = "video/mp4"
        created = (await self.call(self.files.CreateFile, bad, _ALICE)).file
        await _refused(upload(self.files, created.id, [_WORD.encode()], self.by(_ALICE), "hall"))

    async def meet_crashes(self) -> None:
        """Let alice write while what she writes to is killed."""
        for number, victim in enumerate(_VICTIMS, 10):
            update = users_pb2.UpdateUserRequest(name=f"Alice {_WORD} {number}")
            async with asyncio.TaskGroup() as group:
                for again in range(3):
                    group.create_task(self.say(10 * number + again))
                    group.create_task(self.call(self.rooms.CreateRoom, self.room(f"{number}-{again}", _BOB)))
                group.create_task(self.call(self.users.UpdateUser, update))
                # Once they are under way.
                await self.say(number)
                self._stack.signal(victim, signal.SIGKILL)

    async def delete(self) -> None:
        """Delete alice, and return when that is done."""
        request = users_pb2.DeleteUserRequest(user_id=_ALICE)
        deletion = (await self.call(self.users.DeleteUser, request, None)).deletion

        async def is_done() -> bool:
            get = users_pb2.GetDeletionRequest(deletion_id=deletion.id)
            told = await self.call(self.users.GetDeletion, get, None)
            return bool(told.deletion.state == deletion_pb2.DELETION_STATE_DONE)

        await until(is_done)

    async def read(self, method: MethodContract, who: str | None, fields: dict[str, Any]) -> str:
        """Return all that a method tells, also where it refuses."""
        told = {name: value for name, value in fields.items() if name in method.request.fields_by_name}
        options: dict[str, Any] = {
            "request_serializer": method.request_class.SerializeToString,
            "response_deserializer": method.response_class.FromString,
        }
        request = method.request_class(**told)

        async def told_once() -> str:
            if method.streams:
                call = self.channel.unary_stream(method.path, **options)(request, metadata=self.by(who))
                return "".join([str(frame) async for frame in _state(call)])
            return str(await self.channel.unary_unary(method.path, **options)(request, metadata=self.by(who)))

        try:
            return await answered(told_once)
        except grpc.aio.AioRpcError as error:
            return str(error)


def _text(content: str) -> part_pb2.Part:
    return part_pb2.Part(content_type="text/plain", content=content)


async def _refused(call: Awaitable[object]) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await call
    assert refusal.value.code() not in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL}


async def _state(call: "grpc.aio.UnaryStreamCall[Any, Any]") -> AsyncIterator[Any]:
    """Yield the frames of a stream to its end, or up to where only what is new would come."""
    async for frame in call:
        yield frame
        events = frame.events if "events" in frame.DESCRIPTOR.fields_by_name else ()
        if any(event.WhichOneof("event") == "caught_up" for event in events):
            call.cancel()
            return


def _reading() -> Iterator[MethodContract]:
    for _, method in public.methods():
        if method.name.startswith(_READING) and method.name not in {"BatchCreateUsers", "BatchSendMessages"}:
            yield method


async def _told_of(story: _Story, method: MethodContract) -> str:
    """Return what a method tells of the room and of bob, to him and to a superuser."""
    fields = {
        "room_id": "hall",
        "user_id": _BOB,
        "user_ids": [_BOB],
        "watch_user_ids": [_BOB],
        "rooms": [{"room_id": "hall"}],
        "user": {},
        "presence": {"watch_user_ids": [_BOB]},
        "prefix": "alice",
        "last": 100,
        "include_cursors": True,
        "file_id": story.file_id,
        "file_ids": [story.file_id],
        "seq": 1,
    }
    return "".join([await story.read(method, who, fields) for who in (_BOB, None)])


def _uid(stack: RunningStack) -> str:
    with psycopg.connect(stack.dsn("users")) as connection:
        found = connection.execute("SELECT uid::text FROM users.users WHERE id = %s", (_ALICE,)).fetchone()
    assert found is not None
    return str(found[0])


@pytest.mark.slow
async def test_nothing_of_them_is_found_anywhere() -> None:
    async with running_stack() as stack, grpc.aio.insecure_channel(stack.address) as channel:
        story = _Story(stack, channel)
        await story.fill()
        await story.be_refused()
        await story.meet_crashes()
        uid = _uid(stack)
        could_tell = {method.name for method in _reading() if _WORD in await _told_of(story, method)}
        # What finds nothing at the end must have been able to.
        assert could_tell >= _COULD_TELL
        await story.delete()
        left = {method.path: await _told_of(story, method) for method in _reading()}
        assert {path: told for path, told in left.items() if _WORD in told} == {}
        for service in SERVICES:
            for table, rows in stack.tables(service).items():
                assert _WORD not in rows, table
                assert uid not in rows or table in _KEEP_UIDS, table
        assert files_in(stack.home.blobs) == []
        await stack.stop()
        logs = files_in(stack.home.logs)
        assert {path.name for path in logs} >= {f"{name}.log" for name in (*SERVICES, "edge", "postgres", "nats")}
        for path in logs:
            lines = [line for line in path.read_text(errors="replace").splitlines() if _WORD in line or uid in line]
            assert lines == [], path.name
