"""Short ways to add files, to send and edit messages with them, and to let them be removed."""

from collections.abc import Sequence

import psycopg
from chatkit.files.v1 import file_pb2
from chatkit.files.v1 import files_service_pb2 as files_pb2
from chatkit.messages.v1 import message_pb2, part_pb2, send_result_pb2
from chatkit.messages.v1 import messages_service_pb2 as pb2
from google.protobuf import struct_pb2

from tests.support.suite import Suite
from tests.support.tokens import Metadata, su, user

GIF = b"GIF89a" + bytes(range(256)) * 40


async def furnished(suite: Suite) -> Suite:
    """Make two users and their rooms."""
    await suite.make_users("alice", "bob")
    await suite.make_room("lobby", "alice", "bob")
    await suite.make_room("attic", "alice")
    return suite


async def add(chat: Suite, request_id: str = "file", room_id: str = "lobby", as_user: str = "alice") -> file_pb2.File:
    """Create a file with its content."""
    request = files_pb2.CreateFileRequest(
        room_id=room_id,
        name="cat.gif",
        content_type="image/gif",
        size_bytes=len(GIF),
        custom_data=struct_pb2.Value(string_value="a cat"),
        request_id=request_id,
    )
    created = (await chat.files.CreateFile(request, metadata=user(as_user))).file
    frame = files_pb2.UploadFileRequest(room_id=room_id, file_id=created.id, chunk=GIF)
    uploaded: files_pb2.UploadFileResponse = await chat.files.UploadFile(iter([frame]), metadata=user(as_user))
    return uploaded.file


def with_file(file_id: str, request_id: str = "send", **fields: object) -> pb2.SendMessageRequest:
    """Return a send of a text and a file."""
    parts = [
        part_pb2.Part(content_type="text/plain", content="look"),
        part_pb2.Part(content_type="image/gif", file_id=file_id, **fields),  # type: ignore[arg-type]
    ]
    return pb2.SendMessageRequest(room_id="lobby", parts=parts, request_id=request_id)


async def send(chat: Suite, request: pb2.SendMessageRequest, as_user: str = "alice") -> message_pb2.Message:
    """Send a message."""
    sent: pb2.SendMessageResponse = await chat.messages.SendMessage(request, metadata=user(as_user))
    return sent.message


async def edit(
    chat: Suite, seq: int, *parts: part_pb2.Part, request_id: str = "", who: Metadata | None = None
) -> message_pb2.Message:
    """Edit a message; alice does, unless told otherwise."""
    request = pb2.EditMessageRequest(room_id="lobby", seq=seq, parts=parts, request_id=request_id)
    edited: pb2.EditMessageResponse = await chat.messages.EditMessage(request, metadata=who or user("alice"))
    return edited.message


async def batch(chat: Suite, requests: Sequence[pb2.SendMessageRequest]) -> Sequence[send_result_pb2.SendResult]:
    """Send many messages."""
    request = pb2.BatchSendMessagesRequest(requests=requests)
    answer: pb2.BatchSendMessagesResponse = await chat.messages.BatchSendMessages(request, metadata=su())
    return answer.results


def as_sent_by(sender_id: str, request: pb2.SendMessageRequest) -> pb2.SendMessageRequest:
    """Say who sends."""
    request.sender_id = sender_id
    return request


async def forget_attaching(chat: Suite) -> None:
    """Let what was attached have been attached so long ago that no send can still be under way."""
    with psycopg.connect(chat.database.superuser_dsn) as connection:
        connection.execute("UPDATE files.files SET attach_time = attach_time - interval '1 hour'")
