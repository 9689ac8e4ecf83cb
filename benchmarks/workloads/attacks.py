"""What the neighbours are attacked with: each at the largest size that the limits allow to one client, or a few."""

import asyncio
import http.client
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import grpc
from chatkit.files.v1 import files_service_pb2, files_service_pb2_grpc
from chatkit.messages.v1 import messages_service_pb2, messages_service_pb2_grpc
from chatkit.rooms.v1 import rooms_service_pb2, rooms_service_pb2_grpc
from chatkit.users.v1 import presence_service_pb2
from google.protobuf.message import Message

from benchmarks.figures import Options
from benchmarks.load.http2 import Head, unread
from benchmarks.load.jobs import Asked, AttackJob, HeldCallsJob, ReopenedJob, RepeatedJob, ResetsJob, SilentJob
from benchmarks.seeding import TEMPLATE
from benchmarks.suite import Suite

_MESSAGES = "/chatkit.messages.v1.MessagesService/"
_ROOMS = "/chatkit.rooms.v1.RoomsService/"
_USERS = "/chatkit.users.v1.UsersService/"
_FILES = "/chatkit.files.v1.FilesService/"
_PRESENCE = "/chatkit.users.v1.PresenceService/"
NO_PROXY = (("grpc.enable_http_proxy", 0),)
_SECONDS = 30.0
_ID_CHARS = 160
# Of a message, and how many of them a list takes that lies in another one.
_DENSE_BYTES, _BYTES_OF_LIST, _LEVELS = 60_000, 5, 15
_TEXT_BYTES = 5_000
_BATCH = 100
_FILE_BYTES = 5_242_880
_STREAMS_OF_USER = 100
# A little above what the edge lets through of one user, so that it is used up.
_REQUESTS_PER_SECOND, _SENDS_PER_SECOND = 120.0, 80.0
# So that none of them is one too many: bursts and rate are those of calls.
_BODIES_PER_SECOND = 95.0
_FAST_PER_SECOND = 5_000.0
# The largest JSON of methods with one resource, which is twice the message, and the largest that users may send.
_JSON_BYTES, _LARGE_JSON_BYTES = 131_072, 524_288
_NOBODYS_BYTES = 6_000_000
_PLACEHOLDER = b"N" * 16
_SPELLINGS = ("{}/", "{}//", "{};a=b", "{}%2F", "/{}", "/.{}", "{}?a=b", "{}/.")


@dataclass
class Ground:
    """The users and rooms of attackers, made when they are needed."""

    suite: Suite
    options: Options
    channel: grpc.aio.Channel
    # Whom an attack is aimed at.
    victim_id: str
    _made: dict[str, Any] = field(default_factory=dict)

    @property
    def su(self) -> tuple[tuple[str, str], ...]:
        """A superuser's metadata, which has no rate."""
        return (("authorization", f"Bearer {self.suite.superuser_token}"),)

    def own(self, user_id: str) -> tuple[tuple[str, str], ...]:
        """Return a user's metadata."""
        return (("authorization", f"Bearer {self.suite.token(user_id)}"),)

    async def users(self, name: str, count: int) -> list[str]:
        """Return hostile users."""
        if name not in self._made:
            self._made[name] = await asyncio.to_thread(self.suite.seeding.users, f"hostile-{name}-", count)
        return list(self._made[name])

    async def room(self, name: str, members: list[str]) -> str:
        """Return a room of these users."""
        return (await self.rooms(name, 1, members))[0]

    async def rooms(self, name: str, count: int, members: list[str], template: str = TEMPLATE) -> list[str]:
        """Return rooms of these users."""
        key = f"rooms-{name}"
        if key not in self._made:
            make = partial(self.suite.seeding.rooms, f"hostile-{name}-", count, members, template=template)
            self._made[key] = await asyncio.to_thread(make)
            await asyncio.to_thread(self.suite.seeding.settle)
        return list(self._made[key])

    async def full_room(self) -> tuple[str, list[str]]:
        """Return a room with 100 messages as long as they may be, and its members."""
        members = await self.users("reader", 3)
        room_id = await self.room("full", members)
        if "full" not in self._made:
            stub: Any = messages_service_pb2_grpc.MessagesServiceStub(self.channel)
            request = messages_service_pb2.BatchSendMessagesRequest()
            for number in range(_BATCH):
                part = {"content_type": "text/plain", "content": "x" * _TEXT_BYTES}
                request.requests.add(room_id=room_id, sender_id=members[0], parts=[part], request_id=f"{number}")
            await stub.BatchSendMessages(request, metadata=self.su, timeout=_SECONDS)
            self._made["full"] = True
        return room_id, members

    async def large_file(self) -> tuple[str, str, str]:
        """Return a room, the id of a file as large as it may be that was sent there, and its URL."""
        room_id, members = await self.full_room()
        if "file" not in self._made:
            created = await self.file(room_id, members[0], "large", _FILE_BYTES)
            answer = await asyncio.to_thread(_put, created.upload_url, _FILE_BYTES)
            stub: Any = files_service_pb2_grpc.FilesServiceStub(self.channel)
            request = files_service_pb2.GetFileRequest(room_id=room_id, file_id=created.file.id)
            got = await stub.GetFile(request, metadata=self.own(members[0]), timeout=_SECONDS)
            if not got.file.download_url:
                raise LookupError(f"the file was not taken: {answer}")
            messages: Any = messages_service_pb2_grpc.MessagesServiceStub(self.channel)
            send = messages_service_pb2.SendMessageRequest(room_id=room_id, request_id="large")
            send.parts.add(content_type="image/png", file_id=created.file.id)
            await messages.SendMessage(send, metadata=self.own(members[0]), timeout=_SECONDS)
            self._made["file"] = (created.file.id, got.file.download_url)
        file_id, url = self._made["file"]
        return room_id, file_id, url

    async def file(self, room_id: str, user_id: str, request_id: str, size: int) -> Any:
        """Create a file whose content is still to come."""
        stub: Any = files_service_pb2_grpc.FilesServiceStub(self.channel)
        request = files_service_pb2.CreateFileRequest(
            room_id=room_id, content_type="image/png", size_bytes=size, request_id=request_id
        )
        return await stub.CreateFile(request, metadata=self.own(user_id), timeout=_SECONDS)

    async def users_of_many_rooms(self) -> list[str]:
        """Return users who are all in the same rooms, with a message in each."""
        users = await self.users("member", self.size(40, 10))
        room_ids = await self.rooms("many", self.size(1_000, 50), users)
        if "said" not in self._made:
            stub: Any = messages_service_pb2_grpc.MessagesServiceStub(self.channel)
            for start in range(0, len(room_ids), _BATCH):
                request = messages_service_pb2.BatchSendMessagesRequest()
                for room_id in room_ids[start : start + _BATCH]:
                    part = {"content_type": "text/plain", "content": "x" * 64}
                    request.requests.add(room_id=room_id, sender_id=users[0], parts=[part], request_id="said")
                await stub.BatchSendMessages(request, metadata=self.su, timeout=_SECONDS)
            self._made["said"] = True
        return users

    def size(self, full: int, quick: int) -> int:
        """Choose a size."""
        return self.options.size(full, quick)


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack: what is done, and how much of it must have come to measure anything."""

    said: str
    prepare: Callable[[Ground], Awaitable[tuple[AttackJob, float]]]
    # What the wanted size counts, among what the attack has found.
    counted: str = "came"
    # Of several at once it begins when the others have come: it takes what they need to come.
    begins_last: bool = False


def _put(url: str, size: int) -> str:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=_SECONDS)
    try:
        connection.request("PUT", f"{parts.path}?{parts.query}", b"x" * size, {"content-type": "image/png"})
        answer = connection.getresponse()
        return f"{answer.status} {answer.read()!r}"
    finally:
        connection.close()


async def _unread(ground: Ground, path: str, messages: Mapping[str, Message]) -> tuple[AttackJob, float]:
    """Let each user ask the same as often as streams are allowed, on one connection."""
    count = ground.size(_STREAMS_OF_USER, 20)
    connections = [
        [Asked(path, ground.suite.token(user), message.SerializeToString())] * count
        for user, message in messages.items()
    ]
    return HeldCallsJob(ground.suite.edge, connections, is_read=False), count * len(messages)


async def _unread_room(ground: Ground) -> tuple[AttackJob, float]:
    room_id, members = await ground.full_room()
    message = messages_service_pb2.SubscribeRoomRequest(room_id=room_id, last=100)
    return await _unread(ground, f"{_MESSAGES}SubscribeRoom", dict.fromkeys(members, message))


async def _unread_pages(ground: Ground) -> tuple[AttackJob, float]:
    room_id, members = await ground.full_room()
    message = messages_service_pb2.ListMessagesRequest(room_id=room_id, page_size=100)
    return await _unread(ground, f"{_MESSAGES}ListMessages", dict.fromkeys(members, message))


async def _unread_user(ground: Ground) -> tuple[AttackJob, float]:
    members = await ground.users("owner", 3)
    stub: Any = rooms_service_pb2_grpc.RoomsServiceStub(ground.channel)
    request = rooms_service_pb2.CreateRoomRequest(
        id="large-template",
        name="large",
        visibility="VISIBILITY_PRIVATE",
        creator_id=members[0],
        # It is made again when all attacks come at once.
        request_id="large-template",
    )
    request.custom_data["text"] = "x" * _TEXT_BYTES
    await stub.CreateRoom(request, metadata=ground.su, timeout=_SECONDS)
    await ground.rooms("large", ground.size(999, 30), members, template="large-template")
    return await _unread(
        ground, f"{_ROOMS}SubscribeUser", dict.fromkeys(members, rooms_service_pb2.SubscribeUserRequest())
    )


async def _unread_downloads(ground: Ground) -> tuple[AttackJob, float]:
    room_id, file_id, _ = await ground.large_file()
    members = await ground.users("reader", 3)
    message = files_service_pb2.DownloadFileRequest(room_id=room_id, file_id=file_id)
    return await _unread(ground, f"{_FILES}DownloadFile", dict.fromkeys(members, message))


async def _large_errors(ground: Ground) -> tuple[AttackJob, float]:
    (user,) = await ground.users("watcher", 1)
    unknown = [f"{number:x<{_ID_CHARS}}" for number in range(400)]
    body = presence_service_pb2.SubscribePresenceRequest(watch_user_ids=unknown).SerializeToString()
    asked = Asked(f"{_PRESENCE}SubscribePresence", ground.suite.token(user), body)
    return _repeated(ground, [asked], _REQUESTS_PER_SECOND)


async def _dense_data(ground: Ground) -> tuple[AttackJob, float]:
    (user,) = await ground.users("packer", 1)
    request = rooms_service_pb2.CreateRoomRequest(id="dense", name="dense", visibility="VISIBILITY_PRIVATE")
    request.custom_data["lists"] = [_nested(_LEVELS)] * (_DENSE_BYTES // (_BYTES_OF_LIST * _LEVELS))
    asked = Asked(f"{_ROOMS}CreateRoom", ground.suite.token(user), request.SerializeToString())
    return _repeated(ground, [asked], _REQUESTS_PER_SECOND)


def _nested(levels: int) -> list[Any]:
    return [_nested(levels - 1)] if levels else []


def _repeated(ground: Ground, calls: list[Asked], per_second: float) -> tuple[AttackJob, float]:
    job = RepeatedJob(ground.suite.edge, calls, per_second, _PLACEHOLDER, ground.suite.namespace())
    return job, 0.8 * per_second


async def _downloads_of_one_file(ground: Ground) -> tuple[AttackJob, float]:
    *_, url = await ground.large_file()
    said = f"GET {url[url.index('/files/') :]} HTTP/1.1\r\nhost: edge\r\n\r\n".encode()
    count = ground.size(1_100, 150)
    return SilentJob(ground.suite.edge, [said] * count, is_read=False, per_second=_FAST_PER_SECOND), count


def _body(path: str, size: int, token: str) -> bytes:
    """Return a request in JSON whose last byte never comes."""
    lines = [f"POST {path} HTTP/1.1", "host: edge", "content-type: application/json", f"content-length: {size}"]
    lines += [f"authorization: Bearer {token}"] if token else []
    begun = b'{"roomId": "'
    return "\r\n".join([*lines, "", ""]).encode() + begun + b"x" * (size - len(begun) - 1)


async def _json_bodies(ground: Ground) -> tuple[AttackJob, float]:
    return await _bodies(ground, f"{_MESSAGES}ListMessages", _JSON_BYTES, 600)


async def _large_json_bodies(ground: Ground) -> tuple[AttackJob, float]:
    return await _bodies(ground, f"{_MESSAGES}SubscribeRooms", _LARGE_JSON_BYTES, 600)


async def _bodies(ground: Ground, path: str, size: int, full: int) -> tuple[AttackJob, float]:
    (user,) = await ground.users("writer", 1)
    count = ground.size(full, 60)
    said = [_body(path, size, ground.suite.token(user))] * count
    return SilentJob(ground.suite.edge, said, is_read=True, per_second=_BODIES_PER_SECOND), count


async def _bodies_without_token(ground: Ground) -> tuple[AttackJob, float]:
    count = ground.size(200, 50)
    said = [_body(f"{_MESSAGES}SendMessage", _NOBODYS_BYTES, "")] * count
    return SilentJob(ground.suite.edge, said, is_read=True, per_second=_FAST_PER_SECOND), count


async def _resets(ground: Ground) -> tuple[AttackJob, float]:
    (user,) = await ground.users("resetter", 1)
    asked = Asked(f"{_USERS}GetUser", ground.suite.token(user), b"")
    return ResetsJob(ground.suite.edge, asked, 4), 500


async def _unread_refusals(ground: Ground) -> tuple[AttackJob, float]:
    count = ground.size(100, 20)
    said = unread(Head(f"{_USERS}GetUser"), 100)
    return SilentJob(ground.suite.edge, [said] * count, is_read=False, per_second=_FAST_PER_SECOND), count


async def _idle_connections(ground: Ground) -> tuple[AttackJob, float]:
    count = ground.size(20_000, 1_000)
    job = SilentJob(ground.suite.edge, [b""] * count, is_read=True, per_second=_FAST_PER_SECOND)
    # The edge takes as many as it has files for, and turns away the others.
    return job, min(count, 5_000)


async def _many_rooms(ground: Ground) -> tuple[AttackJob, float]:
    users = await ground.users_of_many_rooms()
    count = ground.size(40, 10)
    request = messages_service_pb2.SubscribeRoomsRequest(follow_memberships=True, default_last=100)
    asked = Asked(f"{_MESSAGES}SubscribeRooms", ground.suite.token(users[0]), request.SerializeToString())
    return ReopenedJob(ground.suite.edge, [[asked] * count], least_seconds=count / 100.0), count


async def _user_streams(ground: Ground) -> tuple[AttackJob, float]:
    users = await ground.users_of_many_rooms()
    connections = [[Asked(f"{_ROOMS}SubscribeUser", ground.suite.token(user), b"")] for user in users]
    return ReopenedJob(ground.suite.edge, connections, least_seconds=0.1), len(users)


async def _slow_uploads(ground: Ground) -> tuple[AttackJob, float]:
    users = await ground.users("uploader", ground.size(10, 3))
    room_id = await ground.room("uploads", users)
    said = []
    for user in users:
        for number in range(20):
            created = await ground.file(room_id, user, f"{number}", 1_000)
            target = created.upload_url[created.upload_url.index("/files/") :]
            lines = (f"PUT {target} HTTP/1.1", "host: edge", "content-type: image/png", "content-length: 1000", "", "")
            said.append("\r\n".join(lines).encode() + b"x")
    job = SilentJob(ground.suite.edge, said, is_read=True, per_second=_FAST_PER_SECOND, drip_seconds=3.0)
    return job, len(said)


async def _without_message(ground: Ground) -> tuple[AttackJob, float]:
    users = await ground.users("mute", 3)
    paths = (f"{_MESSAGES}SubscribeRoom", f"{_USERS}GetUser", f"{_ROOMS}SubscribeUser", f"{_MESSAGES}SendMessage")
    # Nothing at all, and a message of which a part comes.
    parts = (b"", b"\0\0\0\0\x64abc")
    count = ground.size(_STREAMS_OF_USER, 20)
    connections = [
        [
            Asked(paths[number % len(paths)], ground.suite.token(user), parts[number // len(paths) % 2], is_whole=False)
            for number in range(count)
        ]
        for user in users
    ]
    return HeldCallsJob(ground.suite.edge, connections, is_read=True), count * len(users)


async def _spellings(ground: Ground) -> tuple[AttackJob, float]:
    (user,) = await ground.users("speller", 1)
    room_id = await ground.room("spelt", [user])
    part = {"content_type": "text/plain", "content": "x" * 64}
    request = messages_service_pb2.SendMessageRequest(room_id=room_id, request_id=_PLACEHOLDER.decode(), parts=[part])
    body, token = request.SerializeToString(), ground.suite.token(user)
    calls = [Asked(spelling.format(f"{_MESSAGES}SendMessage"), token, body) for spelling in _SPELLINGS]
    return _repeated(ground, calls, _SENDS_PER_SECOND)


async def _rooms_with_victim(ground: Ground) -> tuple[AttackJob, float]:
    (user,) = await ground.users("creator", 1)
    request = rooms_service_pb2.CreateRoomRequest(
        id=_PLACEHOLDER.decode(), name="yours", visibility="VISIBILITY_PRIVATE", user_ids=[ground.victim_id]
    )
    asked = Asked(f"{_ROOMS}CreateRoom", ground.suite.token(user), request.SerializeToString())
    return _repeated(ground, [asked], _REQUESTS_PER_SECOND)


ATTACKS = {
    "unread-room": Attack("3 users x 100 SubscribeRoom of 100 messages of 5 KB, unread", _unread_room),
    "unread-user": Attack("3 users x 100 SubscribeUser of 1,000 rooms of 5 KB, unread", _unread_user),
    "unread-pages": Attack("3 users x 100 ListMessages of 100 messages of 5 KB, unread", _unread_pages),
    "unread-downloads": Attack("3 users x 100 DownloadFile of 5 MB, unread", _unread_downloads),
    "large-errors": Attack("SubscribePresence of 400 unknown ids, at the rate", _large_errors, "per_second"),
    "dense-data": Attack(
        "CreateRoom with 50 KB of nested lists as custom data, at the rate", _dense_data, "per_second"
    ),
    "one-url": Attack("a URL of 5 MB opened 1,100 times, unread", _downloads_of_one_file),
    "json-bodies": Attack("600 bodies of 131 KB of one user, unfinished", _json_bodies),
    "large-json-bodies": Attack("600 bodies of 524 KB of one user, unfinished", _large_json_bodies),
    "nobodys-bodies": Attack("200 bodies of 6 MB without a token, unfinished", _bodies_without_token),
    "resets": Attack("HEADERS and RST_STREAM on 4 connections, as fast as it goes", _resets, "per_second"),
    "unread-refusals": Attack("100 connections x 100 calls without a token, unread", _unread_refusals),
    "idle-connections": Attack(
        "as many idle connections as there may be, up to 20,000", _idle_connections, begins_last=True
    ),
    "many-rooms": Attack("40 SubscribeRooms of a user in 1,000 rooms, again and again", _many_rooms, "taken"),
    "user-streams": Attack("40 users in 1,000 rooms open SubscribeUser, again and again", _user_streams, "taken"),
    "slow-uploads": Attack("10 users x 20 uploads of a byte every 3 s", _slow_uploads),
    "no-message": Attack("3 users x 100 calls whose message never comes", _without_message),
    "spellings": Attack("sends at 4 times the rate in other spellings", _spellings, "per_second"),
    "rooms-with-victim": Attack("rooms created with the victim in them, at the rate", _rooms_with_victim, "per_second"),
}
