"""The files of attachments: found in a local folder, uploaded on behalf of their senders, and downloaded again."""

import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from chatkit.files.v1 import file_pb2
from chatkit.files.v1 import files_service_pb2 as pb2

from chatkit_client import Client
from services.runtime.contract import json_values
from services.stack.transfer.records import Record

_FRAME_BYTES = 250_000
# A file may be large, and the machine slow.
_PATIENCE_SECONDS = 180.0
# Of a file that is only looked at: to read all of them takes long.
NOT_HASHED = "0" * 64
# Where an export has its attachments.
FOLDER = "attachments"


class LocalFiles:
    """The files that lie beside an export; what leads out of their folders is none of them."""

    def __init__(self, export: Path, attachments: Path) -> None:
        self._export = export
        self._attachments = attachments

    def find(self, download_url: str) -> Path | None:
        """Return the file of an attachment: a path in the export, or the last part of a URL in the folder of them."""
        try:
            parts = urlsplit(download_url)
            if parts.scheme in {"http", "https"}:
                return _inside(self._attachments, unquote(parts.path.rpartition("/")[2], errors="strict"))
        except ValueError:
            return None
        return _inside(self._export, download_url) if not parts.scheme else None


def _inside(folder: Path, name: str) -> Path | None:
    try:
        found = (folder / name).resolve(strict=True)
    except (OSError, ValueError, RuntimeError):
        return None
    return found if found.is_relative_to(folder.resolve()) and found.is_file() else None


def creation(message: Record, number: int, part: Record, sha256: str = NOT_HASHED) -> pb2.CreateFileRequest:
    """Return the request that creates the file of a message's part, the same one each time; raises OSError."""
    payload = part["payload"]
    of_part = "/".join((message["room_id"], message["sender_id"], message["id"], str(number)))
    return pb2.CreateFileRequest(
        room_id=message["room_id"],
        user_id=message["sender_id"],
        name=payload["name"],
        content_type=payload["type"],
        size_bytes=_size(Path(payload["path"])),
        sha256=sha256,
        custom_data=json_values.value_of(payload["custom_data"]) if "custom_data" in payload else None,
        request_id=hashlib.sha256(of_part.encode()).hexdigest(),
    )


def _size(path: Path) -> int:
    with path.open("rb") as content:
        return content.seek(0, os.SEEK_END)


def hash_of(path: Path) -> str:
    """Return the SHA-256 of a file's content; raises OSError."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


async def upload(client: Client, request: pb2.CreateFileRequest, path: Path) -> str:
    """Create a file with its content, unless that was done before, and return its id; raises the client's errors."""
    created = await client.call(client.files.CreateFile, request, deadline=_PATIENCE_SECONDS)
    first = pb2.UploadFileRequest(room_id=request.room_id, file_id=created.file.id, user_id=request.user_id)

    async def send(_first: pb2.UploadFileRequest, **options: Any) -> pb2.UploadFileResponse:
        answer: pb2.UploadFileResponse = await client.files.UploadFile(_frames(first, path), **options)
        return answer

    if created.file.state != file_pb2.FILE_STATE_READY:
        await client.call(send, first, deadline=_PATIENCE_SECONDS, repeatable=True)
    return str(created.file.id)


async def _frames(first: pb2.UploadFileRequest, path: Path) -> AsyncIterator[pb2.UploadFileRequest]:
    yield first
    with path.open("rb") as content:
        while piece := content.read(_FRAME_BYTES):
            yield pb2.UploadFileRequest(chunk=piece)


async def download(client: Client, room_id: str, file_id: str, path: Path) -> None:
    """Put the content of a file into a new file; raises the client's errors."""
    unfinished = path.with_name(path.name + ".unfinished")

    async def receive(request: pb2.DownloadFileRequest, **options: Any) -> None:
        with unfinished.open("wb") as content:
            async for frame in client.files.DownloadFile(request, **options):
                for piece in frame.chunks:
                    content.write(piece)

    request = pb2.DownloadFileRequest(room_id=room_id, file_id=file_id)
    await client.call(receive, request, deadline=_PATIENCE_SECONDS)
    unfinished.rename(path)
