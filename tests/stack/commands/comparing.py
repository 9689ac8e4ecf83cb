"""What `verify` of all services finds, and what there is for it to find."""

from collections.abc import AsyncIterator
from typing import Any

from chatkit.files.v1 import files_service_pb2 as files_pb2
from chatkit.files.v1.files_service_pb2_grpc import FilesServiceStub
from chatkit.messages.v1 import messages_service_pb2 as pb2
from chatkit.messages.v1 import part_pb2
from chatkit.rooms.v1 import memberships_service_pb2 as memberships_pb2

from services.files.verifying import compare as of_files
from services.messages.verifying import compare as of_messages
from services.rooms.verifying import compare as of_rooms
from services.runtime.clock import SystemClock
from services.runtime.process.command import opened
from services.runtime.process.verifying import Compare
from services.users.verifying import compare as of_users
from tests.support.suite import Suite
from tests.support.tokens import user

COMPARES: dict[str, Compare[Any]] = {"users": of_users, "rooms": of_rooms, "messages": of_messages, "files": of_files}
# What does not fit when one schema is of the time before, and the others are of now.
EXPECTED = {
    "users": {("rooms", "MEMBER_UNKNOWN"), ("files", "FILE_WITHOUT_OWNER")},
    "rooms": {("messages", "LOG_WITHOUT_ROOM"), ("files", "FILE_WITHOUT_ROOM")},
    "messages": set[tuple[str, str]](),
    "files": {("messages", "FILE_MISSING")},
}


async def found(suite: Suite) -> set[tuple[str, str]]:
    """Return services and kinds of what does not fit."""
    found = set()
    for service, compare in COMPARES.items():
        settings = suite.settings_of(service)
        async with opened(service, settings, SystemClock()) as tools:
            async for finding in compare(settings, tools, SystemClock()):
                assert finding.service == service
                if not finding.is_note:
                    found.add((service, finding.kind))
    return found


async def later(suite: Suite) -> None:
    """Let things happen after the backup: a user, a room, a message, a message with a file."""
    await suite.make_users("carol")
    await suite.make_room("attic", "carol")
    added = memberships_pb2.AddMembersRequest(room_id="lobby", user_ids=["carol"])
    await suite.memberships.AddMembers(added, metadata=user("alice"))
    content = b"a picture"
    files = FilesServiceStub(suite.channel("files"))
    request = files_pb2.CreateFileRequest(
        room_id="attic", content_type="image/png", size_bytes=len(content), request_id="1"
    )
    created = await files.CreateFile(request, metadata=user("carol"))

    async def frames() -> AsyncIterator[files_pb2.UploadFileRequest]:
        yield files_pb2.UploadFileRequest(room_id="attic", file_id=created.file.id, chunk=content)

    await files.UploadFile(frames(), metadata=user("carol"))
    part = part_pb2.Part(content_type="image/png", file_id=created.file.id)
    sent = pb2.SendMessageRequest(room_id="attic", parts=[part], request_id="1")
    await suite.messages.SendMessage(sent, metadata=user("carol"))
