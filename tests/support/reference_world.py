"""The small world that the examples of the API reference are about, under names of its own as often as it is made."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from chatkit.contract.v1 import method_policy_pb2
from chatkit.files.v1 import files_service_pb2 as files_pb2
from chatkit.messages.v1 import messages_service_pb2 as messages_pb2
from chatkit.messages.v1 import part_pb2
from chatkit.rooms.v1 import role_pb2, roles_service_pb2, rooms_service_pb2
from chatkit.sync.v1 import sync_service_pb2 as sync_pb2
from chatkit.users.v1 import users_service_pb2

from chatkit_client import connect
from services.edge.reference.contract import Method
from tests.support import tokens
from tests.support.edge import Edge

_NAMES = ("alice", "bob", "carol", "dave", "erin", "frank", "greta", "lobby", "attic", "garden", "cellar", "kitchen")
_ROLES = ("guide", "visitor", "moderator")
TEXT = "Good morning"
_ADDRESS = "127.0.0.1:8080"


@dataclass(frozen=True)
class World:
    """What the examples call things, and what they are called here."""

    edge: Edge
    names: dict[str, str]

    def here(self, text: str) -> str:
        """Return a text about this world and its edge."""
        words = "|".join(sorted(map(re.escape, self.names), key=len, reverse=True))
        return re.sub(rf"(?<![\w-])({words})(?![\w-])", lambda found: self.names[found[0]], text)

    def token(self, method: Method) -> str:
        """Return a token that may make the example of a method."""
        if method.contract.policy.audience == method_policy_pb2.AUDIENCE_SUPERUSER:
            return tokens.token(None, su=True)
        return tokens.token(self.names["alice"])


@asynccontextmanager
async def world(edge: Edge, number: int) -> AsyncIterator[World]:
    """Make the world, which is there as long as the context is open."""
    names = {name: f"{name}{number}" for name in (*_NAMES, *_ROLES)} | {_ADDRESS: edge.address}
    made = World(edge, names)
    await edge.suite.make_users(*(names[name] for name in ("alice", "bob", "carol", "greta")))
    await edge.suite.make_users(f"user{number}")
    await edge.suite.assign(names["alice"], "admin")
    await edge.suite.make_room(names["lobby"], names["alice"], names["bob"])
    for name, creator in {"attic": "alice", "garden": "bob", "cellar": "alice"}.items():
        await edge.suite.make_room(names[name], names[creator])
    await edge.suite.make_room(f"room{number}", names["alice"])
    for name in ("guide", "visitor"):
        request = roles_service_pb2.CreateRoleRequest(scope=role_pb2.ROLE_SCOPE_ROOM, name=names[name])
        await edge.suite.roles.CreateRole(request, metadata=tokens.su())
    await _say(made)
    await _delete(made, number)
    await _make_files(made)
    call = edge.suite.sync.Subscribe(sync_pb2.SubscribeRequest(presence={}), metadata=tokens.user(names["alice"]))
    names["stream-id"] = (await call.read()).events[0].opened.stream_id
    yield made
    call.cancel()


async def _say(made: World) -> None:
    for request_id in ("first", "second"):
        part = part_pb2.Part(content_type="text/plain", content=TEXT)
        request = messages_pb2.SendMessageRequest(room_id=made.names["lobby"], parts=[part], request_id=request_id)
        await made.edge.suite.messages.SendMessage(request, metadata=tokens.user(made.names["alice"]))


async def _delete(made: World, number: int) -> None:
    suite = made.edge.suite
    user = await suite.users.DeleteUser(
        users_service_pb2.DeleteUserRequest(user_id=f"user{number}"), metadata=tokens.su()
    )
    room = await suite.rooms.DeleteRoom(
        rooms_service_pb2.DeleteRoomRequest(room_id=f"room{number}"), metadata=tokens.su()
    )
    made.names.update({"user-deletion-id": user.deletion.id, "room-deletion-id": room.deletion.id})


async def _make_files(made: World) -> None:
    lobby, alice = made.names["lobby"], made.names["alice"]
    request = files_pb2.CreateFileRequest(
        room_id=lobby, name="a", content_type="text/plain", size_bytes=5, request_id="new"
    )
    pending = await made.edge.suite.files.CreateFile(request, metadata=tokens.user(alice))
    made.names["new-file-id"] = pending.file.id
    async with connect(made.edge.address, tokens.token(alice)) as client:
        for name in ("file-id", "old-file-id"):
            file = await client.upload(lobby, b"Hello", name="note.txt", content_type="text/plain")
            made.names[name] = file.id
