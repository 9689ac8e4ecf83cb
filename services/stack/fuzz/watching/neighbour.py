"""A user who behaves well all the time, and must never notice anything."""

import asyncio
import time
from itertools import count
from typing import Any

from google.protobuf.message import Message

from chatkit_client import ChatkitError, Client
from chatkit_client.types import (
    AssignRoleRequest,
    CreateRoleRequest,
    CreateRoomRequest,
    CreateUserRequest,
    ListMessagesRequest,
    Part,
    SendMessageRequest,
)
from services.runtime.contract.policies import permissions

NEIGHBOUR, ROOM, _ROLE = "neighbour", "neighbours", "neighbourly"
_PAUSE_SECONDS, _DEADLINE_SECONDS = 0.1, 20.0
# What one request may name.
_MOST_PERMISSIONS = 64


class Neighbour:
    """Sends and reads in a room of its own, with a role of its own, until it is cancelled."""

    def __init__(self, client: Client, admin: Client) -> None:
        self._client = client
        self._admin = admin
        self.calls = 0
        self.slowest = 0.0
        self.failures: list[str] = []

    async def prepare(self) -> None:
        """Make the user, the room and the role; nobody else knows their names."""
        granted = [one.name for one in permissions() if one.in_default_role][:_MOST_PERMISSIONS]
        for request in (
            CreateUserRequest(id=NEIGHBOUR, name=NEIGHBOUR),
            CreateRoleRequest(scope="ROLE_SCOPE_GLOBAL", name=_ROLE, permissions=granted),
            AssignRoleRequest(user_id=NEIGHBOUR, role_name=_ROLE),
            CreateRoomRequest(id=ROOM, name=ROOM, visibility="VISIBILITY_PRIVATE", creator_id=NEIGHBOUR),
        ):
            await self._admin.call(request)

    async def run(self) -> None:
        """Send a message and look whether it is there, again and again."""
        for number in count():
            parts = [Part(content_type="text/plain", content=f"{number}")]
            send = SendMessageRequest(room_id=ROOM, parts=parts, request_id=f"{number}")
            await self._call(send)
            read = await self._call(ListMessagesRequest(room_id=ROOM, page_size=1))
            if read is not None and read.messages[0].parts[0].content != f"{number}":
                self.failures.append(f"message {number} was sent, and is not there")
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _call(self, request: Message) -> Any:
        began = time.monotonic()
        self.calls += 1
        try:
            return await self._client.call(request, deadline=_DEADLINE_SECONDS, repeatable=False)
        except ChatkitError as error:
            self.failures.append(f"{type(request).__name__}: {error}")
            return None
        finally:
            self.slowest = max(self.slowest, time.monotonic() - began)
