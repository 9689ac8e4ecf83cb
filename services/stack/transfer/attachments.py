"""The files of attachments: found in a local folder, uploaded on behalf of their senders, and downloaded again."""

import hashlib
import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from chatkit_client import Client
from chatkit_client.types import CreateFileRequest, FileState
from services.runtime.contract import json_values
from services.stack.transfer.records import Record

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


def creation(message: Record, number: int, part: Record, sha256: str = NOT_HASHED) -> CreateFileRequest:
    """Return the request that creates the file of a message's part, the same one each time; raises OSError."""
    payload = part["payload"]
    of_part = "/".join((message["room_id"], message["sender_id"], message["id"], str(number)))
    return CreateFileRequest(
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


async def upload(client: Client, request: CreateFileRequest, path: Path) -> str:
    """Create a file with its content, unless that was done before, and return its id; raises the client's errors."""
    created = await client.call(request, deadline=_PATIENCE_SECONDS)
    if created.file.state != FileState.FILE_STATE_READY:
        await client.send_content(created.file, path, user_id=request.user_id, deadline=_PATIENCE_SECONDS)
    return str(created.file.id)


async def download(client: Client, room_id: str, file_id: str, path: Path) -> None:
    """Put the content of a file into a new file; raises the client's errors."""
    await client.download(room_id, file_id, path, deadline=_PATIENCE_SECONDS)
